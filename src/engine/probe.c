/* SPDX-License-Identifier: MIT */
/* Does it answer?  GET /v1/models, or /health of an engine whose list is no use, one question at a time. */
#include <yyjson.h>
#include "engine/engine_impl.h"

static void on_answer(void *ctx, unsigned status, struct slice body, const char *err);

/* when ------------------------------------------------------------------------------------------ */
static void
ask(struct engine *e)
{
	struct http_header key = { SLICE("Authorization"), slice_of(e->authorization) };
	struct http_headers headers = { e->authorization ? 1 : 0, &key };
	unsigned turn = ++e->turn;
	struct http_get *get;

	e->probing = true;
	e->probe_us = engine_now_us(e);
	get = http_get_start(e->pool, e->by_health ? "/health" : "/v1/models", &headers, ENGINE_LIST_MAX,
			     (uint32_t)MAX(e->setup.times.timeout_us / 1000, 1u), on_answer, e);
	/* The answer may have come already: a Unix socket refuses at once. */
	if (e->probing && e->turn == turn)
		e->get = get;
}

static void
on_due(uv_timer_t *t)
{
	engine_probe_now(t->data);
}

static void
wait_for_next(struct engine *e, uint64_t wait_us)
{
	uv_timer_start(&e->timer, on_due, (wait_us + 999) / 1000, 0);
}

void
engine_probe_init(struct engine *e)
{
	uv_timer_init(e->loop, &e->timer);
	e->timer.data = e;
	e->wait_us = e->setup.times.starting_us;
}

void
engine_probe_now(struct engine *e)
{
	if (!e->pool || e->stopping || e->probing || e->state == ENGINE_FAILED)
		return;
	uv_timer_stop(&e->timer);
	ask(e);
}

void
engine_probe_halt(struct engine *e)
{
	uv_timer_stop(&e->timer);
	http_get_cancel(e->get);
	e->get = NULL;
	e->probing = false;
}

/* A start takes its time: the questions become rarer, so that its log stays readable. */
static uint64_t
next_wait_us(struct engine *e)
{
	uint64_t wait_us = e->setup.times.starting_us;

	if (e->state == ENGINE_READY && e->failures == 0)
		return e->setup.times.ready_us;
	if (e->state == ENGINE_STARTING) {
		wait_us = e->wait_us;
		e->wait_us = MIN(e->wait_us + e->wait_us / 4 + 1,
				 ENGINE_BACKOFF * e->setup.times.starting_us);
	}
	return wait_us;
}

/* what ------------------------------------------------------------------------------------------ */

/* The one name in the list, or "" when it has none, several, or one that is too long. */
static void
read_list(struct engine *e, struct slice body)
{
	yyjson_doc *doc = yyjson_read(body.p, body.n, 0);
	yyjson_val *data = yyjson_obj_get(yyjson_doc_get_root(doc), "data");
	yyjson_val *id = yyjson_obj_get(yyjson_arr_get_first(data), "id");
	size_t n = yyjson_get_len(id);

	e->listed[0] = '\0';
	if (yyjson_arr_size(data) == 1 && yyjson_is_str(id) && n <= ENGINE_MODEL_ID_MAX &&
	    !memchr(yyjson_get_str(id), '\0', n))
		memcpy(e->listed, yyjson_get_str(id), n + 1);
	yyjson_doc_free(doc);
}

static void
succeed(struct engine *e, const char *why)
{
	e->failures = 0;
	if (e->by_health && (e->models_status == 401 || e->models_status == 403))
		engine_set_error(e, "GET /v1/models gave %u: is endpoint_api_key right?",
				 e->models_status);
	else
		engine_set_error(e, "%s", "");
	if (e->state != ENGINE_READY) {
		if (strcmp(e->listed, e->model_id) != 0)
			memcpy(e->upstream, e->listed, sizeof(e->upstream));
		else
			e->upstream[0] = '\0';
		e->wait_us = e->setup.times.starting_us;
	}
	engine_set_state(e, ENGINE_READY, why);
	if (e->ops->on_alive && !e->stopping)
		e->ops->on_alive(e->ctx, e);
}

static void
fail(struct engine *e, unsigned status, const char *err)
{
	const char *target = e->by_health ? "/health" : "/v1/models";

	if (status == 503)
		engine_set_error(e, "it is loading: GET %s gave 503", target);
	else if (status && e->by_health)
		engine_set_error(e, "GET /v1/models gave %u and GET /health %u", e->models_status, status);
	else if (status)
		engine_set_error(e, "GET %s gave %u", target, status);
	else
		engine_set_error(e, "GET %s: %s", target, err ? err : "no answer");
	e->by_health = false;
	if (e->state != ENGINE_READY || e->progress_us >= e->probe_us)
		return; /* what flows proves more than a probe */
	e->failures++;
	if (e->failures < e->setup.times.lost_after)
		return;
	e->failures = 0;
	engine_set_state(e, ENGINE_LOST, status ? "probes fail" : "no answer");
}

static bool
list_is_no_use(unsigned status)
{
	return status == 401 || status == 403 || status == 404 || status == 405;
}

static void
on_answer(void *ctx, unsigned status, struct slice body, const char *err)
{
	struct engine *e = ctx;

	e->get = NULL;
	e->probing = false;
	if (!e->by_health && list_is_no_use(status)) {
		e->by_health = true;
		e->models_status = status;
		e->listed[0] = '\0';
		ask(e);
		return;
	}
	if (status == 200) {
		if (!e->by_health)
			read_list(e, body);
		succeed(e, e->by_health ? "answers /health" : "answers");
	} else {
		fail(e, status, err);
	}
	if (!e->stopping)
		wait_for_next(e, next_wait_us(e));
}
