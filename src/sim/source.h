/* SPDX-License-Identifier: MIT */
/*
 * source - where the HTTP face gets its tokens from, and when.
 *
 * Two kinds: the scheduler core with a preset's step times, and a paced one for benchmarks of whatever stands in front,
 * which has no engine in it: every sequence gets a token each so many microseconds, all sequences at once.  A third
 * stands before one of them: the host's CPU.  All run under any clock: a replay gives them virtual time, the HTTP face real time.
 *
 * Clockless: times are microseconds of the simulation, given by the caller.  A sequence belongs to the caller and is known
 * to the source from source_start() until it was reported finished or source_abort().
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "base/heap.h"
#include "base/str.h"
#include "sim/ask.h"
#include "sim/face_stats.h"

struct sim_seq {
	/* given */
	const struct sim_prompt *prompt;
	uint64_t out_tok; /* tokens to make, at least 1 */
	int64_t priority; /* lower first, where the engine has priorities */
	/* found */
	uint64_t cached_tok; /* of the prompt, found in the prefix cache; known with the first token */
	uint64_t entered_us; /* its first step began; known with the first token */
	/* the source's own */
	struct heap_node node;
	uint64_t due_us, made;
	void *impl;
};

/* @n more tokens of @s left the engine together; @finished: the last ones. */
typedef void (*sim_tokens_fn)(void *ctx, struct sim_seq *s, unsigned n, bool finished);

struct sim_source;

struct sim_source_ops {
	void (*start)(struct sim_source *src, struct sim_seq *s, uint64_t now_us);
	void (*abort)(struct sim_source *src, struct sim_seq *s, uint64_t now_us);
	/* When advance() has something to do; UINT64_MAX: not before something starts. */
	uint64_t (*next_us)(const struct sim_source *src);
	/* Lets time come to @now_us; reports tokens.  The callback must neither start nor abort. */
	void (*advance)(struct sim_source *src, uint64_t now_us, sim_tokens_fn fn, void *ctx);
	/* Fills running, waiting, KV use, preemptions. */
	void (*stats)(const struct sim_source *src, struct sim_face_stats *ret);
	void (*destroy)(struct sim_source *src);
};

struct sim_source {
	const struct sim_source_ops *ops;
};

/* First token at once, the others @interval_us apart; 0: all at once. */
struct sim_source *sim_source_paced(uint64_t interval_us);

struct host_cpu;
struct step_preset;

struct sim_step_options {
	const struct step_preset *preset;
	/* 0: the preset's own */
	unsigned budget_tok; /* tokens computed in one step */
	unsigned max_seqs;   /* requests in one step */
	unsigned kv_blocks;  /* of 16 tokens */
	bool by_priority;    /* else first come, first served */
};

/* An engine with continuous batching. */
struct sim_source *sim_source_step(const struct sim_step_options *o);
/* The CPU of @host before @engine, which then belongs to it; the same @seed gives the same times. */
struct sim_source *
sim_source_host(const struct host_cpu *host, struct sim_source *engine, uint64_t seed);
/* The longest sequence that its KV cache holds: prompt and answer together.  A longer one would never be served. */
uint64_t sim_source_step_max_tok(const struct sim_step_options *o);
