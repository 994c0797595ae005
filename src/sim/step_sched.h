/* SPDX-License-Identifier: MIT */
/*
 * step_sched - the step scheduler of vLLM V1 (0.32): who computes how many tokens in the next step.
 *
 * A step has a budget of tokens.  Running requests are served first, in their order, one token for those that decode and a chunk
 * of the prompt for the others; when a KV block is missing, the last one (or the least urgent) is put back in front of
 * the waiting ones and recomputed later.  If nobody was put back, waiting requests enter while there is budget, room
 * and KV for the whole of what is known of them; nobody overtakes the first.  Blocks are findable for others from the moment they
 * are allocated for tokens that are known.
 *
 * With asynchronous scheduling a step is planned before the tokens of the one before are known: each planned token is a
 * placeholder until sched_update().  Steps therefore queue, SCHED_BATCHES at most, and are completed in order.
 *
 * Clockless and deterministic: the caller decides when a step is planned and when it is over.  A request belongs to the scheduler
 * and can be named by the caller until it was reported finished or was aborted.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "base/heap.h"
#include "base/list.h"
#include "sim/kv_blocks.h"

#define SCHED_BATCHES 2 /* in flight with asynchronous scheduling; 1 without */

struct sched_params {
	uint32_t budget_tok;	   /* tokens computed in one step, at least max_seqs */
	uint32_t max_seqs;	   /* running requests */
	uint32_t block_tok;	   /* tokens of a KV block */
	uint32_t blocks;	   /* KV blocks, of which one is not used */
	uint32_t max_model_len;	   /* tokens of prompt and answer together */
	uint32_t long_prefill_tok; /* largest chunk of a prompt while others are there; 0: no limit */
	double watermark; /* share of the blocks that stays free when a request enters beside others */
	bool prefix_caching;
	bool by_priority; /* else first come, first served */
	bool async;
};

/* @n tokens: those at @tokens, which outlive the request; without, tokens made of (seed, offset), equal for equal ones. */
struct sched_segment {
	const uint32_t *tokens;
	uint64_t seed;
	uint32_t n;
};

enum sched_state {
	SCHED_WAITING,
	SCHED_PREEMPTED,
	SCHED_RUNNING,
	SCHED_OVER
};

struct sched_request {
	struct list link;      /* waiting, first come, first served */
	struct heap_node node; /* waiting, by priority */
	void *owner;
	uint64_t seq; /* order of arrival */
	int64_t priority;
	enum sched_state state;
	uint32_t prompt_tok, max_tok, made_tok;
	uint32_t computed_tok;	     /* KV computed or planned */
	uint32_t placeholders;	     /* planned tokens whose value is not known yet */
	uint32_t in_flight_tok;	     /* planned in steps that are not over */
	uint32_t stale_tok;	     /* of those, planned before it was put back */
	uint32_t n_blocks, n_shared; /* blocks held; the first n_shared carry their hash */
	uint32_t preemptions;
	unsigned batches; /* that name it */
	/* prefix cache: hashes of full blocks, made as tokens become known */
	uint64_t chain;
	uint32_t n_hashes, segment, offset;
	uint32_t n_segments;
	struct sched_segment *segments;
	uint64_t *hashes;
	uint32_t *blocks;
};

struct sched_entry {
	struct sched_request *q;
	uint32_t tok;	   /* computed in this step */
	uint32_t computed; /* before it */
	bool samples;	   /* a token comes out */
	bool entered;	   /* waited before; @computed came out of the prefix cache */
};

struct sched_batch {
	struct sched_entry *entries;
	uint32_t n;
	uint64_t tok;
};

struct sched_counters {
	uint64_t preemptions;
	uint64_t prompt_tok, generated_tok;
	uint64_t cache_queries_tok, cache_hits_tok;
};

struct sched {
	struct sched_params p;
	struct kv_blocks kv;
	struct sched_request **running;
	uint32_t n_running, n_waiting;
	struct list fifo;
	struct heap urgent;
	struct sched_batch batches[SCHED_BATCHES];
	unsigned first_batch, n_batches;
	struct sched_request **preempted; /* by the last schedule, in the order it happened */
	uint32_t n_preempted;
	uint64_t next_seq;
	bool farewell; /* a request is over and the engine has not been told by a step yet */
	struct sched_counters counters;
};

/* One token of @q is known; @finished: its last.  Must neither add nor abort. */
typedef void (*sched_token_fn)(void *ctx, struct sched_request *q, bool finished);

void sched_init(struct sched *s, const struct sched_params *p);
void sched_finish(struct sched *s);
/* Whether a request of this size can ever be served: 1 prompt token and 1 generated one at least, within model and pool. */
bool sched_fits(const struct sched *s, uint64_t prompt_tok, uint64_t max_tok);
/* Queues a request that fits; @segments (copied) are its prompt. */
struct sched_request *sched_add(struct sched *s, const struct sched_segment *segments, uint32_t n,
				uint32_t max_tok, int64_t priority, void *owner);
/* Ends @q, which is not over; steps in flight go on without it. */
void sched_abort(struct sched *s, struct sched_request *q);
/* True while a schedule has something to do: also once after the last request, to tell the workers. */
bool sched_has_work(const struct sched *s);
/* Plans a step and queues it; there must be room.  The batch is valid until its update. */
const struct sched_batch *sched_schedule(struct sched *s);
/* The oldest step in flight is over. */
void sched_update(struct sched *s, sched_token_fn fn, void *ctx);
