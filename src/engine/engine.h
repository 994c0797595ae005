/* SPDX-License-Identifier: MIT */
/*
 * engine - one process that serves one model: where it is, whether it answers, and how to reach it.
 *
 * An engine either runs already (an endpoint of the config) or is the built-in simulator, which this module starts as
 * a child of the gateway.  Either way it is asked GET /v1/models until it answers 200 once; then it is READY and is
 * asked on, slower, so that the loss of an idle engine is seen too.  Liveness of a busy engine is token progress, which
 * the router reports by engine_note_progress(); a probe that times out while tokens flow is no failure.  An engine that
 * answers but has no /v1/models, or guards it (401, 403, 404, 405), is asked GET /health instead.
 *
 * Owned by the gateway, used on the loop's thread only.  Times are microseconds of the loop's clock, uv_now() * 1000.
 * Changes of state are not logged here: on_state's user does that, with @why and engine_last_error().
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <uv.h>
#include "base/diag.h"
#include "config/config.h"
#include "http/client.h"

#define ENGINE_MODEL_ID_MAX 512		  /* a longer name in the engine's list is not used */
#define ENGINE_LIST_MAX ((size_t)1 << 20) /* bytes of an answer to a probe */
#define ENGINE_BACKOFF 4u /* a slow start is asked at last every starting_us times this */

enum engine_state {
#define X(NAME, name, what) ENGINE_##NAME,
#include "engine/states.def"
#undef X
	ENGINE_STATES
};

/* "starting", "ready", "lost", "failed". */
const char *engine_state_name(enum engine_state s);

struct engine;

struct engine_ops {
	/* After every change of state; @why is a short word for the log.  The engine may be stopped in it. */
	void (*on_state)(void *ctx, struct engine *e, enum engine_state was, const char *why);
	/* A probe was answered, whether that changed the state or not.  May be NULL. */
	void (*on_alive)(void *ctx, struct engine *e);
};

struct engine_probe_times {
	uint64_t starting_us; /* between probes until the first answer, with backoff; and while probes fail */
	uint64_t ready_us;   /* between probes while they are answered */
	uint64_t timeout_us; /* for one probe */
	unsigned lost_after; /* failed probes in a row without progress that mean LOST; at least 1 */
};

#define ENGINE_PROBE_TIMES_DEFAULT                                                                 \
	((struct engine_probe_times){                                                              \
		.starting_us = 250000, .ready_us = 10000000, .timeout_us = 5000000, .lost_after = 3 })

struct engine_setup {
	const char *self_exe; /* path of this binary, for the simulator's child; it stays alive */
	struct http_client_limits limits;
	struct engine_probe_times times;
};

/* The defaults with what @c says: timeouts.connect_s, health_check_interval_s. */
struct engine_setup engine_setup_of(const struct config *c, const char *self_exe);

/* @m is copied.  NULL with @d filled when the endpoint is missing or unusable.  Nothing is on the loop before
 * engine_start(). */
struct engine *
engine_create(uv_loop_t *loop, const struct config_model *m, const struct engine_setup *setup,
	      const struct engine_ops *ops, void *ctx, struct diag *d);
/* Starts the child, if it is ours to start, and the probes.  A child that cannot be started is FAILED in this call,
 * on_state included. */
void engine_start(struct engine *e, uint64_t now_us);
/* Ends probes, connections and the child (SIGTERM, SIGKILL after 2 s); calls @done once nothing of it is on the loop,
 * which is in this very call when it was never started.  Running calls of the pool get their on_error.  No on_state
 * follows. */
void engine_stop(struct engine *e, void (*done)(void *ctx), void *ctx);
/* NULL, one that was never started, or one whose engine_stop() is done. */
void engine_destroy(struct engine *e);

enum engine_state engine_get_state(const struct engine *e);
/* NULL before engine_start(), and while the simulator's child has not told its address; never NULL when READY or LOST.
 * The same one from then on. */
struct http_pool *engine_pool(struct engine *e);
const char *engine_model_id(const struct engine *e);
/* The word of the config: "vllm", "sglang", "openai" or "sim". */
const char *engine_kind(const struct engine *e);
bool engine_is_simulated(const struct engine *e);
/* Where it is: the config's endpoint, or the child's address; "" while that is not known. */
const char *engine_url(const struct engine *e);
/* Its port; 0 for a Unix socket and while it is not known. */
uint16_t engine_port(const struct engine *e);
/* The child's process; 0 when it is not ours, or has ended. */
pid_t engine_pid(const struct engine *e);
/* The value of Authorization for its requests, "Bearer KEY"; NULL: none. */
const char *engine_authorization(const struct engine *e);
/* The model's name in requests to it, when the engine lists exactly one and that differs from the config's model_id;
 * else NULL.  The memory lives as long as @e; the text changes only when it becomes READY. */
const char *engine_upstream_model(const struct engine *e);
/* Why it is not READY, or what is odd about it although it is; "" when all is well. */
const char *engine_last_error(const struct engine *e);
/* Seconds from engine_start() to the first READY; negative before that. */
double engine_start_s(const struct engine *e);
/* Microseconds since the engine came into its state. */
uint64_t engine_state_age_us(const struct engine *e, uint64_t now_us);

/* Bytes of an answer came from it: it lives. */
void engine_note_progress(struct engine *e, uint64_t now_us);
/* 0: none yet. */
uint64_t engine_last_progress_us(const struct engine *e);
/* A connection to it was refused, or ended before its answer: it is probed at once instead of at the next turn, and
 * one more failure without progress means LOST.  A Unix socket refuses at once: on_state may come in this call. */
void engine_note_failure(struct engine *e, uint64_t now_us);
