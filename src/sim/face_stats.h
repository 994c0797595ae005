/* SPDX-License-Identifier: MIT */
/*
 * face_stats - what the simulated engine counts for its /metrics and /sim/state.
 */
#pragma once
#include <stdint.h>
#include "base/str.h"

#define SIM_BUCKETS_MAX 22

/* vLLM's own bounds. */
enum sim_bounds {
	SIM_BOUNDS_TTFT,  /* time_to_first_token_seconds */
	SIM_BOUNDS_TOKEN, /* inter_token_latency_seconds, request_time_per_output_token_seconds */
	SIM_BOUNDS_PHASE, /* e2e_request_latency_seconds and the phases of a request */
};

struct sim_histogram {
	enum sim_bounds bounds;
	uint64_t count[SIM_BUCKETS_MAX + 1]; /* not cumulated; +Inf stands behind the last bound */
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
	uint64_t steps, step_rows;  /* of the engine, and requests in them, added up */
	uint64_t longest_tok;	    /* of prompt and answer together */
	double prefill_s, decode_s; /* of finished requests, added up */
	struct sim_histogram ttft, itl, tpot, e2e, queue, prefill, decode;
};

void sim_face_stats_init(struct sim_face_stats *s);
