/* SPDX-License-Identifier: MIT */
/* Small pages: health, readiness, the list of models. */
#include "base/json_writer.h"
#include "router/gateway_impl.h"

static void
answer(struct gateway *g, struct http_exchange *x, unsigned status, bool again)
{
	const struct http_header v[] = {
		{ SLICE("content-type"), SLICE("application/json") },
		{ SLICE("cache-control"), SLICE("no-store") },
		{ SLICE("retry-after"), SLICE("1") },
		{ SLICE("retry-after-ms"), SLICE("1000") },
	};
	struct http_headers h = { ARRAY_LEN(v) - (again ? 0 : 2), v };

	http_respond(x, status, &h, buf_slice(&g->scratch));
}

void
page_send(struct gateway *g, struct http_exchange *x, unsigned status)
{
	answer(g, x, status, false);
}

void
page_error(struct gateway *g, struct http_exchange *x, enum wire_error e, const char *message)
{
	buf_clear(&g->scratch);
	wire_error_body(&g->scratch, e, WIRE_OPENAI, message, NULL);
	answer(g, x, wire_error_info(e)->status, wire_error_info(e)->status == 503);
}

static void
begin(struct gateway *g, struct json_writer *w)
{
	buf_clear(&g->scratch);
	jw_init(w, &g->scratch);
	jw_object(w);
}

/* Ids in the order of their names, as the original sorted them. */
static unsigned
sorted_models(const struct gateway *g, bool answered, const char *ret[CONFIG_MODELS_MAX])
{
	unsigned n = 0;

	for (unsigned i = 0; i < g->n_models; i++) {
		const char *id = g->models[i].config->model_id;
		unsigned at = n;

		if (g->models[i].answered != answered)
			continue;
		for (; at > 0 && strcmp(ret[at - 1], id) > 0; at--)
			ret[at] = ret[at - 1];
		ret[at] = id;
		n++;
	}
	return n;
}

static unsigned
add_models(const struct gateway *g, struct json_writer *w, const char *key, bool answered)
{
	const char *ids[CONFIG_MODELS_MAX];
	unsigned n = sorted_models(g, answered, ids);

	jw_key(w, key);
	jw_array(w);
	for (unsigned i = 0; i < n; i++)
		jw_str(w, ids[i]);
	jw_end_array(w);
	return n;
}

static void
add_simulated(const struct gateway *g, struct json_writer *w)
{
	if (models_any_simulated(g))
		jw_kv_bool(w, "simulated", true);
}

void
page_health(struct gateway *g, struct http_exchange *x)
{
	bool all = models_all_answered(g);
	struct json_writer w;

	begin(g, &w);
	jw_kv_str(&w, "status", g->draining ? "draining" : all ? "ok" : "loading");
	if (!all)
		add_models(g, &w, "missing_models", false);
	add_models(g, &w, "loaded_models", true);
	add_simulated(g, &w);
	jw_end_object(&w);
	page_send(g, x, all && !g->draining ? 200 : 503);
}

void
page_live(struct gateway *g, struct http_exchange *x)
{
	struct json_writer w;

	begin(g, &w);
	jw_kv_str(&w, "status", "alive");
	add_simulated(g, &w);
	jw_end_object(&w);
	page_send(g, x, 200);
}

/* Every model can be asked right now. */
void
page_ready(struct gateway *g, struct http_exchange *x)
{
	struct json_writer w;
	bool all = !g->draining;

	begin(g, &w);
	jw_key(&w, "engines");
	jw_object(&w);
	for (unsigned i = 0; i < g->n_models; i++) {
		enum engine_state s = engine_get_state(g->models[i].engine);

		jw_kv_str(&w, g->models[i].config->model_id, engine_state_name(s));
		all &= s == ENGINE_READY;
	}
	jw_end_object(&w);
	jw_kv_str(&w, "status", g->draining ? "draining" : all ? "ready" : "not_ready");
	add_simulated(g, &w);
	jw_end_object(&w);
	page_send(g, x, all ? 200 : 503);
}

/* the list of models ---------------------------------------------------------------------------------------------- */

static void
add_model(struct json_writer *w, const struct served_model *m, const char *id)
{
	const struct gateway *g = m->g;

	jw_object(w);
	jw_kv_str(w, "id", id);
	jw_kv_str(w, "object", "model");
	jw_kv_uint(w, "created", g->started_wall_us / 1000000);
	jw_kv_str(w, "owned_by", "kvwarden");
	jw_kv_str(w, "root", m->config->model_id);
	jw_kv_str(w, "engine", engine_kind(m->engine));
	jw_kv_bool(w, "healthy", engine_get_state(m->engine) == ENGINE_READY);
	if (engine_is_simulated(m->engine))
		jw_kv_bool(w, "simulated", true);
	jw_end_object(w);
}

/* Only those that have answered, as the original did; /health names the others. */
static void
list_models(struct gateway *g, struct json_writer *w)
{
	jw_kv_str(w, "object", "list");
	jw_key(w, "data");
	jw_array(w);
	for (unsigned i = 0; i < g->n_models; i++) {
		const struct served_model *m = &g->models[i];
		const char *alias = m->config->short_name;

		if (!m->answered)
			continue;
		add_model(w, m, m->config->model_id);
		if (alias && *alias && strcmp(alias, m->config->model_id) != 0 &&
		    model_find(g, slice_of(alias)) == m)
			add_model(w, m, alias);
	}
	jw_end_array(w);
}

void
page_models(struct gateway *g, struct http_exchange *x)
{
	struct slice path = http_path(x), list = SLICE("/v1/models");
	struct json_writer w;

	if (!identify_reader(g, x)) {
		page_error(g, x, WIRE_ERR_INVALID_API_KEY, NULL);
		return;
	}
	if (path.n > list.n + 1) {
		struct slice id = { path.p + list.n + 1, path.n - list.n - 1 };
		const struct served_model *m = model_find(g, id);

		if (!m) {
			page_error(g, x, WIRE_ERR_MODEL_NOT_FOUND, NULL);
			return;
		}
		buf_clear(&g->scratch);
		jw_init(&w, &g->scratch);
		add_model(&w, m,
			  slice_eq(id, slice_of(m->config->model_id)) ? m->config->model_id
								      : m->config->short_name);
	} else {
		begin(g, &w);
		list_models(g, &w);
		jw_end_object(&w);
	}
	page_send(g, x, 200);
}
