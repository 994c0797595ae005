/* SPDX-License-Identifier: MIT */
/*
 * workload - a scheduler workload in JSON, and the steps that the scheduler takes on it, one JSON line each.
 *
 * The formats are those of tests/data/oracle: the same files go through the scheduler of vLLM, and both must print the same bytes.
 */
#pragma once
#include "base/diag.h"
#include "base/str.h"
#include "sim/step_sched.h"

#define WORKLOAD_BYTES_MAX ((size_t)256 << 20)
#define WORKLOAD_SEGMENTS_MAX 4096 /* of one prompt */
#define WORKLOAD_REQUESTS_MAX (1u << 24)
#define WORKLOAD_TOKENS_MAX (1u << 30) /* of a segment, an answer, a step, a model's length */
#define WORKLOAD_BLOCK_TOK_MAX (1u << 16)
#define WORKLOAD_BLOCKS_MAX (1u << 26)
#define WORKLOAD_SEQS_MAX (1u << 20)
#define WORKLOAD_STEPS_MAX 200000000u /* then it is given up */

struct workload_request {
	char *id;
	struct sched_segment *segments;
	uint32_t n_segments;
	uint32_t max_tok;
	int64_t priority;
	uint64_t arrive; /* step before whose planning it is added */
	uint64_t abort;	 /* step before whose planning it is aborted; UINT64_MAX: never */
	struct sched_request *live;
};

struct workload {
	struct sched_params engine;
	struct workload_request *requests; /* in the order of the file */
	uint32_t n;
};

/* Fills @ret: 0, or -EINVAL with @diag. */
MUST_CHECK int workload_read(struct workload *ret, struct slice json, struct diag *diag);
void workload_finish(struct workload *w);
/* A line of the steps format, without its end. */
typedef void (*workload_line_fn)(void *ctx, struct slice line);
/* Runs the whole of it: 0, -EINVAL for a request that can never be served, -ETIME beyond WORKLOAD_STEPS_MAX. */
MUST_CHECK int workload_run(struct workload *w, workload_line_fn fn, void *ctx, struct diag *diag);
