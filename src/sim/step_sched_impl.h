/* SPDX-License-Identifier: MIT */
/* What the files of the scheduler share: the waiting queue (step_sched.c) and a request's KV blocks (step_sched_kv.c). */
#pragma once
#include "sim/step_sched.h"

static inline uint32_t
sched_known_tok(const struct sched_request *q)
{
	return q->prompt_tok + q->made_tok;
}

void sched_wait(struct sched *s, struct sched_request *q, bool in_front);
void sched_unwait(struct sched *s, struct sched_request *q);
/* Frees the memory of a request that is over and that no step names. */
void sched_drop_if_unused(struct sched_request *q);

/* Bytes that sched_kv_place() will use behind a request. */
size_t sched_kv_bytes(const struct sched *s, uint32_t n_segments, uint32_t total_tok);
void sched_kv_place(const struct sched *s, struct sched_request *q, uint32_t total_tok);
/* Longest run of full blocks, from the start, that the cache holds, into q->blocks without taking them; one token at least stays to be computed. */
uint32_t sched_kv_lookup(struct sched *s, struct sched_request *q);
/* Room for @tok more tokens of a running request: false when blocks are missing. */
bool sched_kv_extend(struct sched *s, struct sched_request *q, uint32_t tok);
/* The same for one that enters with the @hits blocks that lookup found, if all that is known of it fits. */
bool sched_kv_enter(struct sched *s, struct sched_request *q, uint32_t hits, uint32_t tok);
/* Makes the full blocks of the first @tok tokens findable. */
void sched_kv_share(struct sched *s, struct sched_request *q, uint32_t tok);
void sched_kv_release(struct sched *s, struct sched_request *q);
