/* SPDX-License-Identifier: MIT */
#include "engine/engine.h"
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include "engine/engine_impl.h"

static const char *const state_names[] = {
#define X(NAME, name, what) [ENGINE_##NAME] = name,
#include "engine/states.def"
#undef X
};

static const char *const kind_names[] = {
	[CONFIG_VLLM] = "vllm", [CONFIG_SGLANG] = "sglang", [CONFIG_OPENAI] = "openai", [CONFIG_SIM] = "sim"
};

const char *
engine_state_name(enum engine_state s)
{
	must(s < ENGINE_STATES);
	return state_names[s];
}

void
engine_set_state(struct engine *e, enum engine_state st, const char *why)
{
	enum engine_state was = e->state;

	if (was == st)
		return;
	must(was != ENGINE_FAILED && st != ENGINE_STARTING);
	e->state = st;
	e->since_us = engine_now_us(e);
	if (st == ENGINE_READY && e->start_s < 0)
		e->start_s = (double)(e->since_us - MIN(e->since_us, e->started_us)) / 1e6;
	e->ops->on_state(e->ctx, e, was, why);
}

void
engine_set_error(struct engine *e, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(e->error, sizeof(e->error), fmt, ap);
	va_end(ap);
}

/* set-up ---------------------------------------------------------------------------------------- */
struct engine_setup
engine_setup_of(const struct config *c, const char *self_exe)
{
	struct engine_setup s = { .self_exe = self_exe,
				  .limits = HTTP_CLIENT_LIMITS_DEFAULT,
				  .times = ENGINE_PROBE_TIMES_DEFAULT };

	s.limits.connect_ms = (uint32_t)MAX(c->timeouts.connect_s * 1e3, 1);
	s.times.ready_us = (uint64_t)(c->health_check_interval_s * 1e6);
	return s;
}

static int
take_endpoint(struct engine *e, const struct config_model *m, struct diag *d)
{
	if (!m->endpoint) {
		diag_what(d, "model %s has no endpoint, and this version starts only the simulator",
			  m->model_id);
		diag_hint(d, "give endpoint: http://HOST:PORT, or engine: sim");
		return -EINVAL;
	}
	if (strlen(m->endpoint) >= sizeof(e->url)) {
		diag_what(d, "the endpoint of model %s is too long", m->model_id);
		return -EINVAL;
	}
	snprintf(e->url, sizeof(e->url), "%s", m->endpoint);
	return http_endpoint_parse(slice_of(m->endpoint), &e->endpoint, d);
}

static char *
bearer(const char *key)
{
	struct buf b;
	char *text;

	buf_init(&b, CONFIG_STRING_MAX + 16);
	buf_addf(&b, "Bearer %s", key);
	text = must_strdup(buf_cstr(&b));
	buf_finish(&b);
	return text;
}

struct engine *
engine_create(uv_loop_t *loop, const struct config_model *m, const struct engine_setup *setup,
	      const struct engine_ops *ops, void *ctx, struct diag *d)
{
	struct engine *e = must_calloc(1, sizeof(*e));

	e->loop = loop;
	e->ops = ops;
	e->ctx = ctx;
	e->setup = *setup;
	e->kind = m->engine;
	e->start_s = -1;
	e->model_id = must_strdup(m->model_id);
	if (m->endpoint_api_key)
		e->authorization = bearer(m->endpoint_api_key);
	if (m->sim_preset)
		e->sim_preset = must_strdup(m->sim_preset);
	if (m->sim_host)
		e->sim_host = must_strdup(m->sim_host);
	e->sim_max_num_seqs = m->sim_max_num_seqs;
	if (!engine_is_simulated(e) && take_endpoint(e, m, d)) {
		engine_destroy(e);
		return NULL;
	}
	return e;
}

void
engine_destroy(struct engine *e)
{
	if (!e)
		return;
	must(e->open == 0);
	if (e->has_child)
		engine_child_finish(&e->child);
	http_pool_destroy(e->pool);
	free(e->model_id);
	free(e->authorization);
	free(e->sim_preset);
	free(e->sim_host);
	free(e);
}

/* life ------------------------------------------------------------------------------------------ */
void
engine_open_pool(struct engine *e)
{
	e->pool = http_pool_create(e->loop, &e->endpoint, &e->setup.limits);
	e->open++;
	engine_probe_now(e);
}

void
engine_start(struct engine *e, uint64_t now_us)
{
	must(!e->started);
	e->started = true;
	e->started_us = e->since_us = now_us;
	engine_set_error(e, "it has not answered yet");
	engine_probe_init(e);
	e->open++;
	if (engine_is_simulated(e))
		engine_simulator_start(e);
	else
		engine_open_pool(e);
}

void
engine_part_closed(struct engine *e)
{
	if (--e->open == 0)
		e->on_stopped(e->stopped_ctx);
}

static void
on_timer_closed(uv_handle_t *h)
{
	engine_part_closed(h->data);
}

static void
on_pool_closed(void *ctx)
{
	engine_part_closed(ctx);
}

void
engine_stop(struct engine *e, void (*done)(void *ctx), void *ctx)
{
	must(!e->stopping);
	e->stopping = true;
	e->on_stopped = done;
	e->stopped_ctx = ctx;
	if (!e->started) {
		done(ctx);
		return;
	}
	engine_probe_halt(e);
	uv_close((uv_handle_t *)&e->timer, on_timer_closed);
	if (e->has_child)
		engine_child_stop(&e->child);
	if (e->pool)
		http_pool_close(e->pool, on_pool_closed, e);
}

/* facts ----------------------------------------------------------------------------------------- */
enum engine_state
engine_get_state(const struct engine *e)
{
	return e->state;
}

struct http_pool *
engine_pool(struct engine *e)
{
	return e->pool;
}

const char *
engine_model_id(const struct engine *e)
{
	return e->model_id;
}

const char *
engine_kind(const struct engine *e)
{
	return kind_names[e->kind];
}

bool
engine_is_simulated(const struct engine *e)
{
	return e->kind == CONFIG_SIM;
}

const char *
engine_url(const struct engine *e)
{
	return e->url;
}

uint16_t
engine_port(const struct engine *e)
{
	return e->endpoint.port;
}

pid_t
engine_pid(const struct engine *e)
{
	return e->has_child && e->child.running ? e->child.pid : 0;
}

const char *
engine_authorization(const struct engine *e)
{
	return e->authorization;
}

const char *
engine_upstream_model(const struct engine *e)
{
	return e->upstream[0] ? e->upstream : NULL;
}

const char *
engine_last_error(const struct engine *e)
{
	return e->error;
}

double
engine_start_s(const struct engine *e)
{
	return e->start_s;
}

uint64_t
engine_state_age_us(const struct engine *e, uint64_t now_us)
{
	return now_us - MIN(now_us, e->since_us);
}

void
engine_note_progress(struct engine *e, uint64_t now_us)
{
	e->progress_us = now_us;
	e->failures = 0;
}

uint64_t
engine_last_progress_us(const struct engine *e)
{
	return e->progress_us;
}

void
engine_note_failure(struct engine *e, uint64_t now_us)
{
	(void)now_us;
	if (e->state != ENGINE_READY || e->stopping)
		return; /* otherwise it is asked soon anyway */
	e->failures = MAX(e->failures, e->setup.times.lost_after - 1);
	engine_probe_now(e);
}
