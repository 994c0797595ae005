/* SPDX-License-Identifier: MIT */
/* The plan, the phases and the result of a load. */
#include "bench/load.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/timerfd.h>
#include <unistd.h>
#include "base/clock.h"
#include "bench/load_impl.h"

/* the plan ------------------------------------------------------------------------------------ */
bool
load_is_measuring(const struct load *l, uint64_t now_us)
{
	return now_us >= l->measure_us && now_us < l->cool_us;
}

static bool
has_room(const struct load_tenant *t)
{
	unsigned max = t->spec->outstanding ? t->spec->outstanding : LOAD_OUTSTANDING_MAX;

	return t->outstanding < max;
}

void
load_tenant_refill(struct load_tenant *t)
{
	if (t->spec->arrival == LOAD_CLOSED && t->load->phase != LOAD_DONE && has_room(t))
		load_request_send(t, clock_mono_us());
}

static void
send_due(struct load_tenant *t, uint64_t now_us)
{
	if (t->spec->arrival == LOAD_CLOSED)
		return;
	while (t->next_us <= (double)now_us) {
		uint64_t planned_us = (uint64_t)t->next_us;

		if (has_room(t))
			load_request_send(t, planned_us);
		else if (load_is_measuring(t->load, planned_us))
			t->count.held_back++;
		t->next_us += arrival_gap_us(t->spec->arrival, t->spec->rate_rps, &t->rng);
	}
}

static struct load_request *
first_backing_off(const struct load_tenant *t)
{
	struct list *it = list_first(&t->backing_off);

	return it ? list_entry(it, struct load_request, link) : NULL;
}

static void
wake_due(struct load_tenant *t, uint64_t now_us)
{
	struct load_request *r;

	while ((r = first_backing_off(t)) && r->wake_us <= now_us)
		load_request_wake(r);
}

/* phases -------------------------------------------------------------------------------------- */
static void
give_up_all(struct load *l)
{
	for (unsigned i = 0; i < l->spec->n_tenants; i++) {
		struct load_tenant *t = &l->tenants[i];

		while (!list_empty(&t->running))
			load_request_give_up(
				list_entry(list_first(&t->running), struct load_request, link));
		while (!list_empty(&t->backing_off))
			load_request_wake(
				list_entry(list_first(&t->backing_off), struct load_request, link));
	}
}

static void
finish(struct load *l, uint64_t now_us)
{
	l->phase = LOAD_DONE;
	l->end_us = now_us;
	uv_poll_stop(&l->timer);
	give_up_all(l);
	l->done(l->done_ctx);
}

static void
advance_phase(struct load *l, uint64_t now_us)
{
	if (l->phase == LOAD_WARMING && now_us >= l->measure_us)
		l->phase = LOAD_MEASURING;
	if (l->phase == LOAD_MEASURING && now_us >= l->cool_us)
		l->phase = LOAD_COOLING;
	if (l->phase == LOAD_COOLING && (l->measured_left == 0 || now_us >= l->end_us))
		finish(l, now_us);
}

static void
on_timer(uv_poll_t *h, int status, int events)
{
	struct load *l = h->data;
	uint64_t fired, now_us = clock_mono_us();

	(void)status;
	(void)events;
	if (read(l->timer_fd, &fired, sizeof(fired)) != (ssize_t)sizeof(fired))
		return; /* armed anew since it fired */
	for (unsigned i = 0; i < l->spec->n_tenants; i++) {
		wake_due(&l->tenants[i], now_us);
		send_due(&l->tenants[i], now_us);
	}
	advance_phase(l, now_us);
	load_arm(l);
}

static uint64_t
next_due_us(const struct load *l)
{
	uint64_t due = l->phase == LOAD_WARMING	    ? l->measure_us
		       : l->phase == LOAD_MEASURING ? l->cool_us
						    : l->end_us;

	if (l->phase == LOAD_COOLING && l->measured_left == 0)
		return 1; /* at once */
	for (unsigned i = 0; i < l->spec->n_tenants; i++) {
		const struct load_tenant *t = &l->tenants[i];
		const struct load_request *r = first_backing_off(t);

		if (t->spec->arrival != LOAD_CLOSED)
			due = MIN(due, (uint64_t)t->next_us + 1);
		if (r)
			due = MIN(due, r->wake_us);
	}
	return due;
}

void
load_arm(struct load *l)
{
	uint64_t due = next_due_us(l);
	struct itimerspec at = { .it_value = { .tv_sec = (time_t)(due / 1000000),
					       .tv_nsec = (long)(due % 1000000) * 1000 } };

	if (l->phase == LOAD_DONE)
		return;
	/* timerfd, because the loop's own timers have a grain of a millisecond. */
	must(timerfd_settime(l->timer_fd, TFD_TIMER_ABSTIME, &at, NULL) == 0);
}

/* the result ---------------------------------------------------------------------------------- */
static void
fill_tenant(struct load_tenant *t, struct load_tenant_result *ret)
{
	double worth = t->chunk_tok ? (double)t->usage_tok / (double)t->chunk_tok : 1;
	double chunks = t->measured_chunks;

	list_for_each(it, &t->running) {
		chunks += (double)list_entry(it, struct load_request, link)->measured_chunks;
	}
	*ret = t->count;
	ret->tokens += chunks * worth;
	ret->n = t->ttft_ms.n;
	ret->p50_ms = stats_quantile(&t->ttft_ms, 0.50);
	ret->p90_ms = stats_quantile(&t->ttft_ms, 0.90);
	ret->p99_ms = stats_quantile(&t->ttft_ms, 0.99);
	ret->max_ms = stats_quantile(&t->ttft_ms, 1);
}

