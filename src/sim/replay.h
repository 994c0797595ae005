/* SPDX-License-Identifier: MIT */
/*
 * replay - recorded arrivals through the simulated engine, in virtual time.
 *
 * A trace is CSV with the columns t_ms, tenant, prompt_tokens, max_tokens, and in what a run writes also ttft_ms, total_ms,
 * tokens_out, status.  Its header names them, in any order; rows stand in order of time.  The same seed gives the same figures.
 */
#pragma once
#include "base/diag.h"
#include "base/str.h"
#include "sim/host_cpu.h"
#include "sim/step_time.h"

#define REPLAY_TRACE_BYTES_MAX ((size_t)1 << 30)
#define REPLAY_TENANTS_MAX 64
#define REPLAY_TENANT_BYTES 64
#define REPLAY_TOK_MAX 1000000 /* of a prompt, or of an answer */

struct replay_row {
	uint64_t t_us;
	unsigned tenant, prompt_tok, max_tok;
	/* filled by a run */
	double ttft_ms, total_ms;
	bool refused;
};

struct replay_trace {
	struct replay_row *rows;
	size_t n, cap;
	char tenants[REPLAY_TENANTS_MAX][REPLAY_TENANT_BYTES];
	unsigned n_tenants;
};

struct replay_options {
	const struct step_preset *preset;
	const struct host_cpu *host;
	uint64_t seed;
	/* a token bucket for one tenant, a token a request; rate 0: none */
	const char *bucket_tenant;
	double bucket_per_s, bucket_burst;
};

struct replay_quantiles {
	uint64_t ok, refused;
	double ttft_p50_ms, ttft_p90_ms, ttft_p99_ms, tpot_ms; /* NAN without rows; tpot: the median */
};

MUST_CHECK int replay_read(struct replay_trace *ret, struct slice csv, struct diag *diag);
void replay_finish(struct replay_trace *t);
/* Fills the rows: 0, or -EINVAL when a row can never be served, or nobody is the bucket's tenant. */
MUST_CHECK int replay_run(struct replay_trace *t, const struct replay_options *o, struct diag *diag);
/* Of one tenant's rows from @from_us on; quantiles by linear interpolation. */
void replay_summarize(const struct replay_trace *t, unsigned tenant, uint64_t from_us,
		      struct replay_quantiles *ret);
/* The trace with what the run filled in, as CSV. */
void replay_write(const struct replay_trace *t, struct buf *out);
/* Of @v, which it sorts: linear between the two nearest ranks; NAN of nothing. */
double replay_quantile(double *v, size_t n, double q);
