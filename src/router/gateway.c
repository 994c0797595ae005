/* SPDX-License-Identifier: MIT */
/* Birth and death of a gateway, and the wiring between its parts. */
#include "router/gateway.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "router/gateway_impl.h"

#define TENANT_ROOM 1024 /* configured tenants that reloads may add */
#define SCRATCH_MAX ((size_t)64 << 20)
#define DECISION_RING ((size_t)16 << 20)

/* engines --------------------------------------------------------------------------------------------------------- */

static void
on_engine_state(void *ctx, struct engine *e, enum engine_state was, const char *why)
{
	struct served_model *m = ctx;
	enum engine_state now = engine_get_state(e);
	struct gateway *g = m->g;

	gateway_clock(g);
	if (now == ENGINE_READY) {
		model_learn_name(m);
		if (!m->answered)
			metrics_observe(g->metrics, METRIC_ENGINE_COLD_START,
					(struct metrics_at){ .model = m->index }, engine_start_s(e));
		m->answered = true;
		log_info("model %s: ready at %s%s", m->config->model_id, engine_url(e),
			 engine_is_simulated(e) ? " (SIMULATED)" : "");
	} else {
		log_at(now == ENGINE_STARTING ? LOG_INFO : LOG_WARN, "model %s: %s, was %s: %s",
		       m->config->model_id, engine_state_name(now), engine_state_name(was), why);
	}
	decision_engine(m, engine_state_name(now), now == ENGINE_READY ? NULL : why);
	queue_model_changed(m);
}

static void
on_engine_alive(void *ctx, struct engine *e)
{
	struct served_model *m = ctx;

	(void)e;
	gateway_clock(m->g);
	queue_trust(m);
}

static const struct engine_ops engine_ops = { .on_state = on_engine_state, .on_alive = on_engine_alive };

static int
create_engines(struct gateway *g, struct diag *d)
{
	struct engine_setup setup = engine_setup_of(g->boot, g->self_exe);

	for (unsigned i = 0; i < g->n_models; i++) {
		struct served_model *m = &g->models[i];

		m->engine = engine_create(g->loop, m->config, &setup, &engine_ops, m, d);
		if (!m->engine)
			return -EINVAL;
		metrics_set_model(g->metrics, i, slice_of(m->config->model_id),
				  slice_of(engine_kind(m->engine)));
	}
	return 0;
}

/* birth ----------------------------------------------------------------------------------------------------------- */

static void
on_turn(uv_check_t *c)
{
	struct gateway *g = c->data;

	g->turn++;
}

static int
open_logs(struct gateway *g, struct diag *d)
{
	const struct config *c = g->boot;

	buf_init(&g->decision_line, LINE_LOG_LINE_MAX);
	if (c->access_log && *c->access_log) {
		if (access_log_init(&g->access, c->access_log, LINE_LOG_RING_DEFAULT, d) < 0)
			return -EIO;
		g->has_access = true;
	}
	if (c->decision_log && *c->decision_log) {
		g->decisions = line_log_open(c->decision_log, DECISION_RING, d);
		if (!g->decisions)
			return -EIO;
	}
	return 0;
}

static int
listen_all(struct gateway *g, struct diag *d)
{
	const struct config *c = g->boot;

	if (http_server_listen(g->server, c->host, (uint16_t)c->port, 0, &g->port, d) < 0)
		return -EADDRINUSE;
	if (c->unix_socket && *c->unix_socket)
		return http_server_listen_unix(g->server, c->unix_socket, 0, d);
	return 0;
}

static int
build(struct gateway *g, struct config *c, struct diag *d)
{
	unsigned tenants = c->n_exact_tenants + MAX(c->n_exact_tenants / 4, (unsigned)TENANT_ROOM);
	int err;

	g->metrics = metrics_create(MAX(c->n_models, 1u), METRICS_TENANTS_MAX);
	g->tenants = tenant_table_create(tenants, TENANT_UNKNOWN_MAX, g->id_seed);
	err = apply_config(g, config_ref(c), d);
	if (err) {
		config_unref(c);
		return err;
	}
	err = open_logs(g, d);
	if (!err)
		err = create_engines(g, d);
	if (err)
		return err;
	g->server = http_server_create(g->loop, &c->http_limits, &request_server_ops, g);
	return listen_all(g, d);
}

static void
on_nothing(void *ctx)
{
	(void)ctx;
}

struct gateway *
gateway_create(uv_loop_t *loop, struct config *c, const char *self_exe, struct diag *d)
{
	struct gateway *g = must_calloc(1, sizeof(*g));

	g->loop = loop;
	g->boot = c;
	g->self_exe = must_strdup(self_exe);
	g->started_us = gateway_clock(g);
	g->started_wall_us = clock_wall_us();
	digest_random(&g->id_seed, sizeof(g->id_seed));
	buf_init(&g->scratch, SCRATCH_MAX);
	for (unsigned i = 0; i < REQUEST_STATES; i++)
		list_init(&g->states[i]);
	list_init(&g->headless);
	list_init(&g->commented);
	list_init(&g->granted);
	deadlines_init(g);
	page_metrics_init(g);
	uv_check_init(loop, &g->turns);
	g->turns.data = g;
	uv_check_start(&g->turns, on_turn);
	if (build(g, c, d)) {
		gateway_drain(g, on_nothing, NULL);
		gateway_stop(g);
		while (!g->stopped)
			uv_run(loop, UV_RUN_ONCE);
		gateway_destroy(g);
		return NULL;
	}
	for (unsigned i = 0; i < g->n_models; i++)
		engine_start(g->models[i].engine, g->now_us);
	return g;
}

