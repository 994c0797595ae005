/* SPDX-License-Identifier: MIT */
/*
 * face_stats - what the simulated engine counts for its /metrics and /sim/state.
 */
#pragma once
#include <stdint.h>
#include "base/str.h"

#define SIM_TTFT_BUCKETS 22
/* vLLM's own bounds of time_to_first_token_seconds. */
extern const double sim_ttft_bounds_s[SIM_TTFT_BUCKETS];

struct sim_histogram {
	uint64_t count[SIM_TTFT_BUCKETS + 1]; /* not cumulated; the last is +Inf */
	double sum_s;
};

void sim_histogram_add(struct sim_histogram *h, double seconds);
/* Lines of a histogram: NAME_bucket{LABELS,le="..."}; @labels without braces. */
void sim_histogram_render(struct buf *out, const char *name, const char *labels,
			  const struct sim_histogram *h);

struct sim_face_stats {
	const char *model;		       /* the first name */
	unsigned running, waiting;	       /* requests in the engine now */
	unsigned peak_running, peak_in_engine; /* the most at a time since the last reset */
	double kv_usage;		       /* 0 to 1 */
	uint64_t kv_tokens;		       /* capacity */
	uint64_t preemptions;
	uint64_t prompt_tok, generated_tok, cached_tok;
	uint64_t requests, finished_length, finished_stop, aborted, errors;
	struct sim_histogram ttft;
};
