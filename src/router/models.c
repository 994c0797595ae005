/* SPDX-License-Identifier: MIT */
/* The models that are served: their names, and what each tenant and organisation has at each. */
#include <stdlib.h>

#include "base/json_writer.h"
#include "router/gateway_impl.h"

static void
add_name(struct gateway *g, const char *name, struct served_model *m)
{
	if (name && *name && !map_get(&g->names, slice_of(name)))
		map_put(&g->names, slice_of(name), m);
}

void
models_create(struct gateway *g)
{
	unsigned tenants = tenant_table_capacity(g->tenants);

	g->n_models = g->boot->n_models;
	g->models = must_calloc(MAX(g->n_models, 1u), sizeof(*g->models));
	map_init(&g->names, g->id_seed);
	map_reserve(&g->names, (size_t)2 * g->n_models);
	for (unsigned i = 0; i < g->n_models; i++) {
		struct served_model *m = &g->models[i];

		m->g = g;
		m->index = i;
		m->config = &g->boot->models[i];
		m->flows = must_calloc(tenants, sizeof(*m->flows));
		m->shares = must_calloc(ADMISSION_ORGANISATIONS_MAX, sizeof(*m->shares));
		add_name(g, m->config->model_id, m);
		metrics_set_model(g->metrics, i, slice_of(m->config->model_id), SLICE("unknown"));
	}
	/* A full name beats another model's short one. */
	for (unsigned i = 0; i < g->n_models; i++)
		add_name(g, g->models[i].config->short_name, &g->models[i]);
}

void
models_destroy(struct gateway *g)
{
	unsigned tenants = g->tenants ? tenant_table_capacity(g->tenants) : 0;

	for (unsigned i = 0; g->models && i < g->n_models; i++) {
		struct served_model *m = &g->models[i];

		engine_destroy(m->engine);
		for (unsigned t = 0; t < tenants; t++)
			free(m->flows[t]);
		for (unsigned o = 0; o < ADMISSION_ORGANISATIONS_MAX; o++)
			free(m->shares[o]);
		free(m->flows);
		free(m->shares);
	}
	free(g->models);
	map_finish(&g->names);
}

struct served_model *
model_find(const struct gateway *g, struct slice name)
{
	return map_get(&g->names, name);
}

bool
models_all_answered(const struct gateway *g)
{
	for (unsigned i = 0; i < g->n_models; i++)
		if (!g->models[i].answered)
			return false;
	return true;
}

bool
models_any_simulated(const struct gateway *g)
{
	for (unsigned i = 0; i < g->n_models; i++)
		if (engine_is_simulated(g->models[i].engine))
			return true;
	return false;
}

/* flows ----------------------------------------------------------------------------------------------------------- */

struct admission_share *
model_share(struct served_model *m, const struct tenant *t)
{
	const struct gateway *g = m->g;
	unsigned slot;

	if (t->organisation < 0)
		return NULL;
	slot = g->organisation_slot[t->organisation];
	if (!m->shares[slot]) {
		m->shares[slot] = must_malloc(sizeof(*m->shares[slot]));
		admission_share_init(m->shares[slot], g->organisations[slot].weight);
	}
	return m->shares[slot];
}

void
model_flow_bound(struct model_flow *f)
{
	const struct tenant_limits *l = &f->tenant->limits;

	f->flow.priority = l->priority;
	f->flow.max_requests = l->queue_requests;
	f->flow.max_bytes = l->queue_bytes;
	f->flow.max_age_us = l->queue_age_us;
}

struct admission_flow *
model_flow(struct served_model *m, struct tenant *t)
{
	struct model_flow *f = m->flows[t->index];

	if (f && f->generation == t->generation)
		return &f->flow;
	if (f) /* the place has another tenant now; pins kept it until the old one's requests were gone */
		admission_flow_finish(m->g->admission, &f->flow);
	else
		f = m->flows[t->index] = must_malloc(sizeof(*f));
	*f = (struct model_flow){ .tenant = t, .generation = t->generation, .flow.weight = t->limits.weight };
	model_flow_bound(f);
	admission_flow_init(m->g->admission, &f->flow, m->index, model_share(m, t));
	metrics_prepare(m->g->metrics, m->index, model_tenant_label(m->g, t));
	return &f->flow;
}

unsigned
model_tenant_label(struct gateway *g, const struct tenant *t)
{
	/* The tenant that others share may have a place of its own in the table, and must not have a second series. */
	if (t->label >= METRICS_TENANTS_MAX || !strcmp(t->id, TENANT_OTHER))
		return metrics_tenant_other(g->metrics);
	if (!g->labelled[t->label]) {
		g->labelled[t->label] = true;
		metrics_set_tenant(g->metrics, t->label, slice_of(t->id));
	}
	return t->label;
}

struct slice
model_upstream_name(const struct served_model *m)
{
	const char *name = engine_upstream_model(m->engine);

	return slice_of(name ? name : m->config->model_id);
}

/* A name that is too long as JSON is never sent: the edit does not fit then. */
void
model_learn_name(struct served_model *m)
{
	struct buf *out = &m->g->scratch;
	struct json_writer w;

	buf_clear(out);
	jw_init(&w, out);
	jw_slice(&w, model_upstream_name(m));
	m->upstream_json[0] = '\0';
	if (out->n < sizeof(m->upstream_json))
		memcpy(m->upstream_json, buf_cstr(out), out->n + 1);
}
