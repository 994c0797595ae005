/* SPDX-License-Identifier: MIT */
/*
 * A snapshot of the configuration put in force, at the start and at each reload: tenants, keys, limits, scheduling and
 * logging at once.  What can fail is tried first, so that a refused snapshot changes nothing.
 */
#include <errno.h>
#include <stdlib.h>

#include "router/gateway_impl.h"

/* vLLM has given an aborted request up after two steps; SGLang looks once a second. */
#define ABORT_LAG_US (ADMISSION_ABORT_LAG_MS_DEFAULT * 1000u)
#define ABORT_LAG_SGLANG_US 1000000u

static enum admission_policy
policy_of(const struct config *c)
{
	static const enum admission_policy of[] = {
		[CONFIG_SCHED_UNSET] = ADMISSION_WINDOW,
		[CONFIG_FAIR] = ADMISSION_WINDOW, /* until there is more to it */
		[CONFIG_WINDOW] = ADMISSION_WINDOW,
		[CONFIG_FIFO] = ADMISSION_FIFO,
		[CONFIG_DRR] = ADMISSION_DRR,
	};

	return of[c->scheduling];
}

static struct admission_params
params_of(const struct config *c)
{
	return (struct admission_params){
		.policy = policy_of(c),
		.max_concurrent = (unsigned)c->max_concurrent,
		.queue_requests = (unsigned)c->admission_queue_size,
		.no_queue = c->no_queue,
		.abort_lag_us = ABORT_LAG_US,
	};
}

/* organisations --------------------------------------------------------------------------------------------------- */

static int
slot_of(const struct gateway *g, const char *id)
{
	for (unsigned i = 0; i < g->n_organisations; i++)
		if (!strcmp(g->organisations[i].id, id))
			return (int)i;
	return -1;
}

static unsigned
count_new_organisations(const struct gateway *g, const struct config *c)
{
	unsigned n = 0;

	for (unsigned i = 0; i < c->n_organisations; i++)
		n += slot_of(g, c->organisations[i].id) < 0;
	return n;
}

/* An organisation keeps its slot for ever, so that what it has received is not forgotten over a reload. */
static void
apply_organisations(struct gateway *g, const struct config *c)
{
	free(g->organisation_slot);
	g->organisation_slot = must_calloc(MAX(c->n_organisations, 1u), sizeof(*g->organisation_slot));
	for (unsigned i = 0; i < c->n_organisations; i++) {
		const struct config_organisation *o = &c->organisations[i];
		int slot = slot_of(g, o->id);

		if (slot < 0) {
			slot = (int)g->n_organisations++;
			g->organisations[slot].id = must_strdup(o->id);
		}
		g->organisations[slot].weight = o->weight;
		g->organisation_slot[i] = (uint16_t)slot;
		for (unsigned m = 0; m < g->n_models; m++)
			if (g->models[m].shares[slot])
				admission_share_set_weight(g->admission, m,
							   g->models[m].shares[slot], o->weight);
	}
}

/* models and their flows ------------------------------------------------------------------------------------------ */

/* The models themselves are of the first snapshot; a later one may change their windows. */
static void
apply_windows(struct gateway *g, const struct config *c)
{
	for (unsigned i = 0; i < g->n_models; i++)
		for (unsigned k = 0; k < c->n_models; k++)
			if (!strcmp(g->models[i].config->model_id, c->models[k].model_id))
				admission_set_window(g->admission, i,
						     (unsigned)c->models[k].max_in_flight);
}

static void
set_abort_lags(struct gateway *g)
{
	for (unsigned i = 0; i < g->n_models; i++)
		admission_set_abort_lag(g->admission, i,
					g->models[i].config->engine == CONFIG_SGLANG ? ABORT_LAG_SGLANG_US
										     : ABORT_LAG_US);
}

static void
apply_flows(struct gateway *g)
{
	unsigned tenants = tenant_table_capacity(g->tenants);

	for (unsigned i = 0; i < g->n_models; i++)
		for (unsigned t = 0; t < tenants; t++) {
			struct model_flow *f = g->models[i].flows[t];

			if (!f || f->generation != f->tenant->generation)
				continue;
			model_flow_bound(f);
			admission_flow_update(g->admission, &f->flow, f->tenant->limits.weight,
					      model_share(&g->models[i], f->tenant));
			admission_flow_release(g->admission, &f->flow);
		}
}

/* logging --------------------------------------------------------------------------------------------------------- */

static void
apply_log_level(const struct config *c)
{
	enum log_level level;

	if (log_level_parse(c->log_level, &level) == 0) /* the loader has checked it */
		log_set_level(level);
}

int
apply_config(struct gateway *g, struct config *c, struct diag *d)
{
	struct admission_params p = params_of(c);

	if (g->n_organisations + count_new_organisations(g, c) > ADMISSION_ORGANISATIONS_MAX) {
		diag_what(d, "more than %d organisations since the start", ADMISSION_ORGANISATIONS_MAX);
		diag_hint(d, "a restart forgets those that are gone");
		return -ENOSPC;
	}
	if (tenant_table_configure(g->tenants, &c->tenants, g->now_us) < 0) {
		diag_what(d, "more new tenants than a running gateway has room for");
		diag_hint(d, "restart it with this file");
		return -ENOSPC;
	}
	if (!g->admission)
		g->admission = admission_create(&p, queue_gate, g);
	else
		admission_configure(g->admission, &p, g->now_us);
	if (!g->models) {
		models_create(g);
		set_abort_lags(g);
	}
	apply_organisations(g, c);
	apply_windows(g, c);
	apply_flows(g);
	apply_log_level(c);
	if (g->server)
		http_server_set_limits(g->server, &c->http_limits);
	config_unref(g->config);
	g->config = c;
	return 0;
}