uint16_t
gateway_port(const struct gateway *g)
{
	return g->port;
}

/* while it lives -------------------------------------------------------------------------------------------------- */

int
gateway_reload(struct gateway *g, struct config *c, struct diag *d)
{
	struct diag restart[CONFIG_CHANGES_MAX];
	unsigned n = config_diff(g->boot, c, restart, ARRAY_LEN(restart));
	int err;

	gateway_clock(g);
	err = apply_config(g, c, d);
	if (err) {
		config_unref(c);
		gateway_note_reload_failure(g);
		return err;
	}
	for (unsigned i = 0; i < MIN(n, ARRAY_LEN(restart)); i++)
		log_diag(LOG_WARN, &restart[i]);
	metrics_add(g->metrics, METRIC_CONFIG_RELOADS, METRICS_GLOBAL, 1);
	queue_pump(g);
	deadlines_note(g, g->now_us); /* spans may be shorter now */
	return 0;
}

void
gateway_note_reload_failure(struct gateway *g)
{
	metrics_add(g->metrics, METRIC_CONFIG_RELOAD_FAILURES, METRICS_GLOBAL, 1);
}

void
gateway_reopen_logs(struct gateway *g)
{
	if (g->has_access)
		line_log_reopen(g->access.lines);
	if (g->decisions)
		line_log_reopen(g->decisions);
}

/* death ----------------------------------------------------------------------------------------------------------- */

static void
maybe_done(struct gateway *g)
{
	if (g->stopped || !g->server_closed || g->engines_left || g->handles_left)
		return;
	g->stopped = true;
	g->done(g->done_ctx);
}

static void
on_handle_closed(uv_handle_t *h)
{
	struct gateway *g = h->data;

	g->handles_left--;
	maybe_done(g);
}

static void
on_engine_stopped(void *ctx)
{
	struct gateway *g = ctx;

	g->engines_left--;
	maybe_done(g);
}

static void
on_server_closed(void *ctx)
{
	struct gateway *g = ctx;

	g->server_closed = true;
	maybe_done(g);
}

void
gateway_check_drained(struct gateway *g)
{
	if (g->draining && !g->stopping && g->server && http_server_active(g->server) == 0)
		gateway_stop(g);
}

void
gateway_drain(struct gateway *g, void (*done)(void *ctx), void *ctx)
{
	gateway_clock(g);
	g->done = done;
	g->done_ctx = ctx;
	if (g->draining)
		return;
	g->draining = true;
	g->drain_until_us = g->now_us + us_of_s(g->config ? g->config->timeouts.drain_s : 0);
	deadlines_note(g, g->drain_until_us);
	if (g->server) {
		http_server_drain(g->server);
		if (http_server_active(g->server) == 0)
			deadlines_note(g, g->now_us); /* not from within: the caller has not returned yet */
	}
}

/* Those that have not been granted get a word; streams are cut off. */
static void
refuse_the_waiting(struct gateway *g)
{
	static const enum request_state waiting[] = { REQUEST_LOADING, REQUEST_QUEUED };

	for (size_t i = 0; i < ARRAY_LEN(waiting); i++)
		list_for_each_safe(it, &g->states[waiting[i]]) {
			struct request *r = list_entry(it, struct request, link);

			answer_refuse(r, WIRE_ERR_DRAINING, METRIC_REASON_DRAINING, NULL, NULL, 1000000);
			http_flush(r->x);
		}
}

void
gateway_stop(struct gateway *g)
{
	uv_handle_t *handles[] = { (uv_handle_t *)&g->alarm, (uv_handle_t *)&g->slices,
				   (uv_handle_t *)&g->turns };

	if (g->stopping)
		return;
	gateway_clock(g);
	refuse_the_waiting(g);
	g->stopping = true;
	g->engines_left = 1; /* until all have been asked */
	g->handles_left = ARRAY_LEN(handles);
	if (g->server)
		http_server_close(g->server, on_server_closed, g);
	else
		g->server_closed = true;
	for (unsigned i = 0; g->models && i < g->n_models; i++)
		if (g->models[i].engine) {
			g->engines_left++;
			engine_stop(g->models[i].engine, on_engine_stopped, g);
		}
	for (size_t i = 0; i < ARRAY_LEN(handles); i++)
		uv_close(handles[i], on_handle_closed);
	on_engine_stopped(g);
}

void
gateway_destroy(struct gateway *g)
{
	if (!g)
		return;
	must(g->stopped);
	http_server_destroy(g->server);
	models_destroy(g);
	admission_destroy(g->admission);
	tenant_table_destroy(g->tenants);
	metrics_destroy(g->metrics);
	if (g->has_access)
		access_log_finish(&g->access);
	line_log_close(g->decisions);
	for (unsigned i = 0; i < g->n_organisations; i++)
		free(g->organisations[i].id);
	free(g->organisation_slot);
	buf_finish(&g->decision_line);
	buf_finish(&g->scratch);
	config_unref(g->config);
	config_unref(g->boot);
	free(g->self_exe);
	free(g);
}
