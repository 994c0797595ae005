/* SPDX-License-Identifier: MIT */
/*
 * report - the one JSON shape of every command that reports a measurement (demo, bench, sim
 * replay).
 *
 * Plain structs that the caller fills, and a writer.  The shape is versioned and only ever grows: a
 * reader of version 1 finds everything that it knew in every later report of version 1.  What is
 * not known is NAN here and null in the JSON; a p99 of too few samples is not known either,
 * whatever the caller filled in.
 *
 * A report that was made on the simulated engine says so in its first lines: `simulated` has no
 * default.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "base/str.h"

#define REPORT_SCHEMA "kvwarden.report"
#define REPORT_VERSION 1
#define REPORT_NAME_BYTES 64   /* of an arm, a policy, a tenant, with NUL */
#define REPORT_ERROR_BYTES 256 /* of the reason why an arm failed, with NUL */
#define REPORT_ARMS_MAX 16
#define REPORT_TENANTS_MAX 16 /* in one arm */
#define REPORT_P99_MIN_SAMPLES                                                                     \
	500 /* fewer, and the 99th percentile is the rank of five samples or less */
#define REPORT_JSON_MAX ((size_t)1 << 20)

/* What became of the requests that the load planned; the last four add up to `scheduled`. */
struct report_requests {
	uint64_t scheduled, ok, refused, failed, unfinished;
};

/*
 * Time to the first token that is not empty, from the moment the client meant to send; unfinished
 * ones count as worst.
 */
struct report_ttft {
	uint64_t n;
	double p50_ms, p90_ms, p99_ms, max_ms;
};

struct report_tenant {
	char name[REPORT_NAME_BYTES];
	struct report_requests requests;
	struct report_ttft ttft;
	double ratio_to_solo; /* the tenant's p50 TTFT over the one of the solo arm */
};

struct report_arm {
	char name[REPORT_NAME_BYTES];
	char scheduling[REPORT_NAME_BYTES]; /* the policy's own name, or "none" without a gateway */
	char error[REPORT_ERROR_BYTES];	    /* why the arm failed; empty: it did not */
	bool saturated;			    /* the engine had work waiting for most of the arm */
	double tokens_per_s;
	double share_of_direct; /* tokens_per_s over that of the arm without a gateway */
	unsigned tenant_count;
	struct report_tenant tenants[REPORT_TENANTS_MAX];
};

struct report {
	bool simulated;
	unsigned arm_count;
	struct report_arm arms[REPORT_ARMS_MAX];
};

/*
 * Adds an arm, or a tenant of an arm, with every figure unknown; a longer name is cut.  NULL when
 * there is no room.
 */
struct report_arm *report_add_arm(struct report *r, const char *name, const char *scheduling);
struct report_tenant *report_add_tenant(struct report_arm *arm, const char *name);
/* Appends the report as one JSON object; @out of at least REPORT_JSON_MAX holds any. */
void report_write(const struct report *r, struct buf *out);