void
load_get_result(struct load *l, struct load_result *ret)
{
	uint64_t now_us = l->phase == LOAD_DONE ? l->end_us : clock_mono_us();
	uint64_t measured_us = MIN(MAX(now_us, l->measure_us), l->cool_us) - l->measure_us;

	*ret = (struct load_result){ .phase = l->phase, .n_tenants = l->spec->n_tenants };
	ret->elapsed_s = (double)(now_us - l->start_us) / 1e6;
	ret->left_s = now_us < l->end_us ? (double)(l->end_us - now_us) / 1e6 : 0;
	ret->measured_s = (double)measured_us / 1e6;
	ret->lag_p50_ms = stats_quantile(&l->lag_ms, 0.50);
	ret->lag_p99_ms = stats_quantile(&l->lag_ms, 0.99);
	ret->lag_max_ms = stats_quantile(&l->lag_ms, 1);
	for (unsigned i = 0; i < ret->n_tenants; i++)
		fill_tenant(&l->tenants[i], &ret->tenants[i]);
}

/* life ---------------------------------------------------------------------------------------- */
static void
init_tenant(struct load *l, unsigned i, const struct http_endpoint *ep)
{
	struct http_client_limits limits = HTTP_CLIENT_LIMITS_DEFAULT;
	struct load_tenant *t = &l->tenants[i];

	t->load = l;
	t->spec = &l->spec->tenants[i];
	t->pool = http_pool_create(l->loop, ep, &limits);
	rng_init_stream(&t->rng, l->spec->seed, i);
	list_init(&t->running);
	list_init(&t->backing_off);
	snprintf(t->count.name, sizeof(t->count.name), "%s", t->spec->name);
	stats_init(&t->ttft_ms, LOAD_SAMPLES_MAX);
}

struct load *
load_create(uv_loop_t *loop, const struct load_spec *spec, const struct http_endpoint *ep)
{
	struct load *l = must_calloc(1, sizeof(*l));

	must(spec->n_tenants <= LOAD_TENANTS_MAX);
	l->loop = loop;
	l->spec = spec;
	list_init(&l->free);
	list_init(&l->all);
	stats_init(&l->lag_ms, LOAD_SAMPLES_MAX);
	l->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	must(l->timer_fd >= 0);
	uv_poll_init(loop, &l->timer, l->timer_fd);
	l->timer.data = l;
	for (unsigned i = 0; i < spec->n_tenants; i++)
		init_tenant(l, i, ep);
	return l;
}

static void
start_tenant(struct load_tenant *t)
{
	if (t->spec->arrival == LOAD_CLOSED)
		for (unsigned n = 0; n < t->spec->outstanding; n++)
			load_tenant_refill(t);
	else
		t->next_us = (double)t->load->start_us +
			     arrival_gap_us(t->spec->arrival, t->spec->rate_rps, &t->rng);
}

void
load_start(struct load *l, void (*done)(void *ctx), void *ctx)
{
	const struct load_spec *s = l->spec;

	l->done = done;
	l->done_ctx = ctx;
	l->start_us = clock_mono_us();
	l->nonce = l->start_us << 20;
	l->measure_us = l->start_us + (uint64_t)(s->warmup_s * 1e6);
	l->cool_us = l->measure_us + (uint64_t)(s->duration_s * 1e6);
	l->end_us = l->cool_us + (uint64_t)(s->cooldown_s * 1e6);
	uv_poll_start(&l->timer, UV_READABLE, on_timer);
	for (unsigned i = 0; i < s->n_tenants; i++)
		start_tenant(&l->tenants[i]);
	load_arm(l);
}

static void
on_part_closed(void *ctx)
{
	struct load *l = ctx;

	if (--l->closing == 0)
		l->closed(l->closed_ctx);
}

static void
on_timer_closed(uv_handle_t *h)
{
	struct load *l = h->data;

	close(l->timer_fd);
	on_part_closed(l);
}

void
load_close(struct load *l, void (*closed)(void *ctx), void *ctx)
{
	l->phase = LOAD_DONE;
	l->closed = closed;
	l->closed_ctx = ctx;
	l->closing = 1 + l->spec->n_tenants;
	give_up_all(l);
	for (unsigned i = 0; i < l->spec->n_tenants; i++)
		http_pool_close(l->tenants[i].pool, on_part_closed, l);
	uv_close((uv_handle_t *)&l->timer, on_timer_closed);
}

void
load_destroy(struct load *l)
{
	if (!l)
		return;
	while (!list_empty(&l->all))
		load_request_free(list_entry(list_first(&l->all), struct load_request, all));
	for (unsigned i = 0; i < l->spec->n_tenants; i++) {
		http_pool_destroy(l->tenants[i].pool);
		stats_finish(&l->tenants[i].ttft_ms);
	}
	stats_finish(&l->lag_ms);
	free(l);
}
