/* SPDX-License-Identifier: MIT */
/*
 * Everything that happens because time has passed, with one timer.
 *
 * Each kind of deadline counts from the moment at which a request entered its list, by the same span for all; so the
 * lists are in order and only their heads are looked at.
 */
#include "router/gateway_impl.h"

/* The first request of a list whose links stand at @offset; NULL: it is empty. */
static struct request *
first_of(const struct list *l, size_t offset)
{
	struct list *n = list_first(l);

	return n ? (struct request *)(void *)((char *)n - offset) : NULL;
}

#define FIRST(list, member) first_of(&(list), offsetof(struct request, member))

static void
check_first_token(struct gateway *g)
{
	uint64_t span_us = us_of_s(g->config->timeouts.first_token_s);
	struct request *r;

	while ((r = FIRST(g->states[REQUEST_WAITING], link)) && r->entered_us + span_us <= g->now_us)
		upstream_give_up(r, WIRE_ERR_ENGINE_TIMEOUT, "first_token_timeout");
	if (r)
		deadlines_note(g, r->entered_us + span_us);
}

/* The engine as a whole has said nothing while streams flow: all of them are given up. */
static void
check_progress(struct gateway *g)
{
	uint64_t span_us = us_of_s(g->config->timeouts.no_progress_s);

	for (unsigned i = 0; i < g->n_models; i++) {
		struct served_model *m = &g->models[i];
		uint64_t last_us;

		if (!m->streaming)
			continue;
		last_us = MAX(m->streaming_since_us, engine_last_progress_us(m->engine));
		if (last_us + span_us > g->now_us) {
			deadlines_note(g, last_us + span_us);
			continue;
		}
		log_warn("model %s: its engine sent nothing for %.0f s; %u streams are given up",
			 m->config->model_id, g->config->timeouts.no_progress_s, m->streaming);
		list_for_each_safe(it, &g->states[REQUEST_STREAMING]) {
			struct request *r = list_entry(it, struct request, link);

			if (r->model == m && r->counts_stream)
				upstream_give_up(r, WIRE_ERR_ENGINE_TIMEOUT, "no_progress");
		}
	}
}

static void
check_total(struct gateway *g)
{
	uint64_t span_us = us_of_s(g->config->timeouts.total_s);
	struct request *r;

	if (!span_us)
		return;
	while ((r = FIRST(g->granted, total_link)) && r->granted_us + span_us <= g->now_us)
		upstream_give_up(r, WIRE_ERR_ENGINE_TIMEOUT, "total_timeout");
	if (r)
		deadlines_note(g, r->granted_us + span_us);
}

static void
check_signs_of_life(struct gateway *g)
{
	uint64_t commit_us = us_of_s(g->config->timeouts.head_commit_after_s);
	uint64_t every_us = us_of_s(g->config->timeouts.keepalive_s);
	struct request *r;

	while ((r = FIRST(g->headless, wait_link)) && r->wait_since_us + commit_us <= g->now_us)
		answer_early_head(r);
	if (r)
		deadlines_note(g, r->wait_since_us + commit_us);
	while ((r = FIRST(g->commented, wait_link)) && r->wait_since_us + every_us <= g->now_us)
		answer_comment(r);
	if (r)
		deadlines_note(g, r->wait_since_us + every_us);
}

static void
on_alarm(uv_timer_t *t)
{
	struct gateway *g = t->data;
	struct request *r;

	g->alarm_us = UINT64_MAX;
	gateway_clock(g);
	queue_expire(g);
	check_first_token(g);
	check_progress(g);
	check_total(g);
	check_signs_of_life(g);
	if ((r = FIRST(g->states[REQUEST_LOADING], link)) != NULL)
		deadlines_note(g, r->entered_us + us_of_s(g->config->engine_start_timeout_s));
	queue_pump(g);
	if (g->draining && !g->stopping) {
		gateway_check_drained(g);
		if (g->drain_until_us <= g->now_us)
			gateway_stop(g);
		deadlines_note(g, g->drain_until_us);
	}
}

void
deadlines_init(struct gateway *g)
{
	uv_timer_init(g->loop, &g->alarm);
	g->alarm.data = g;
	g->alarm_us = UINT64_MAX;
}

void
deadlines_note(struct gateway *g, uint64_t at_us)
{
	uint64_t at_ms = (at_us + 999) / 1000, now_ms = uv_now(g->loop); /* of the same clock */

	if (at_us >= g->alarm_us || g->stopping)
		return;
	g->alarm_us = at_us;
	uv_timer_start(&g->alarm, on_alarm, at_ms > now_ms ? at_ms - now_ms : 0, 0);
}
