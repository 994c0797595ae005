/* SPDX-License-Identifier: MIT */
/*
 * engine_watch - looks into an engine from outside: which model it serves, how full it is, whether it is idle.
 *
 * The simulator says so on /sim/state.  Real engines say it in their /metrics, under names that a table in the .c file
 * knows (vLLM, SGLang, llama-server).  An engine that says nothing is ENGINE_SILENT: then nobody can prove that it was
 * saturated, and a report must not claim it.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <uv.h>
#include "base/diag.h"
#include "base/str.h"
#include "bench/stage.h"
#include "http/client.h"

#define ENGINE_MODEL_BYTES 256

enum engine_gauges {
	ENGINE_SILENT,
	ENGINE_SIM_STATE,
	ENGINE_METRICS
};

struct engine_load {
	bool known;
	double running, waiting;
};

/* Finds the number of requests in a Prometheus text, all labels summed; known is false when the names are not in it. */
void engine_load_from_metrics(struct slice text, struct engine_load *ret);
/* The same of /sim/state. */
void engine_load_from_sim_state(struct slice json, struct engine_load *ret);

struct engine_watch {
	struct stage *stage;
	struct http_pool *pool;
	struct http_get *get;
	struct buf body;
	unsigned status; /* of the last answer; 0: none */
	bool answered, closed;
	enum engine_gauges gauges;
	char model[ENGINE_MODEL_BYTES]; /* the first one served, or empty */
	unsigned width;			/* sequences at a time when the engine says so, else 0 */
};

void engine_watch_init(struct engine_watch *w, struct stage *s, const struct http_endpoint *ep);
void engine_watch_finish(struct engine_watch *w);
/* Waits until the engine answers, and learns what it tells: 0, -EINTR, or -ETIMEDOUT with @d filled. */
MUST_CHECK int engine_watch_learn(struct engine_watch *w, uint64_t most_ms, struct diag *d);
/* Asks for @target until the answer is 200: 0, -EINTR, or -ETIMEDOUT.  Works on a gateway too. */
MUST_CHECK int engine_watch_wait_ok(struct engine_watch *w, const char *target, uint64_t most_ms);
/* Asks once, waiting for the answer: 0 or -EINTR; @ret->known is false when no answer came. */
MUST_CHECK int engine_watch_look(struct engine_watch *w, struct engine_load *ret);
/* Waits until nothing is in the engine: 0, -EINTR, or -ETIMEDOUT.  A silent engine is given ENGINE_SILENT_PAUSE_MS. */
MUST_CHECK int engine_watch_wait_idle(struct engine_watch *w, uint64_t most_ms);

#define ENGINE_SILENT_PAUSE_MS 3000
