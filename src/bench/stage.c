/* SPDX-License-Identifier: MIT */
#include "bench/stage.h"
#include <errno.h>
#include <signal.h>
#include "base/clock.h"

#define TICK_MS 50 /* a wait looks at its condition at least so often */

static void
on_signal(uv_signal_t *h, int number)
{
	struct stage *s = h->data;

	s->interrupted = number;
}

static void
on_alarm(uv_timer_t *t)
{
	(void)t; /* ends a turn of the loop; the wait looks at the clock */
}

void
stage_init(struct stage *s)
{
	static const int numbers[] = { SIGINT, SIGTERM, SIGHUP };

	*s = (struct stage){ 0 };
	uv_loop_init(&s->loop);
	uv_timer_init(&s->loop, &s->alarm);
	signal(SIGPIPE, SIG_IGN);
	for (unsigned i = 0; i < ARRAY_LEN(numbers); i++) {
		uv_signal_init(&s->loop, &s->signals[i]);
		s->signals[i].data = s;
		uv_signal_start(&s->signals[i], on_signal, numbers[i]);
	}
}

void
stage_finish(struct stage *s)
{
	for (unsigned i = 0; i < ARRAY_LEN(s->signals); i++)
		uv_close((uv_handle_t *)&s->signals[i], NULL);
	uv_close((uv_handle_t *)&s->alarm, NULL);
	uv_run(&s->loop, UV_RUN_DEFAULT);
	must(uv_loop_close(&s->loop) == 0);
}

static int
wait_for(struct stage *s, bool (*holds)(void *ctx), void *ctx, uint64_t most_ms, bool heed_signals)
{
	uint64_t end_us = clock_mono_us() + most_ms * 1000;
	int err = 0;

	uv_timer_start(&s->alarm, on_alarm, TICK_MS, TICK_MS);
	for (;;) {
		if (holds(ctx))
			break;
		err = heed_signals && s->interrupted ? -EINTR
		      : clock_mono_us() >= end_us    ? -ETIMEDOUT
						     : 0;
		if (err)
			break;
		uv_run(&s->loop, UV_RUN_ONCE);
	}
	uv_timer_stop(&s->alarm);
	return err;
}

int
stage_wait(struct stage *s, bool (*holds)(void *ctx), void *ctx, uint64_t most_ms)
{
	return wait_for(s, holds, ctx, most_ms, true);
}

static bool
never(void *ctx)
{
	(void)ctx;
	return false;
}

int
stage_sleep(struct stage *s, uint64_t ms)
{
	int err = stage_wait(s, never, NULL, ms);

	return err == -ETIMEDOUT ? 0 : err;
}

static bool
is_gone(void *ctx)
{
	return child_is_gone(ctx);
}

void
stage_stop_child(struct stage *s, struct child *c)
{
	if (!c->spawned)
		return;
	child_signal(c, SIGTERM);
	if (wait_for(s, is_gone, c, STAGE_STOP_GRACE_MS, false)) {
		child_signal(c, SIGKILL);
		must(wait_for(s, is_gone, c, STAGE_STOP_GRACE_MS, false) == 0);
	}
	child_finish(c);
}
