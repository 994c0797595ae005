/* SPDX-License-Identifier: MIT */
/*
 * engine - one process that serves one model: where it is, whether it answers, and how to reach it.
 *
 * An engine either runs already (an endpoint of the config) or is the built-in simulator, which this module starts as
 * a child of the gateway.  Either way it is asked GET /v1/models until it answers once; then it is READY and is asked
 * on, slower, so that the loss of an idle engine is seen too.  Liveness of a busy engine is token progress, which the
 * router reports by engine_note_progress(); a probe that times out while tokens flow is no failure.
 *
 * Owned by the gateway, used on the loop's thread only.  Times are microseconds of the loop's clock.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <uv.h>
#include "base/diag.h"
#include "config/config.h"
#include "http/client.h"

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
	/* After every change of state; @why is a short word for the log. */
	void (*on_state)(void *ctx, struct engine *e, enum engine_state was, const char *why);
};

struct engine_probe_times {
	uint64_t starting_us; /* between probes until the first answer */
	uint64_t ready_us;    /* between probes afterwards */
	uint64_t timeout_us;  /* for one probe */
	unsigned lost_after;  /* failed probes in a row without progress that mean LOST */
};

/* @self_exe is the path of this binary, for the simulator's child.  NULL with @d filled when the endpoint is unusable. */
struct engine *engine_create(uv_loop_t *loop, const struct config_model *m, const char *self_exe,
			     const struct engine_ops *ops, void *ctx, struct diag *d);
/* Starts the child, if it is ours to start, and the probes. */
void engine_start(struct engine *e, uint64_t now_us);
/* Ends probes, connections and the child (SIGTERM); calls @done once nothing of it is left. */
void engine_stop(struct engine *e, void (*done)(void *ctx), void *ctx);
void engine_destroy(struct engine *e);

enum engine_state engine_get_state(const struct engine *e);
struct http_pool *engine_pool(struct engine *e);
/* The engine's own name for the model, when it lists exactly one; else the config's. */
const char *engine_kind(const struct engine *e);
bool engine_is_simulated(const struct engine *e);
/* Microseconds since the engine came into its state. */
uint64_t engine_state_age_us(const struct engine *e, uint64_t now_us);
/* Bytes of an answer came from it: it lives. */
void engine_note_progress(struct engine *e, uint64_t now_us);
uint64_t engine_last_progress_us(const struct engine *e);
/* A connection was refused or its process ended: probe at once instead of at the next turn. */
void engine_note_failure(struct engine *e, uint64_t now_us);
