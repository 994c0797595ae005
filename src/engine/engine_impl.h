/* SPDX-License-Identifier: MIT */
/* engine_impl - what engine.c (life and facts), probe.c (readiness) and simulator.c (our own child) share. */
#pragma once
#include "engine/child.h"
#include "engine/engine.h"

#define ENGINE_ERROR_MAX 512
#define ENGINE_URL_MAX 512

struct engine {
	uv_loop_t *loop;
	const struct engine_ops *ops;
	void *ctx;
	struct engine_setup setup;

	/* the model's entry, copied */
	int kind; /* enum config_engine */
	char *model_id, *authorization, *sim_preset, *sim_host;
	int64_t sim_max_num_seqs;

	enum engine_state state;
	uint64_t since_us, started_us, progress_us;
	double start_s; /* negative: never READY yet */
	char error[ENGINE_ERROR_MAX];
	bool started, stopping;

	struct http_endpoint endpoint;
	char url[ENGINE_URL_MAX];
	struct http_pool *pool;

	/* probes */
	uv_timer_t timer;
	struct http_get *get;	/* the one on its way, when it may be cancelled */
	bool probing;		/* one is on its way */
	unsigned turn;		/* counts them */
	bool by_health;		/* /v1/models is no use: ask /health */
	unsigned models_status; /* what /v1/models answered then */
	unsigned failures;	/* in a row */
	uint64_t probe_us;	/* when the one on its way began */
	uint64_t wait_us;	/* before the next one of a start */
	char listed[ENGINE_MODEL_ID_MAX + 1], upstream[ENGINE_MODEL_ID_MAX + 1];

	struct engine_child child;
	bool has_child;

	void (*on_stopped)(void *ctx);
	void *stopped_ctx;
	unsigned open; /* parts that are still on the loop: timer, pool, child */
};

static inline uint64_t
engine_now_us(const struct engine *e)
{
	return uv_now(e->loop) * 1000u;
}

/* engine.c */
/* The only way from state to state; @e may be stopping afterwards. */
void engine_set_state(struct engine *e, enum engine_state st, const char *why);
void engine_set_error(struct engine *e, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* The address is known: connections may be made, and probes begin. */
void engine_open_pool(struct engine *e);
/* One of the parts counted by `open` has left the loop. */
void engine_part_closed(struct engine *e);

/* probe.c */
void engine_probe_init(struct engine *e);
/* Probes at once, unless one is on its way. */
void engine_probe_now(struct engine *e);
/* No probe is on its way or due afterwards. */
void engine_probe_halt(struct engine *e);

/* simulator.c */
void engine_simulator_start(struct engine *e);
