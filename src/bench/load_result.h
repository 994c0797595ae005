/* SPDX-License-Identifier: MIT */
/*
 * load_result - what a load process has seen so far, and its one-line JSON form.
 *
 * The load runs in a process of its own, so that neither the table nor the polling of an engine disturbs its clock.  It
 * writes one such line twice a second and one at its end; whoever started it reads them.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "base/str.h"
#include "bench/load_spec.h"

#define LOAD_FAILURE_BYTES 200
#define LOAD_RESULT_LINE_MAX ((size_t)256 << 10)

enum load_phase {
	LOAD_WARMING,
	LOAD_MEASURING,
	LOAD_COOLING,
	LOAD_DONE
};

/* Of the requests that were planned in the measured phase. */
struct load_tenant_result {
	char name[LOAD_NAME_BYTES];
	uint64_t scheduled, ok, refused, failed,
		unfinished; /* until LOAD_DONE, unfinished counts those under way */
	uint64_t held_back; /* not even planned: `outstanding` were under way */
	double tokens;	    /* received in the measured phase, whenever their request was planned */
	/* From the planned instant to the first token; one sample a request, and INFINITY for each that is not ok. */
	uint64_t n;
	double p50_ms, p90_ms, p99_ms, max_ms;
	char failure[LOAD_FAILURE_BYTES]; /* the first one in words; may be empty */
};

struct load_result {
	enum load_phase phase;
	double elapsed_s, left_s; /* left: at most */
	double measured_s;	  /* how much of the measured phase is over */
	/* How far behind its own plan the load sent, measured requests of open loops. */
	double lag_p50_ms, lag_p99_ms, lag_max_ms;
	unsigned n_tenants;
	struct load_tenant_result tenants[LOAD_TENANTS_MAX];
};

/* Tokens a second of all tenants in the measured phase; NAN before it. */
double load_result_tokens_per_s(const struct load_result *r);
/* The tenant of that name, or NULL. */
const struct load_tenant_result *load_result_tenant(const struct load_result *r, const char *name);
/* Appends one line with its end. */
void load_result_write(const struct load_result *r, struct buf *out);
/* 0, or -EINVAL when the line is not of that kind. */
MUST_CHECK int load_result_read(struct load_result *r, struct slice line);
