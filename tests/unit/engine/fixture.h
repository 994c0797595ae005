/* SPDX-License-Identifier: MIT */
/* fixture - an engine, a stand-in for the server behind it, and the loop that both are on. */
#pragma once
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>
#include "base/clock.h"
#include "engine/engine.h"
#include "support/stand_in.h"

#define PATIENCE_US 20000000u
#define MODEL "meta-llama/Llama-3.1-8B-Instruct"
#define LISTS(id) "{\"object\":\"list\",\"data\":[{\"id\":\"" id "\",\"object\":\"model\"}]}"

struct fixture {
	uv_loop_t loop;
	uv_timer_t pulse; /* so that the loop never sleeps for long */
	struct stand_in far;
	struct config_model model;
	struct engine_setup setup;
	struct engine *e;
	unsigned changes;
	char history[256]; /* "ready lost " */
	bool stopped;
	bool (*stop_on_state)(struct fixture *f);
	char endpoint[96], script[64];
};

static void
on_pulse(uv_timer_t *t)
{
	(void)t;
}

static int
set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	uv_loop_init(&f->loop);
	uv_timer_init(&f->loop, &f->pulse);
	uv_timer_start(&f->pulse, on_pulse, 2, 2);
	f->far.models_status = 200;
	f->far.health_status = 200;
	f->far.models_body = LISTS(MODEL);
	f->model.model_id = (char *)(uintptr_t)MODEL;
	f->model.engine = CONFIG_OPENAI;
	f->setup.self_exe = "/nonexistent";
	f->setup.limits = HTTP_CLIENT_LIMITS_DEFAULT;
	f->setup.times = (struct engine_probe_times){
		.starting_us = 5000, .ready_us = 20000, .timeout_us = 2000000, .lost_after = 3
	};
	*state = f;
	return 0;
}

static void
on_stopped(void *ctx)
{
	struct fixture *f = ctx;

	f->stopped = true;
}

static void
stop(struct fixture *f)
{
	if (f->e && !f->stopped) {
		engine_stop(f->e, on_stopped, f);
		while (!f->stopped)
			uv_run(&f->loop, UV_RUN_ONCE);
	}
	engine_destroy(f->e);
	f->e = NULL;
}

static int
tear_down(void **state)
{
	struct fixture *f = *state;

	stop(f);
	if (f->far.loop)
		stand_in_close(&f->far);
	uv_close((uv_handle_t *)&f->pulse, NULL);
	uv_run(&f->loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&f->loop), 0); /* nothing was forgotten on it */
	if (f->script[0])
		unlink(f->script);
	if (f->far.is_pipe)
		unlink(f->far.path);
	free(f);
	return 0;
}

static void
on_state(void *ctx, struct engine *e, enum engine_state was, const char *why)
{
	struct fixture *f = ctx;
	size_t n = strlen(f->history);

	assert_true(engine_get_state(e) != was);
	assert_true(why[0]);
	f->changes++;
	snprintf(f->history + n, sizeof(f->history) - n, "%s ", engine_state_name(engine_get_state(e)));
	if (f->stop_on_state)
		engine_stop(e, on_stopped, f);
}

static const struct engine_ops ops = { .on_state = on_state };

static inline void
create(struct fixture *f)
{
	struct diag d = { 0 };

	f->e = engine_create(&f->loop, &f->model, &f->setup, &ops, f, &d);
	if (!f->e)
		fail_msg("%s", d.what);
}

static inline void
start(struct fixture *f)
{
	create(f);
	engine_start(f->e, uv_now(&f->loop) * 1000);
}

static inline void
listen_and_start(struct fixture *f)
{
	stand_in_listen(&f->far, &f->loop);
	snprintf(f->endpoint, sizeof(f->endpoint), "http://127.0.0.1:%d", f->far.port);
	f->model.endpoint = f->endpoint;
	start(f);
}

#define RUN_UNTIL(f, cond)                                                                         \
	do {                                                                                       \
		uint64_t patience_us = clock_mono_us() + PATIENCE_US;                              \
		while (!(cond)) {                                                                  \
			if (clock_mono_us() > patience_us)                                         \
				fail_msg("never: %s (%s)", #cond, engine_last_error((f)->e));      \
			uv_run(&(f)->loop, UV_RUN_ONCE);                                           \
		}                                                                                  \
	} while (0)

#define RUN_UNTIL_STATE(f, st) RUN_UNTIL(f, engine_get_state((f)->e) == (st))

static inline void
run_for_us(struct fixture *f, uint64_t us)
{
	uint64_t end_us = clock_mono_us() + us;

	while (clock_mono_us() < end_us)
		uv_run(&f->loop, UV_RUN_ONCE);
}

#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
