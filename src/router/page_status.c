/* SPDX-License-Identifier: MIT */
/*
 * /kvwarden/status: the original's snapshot with its keys, and ours beside them.  `kvwarden status` prints it.
 *
 * Of many tenants only STATUS_TENANTS_MAX are shown, those that were seen first: /metrics has the numbers, this page is
 * for people.
 */
#include <math.h>

#include "base/json_writer.h"
#include "router/gateway_impl.h"

#define STATUS_TENANTS_MAX 1000
#define SHORT_TOK 256 /* the original's length buckets by max_tokens */
#define MEDIUM_TOK 1024
#define LONG_TOK 4096

static const char *const scheduling_names[] = {
	[CONFIG_SCHED_UNSET] = "fair", [CONFIG_FAIR] = "fair", [CONFIG_WINDOW] = "window",
	[CONFIG_FIFO] = "fifo",	       [CONFIG_DRR] = "drr",
};

/* A limit that does not exist is null. */
static void
kv_limit(struct json_writer *w, const char *key, double v)
{
	jw_key(w, key);
	if (v > 0)
		jw_double(w, v, 3);
	else
		jw_null(w);
}

static void
kv_null(struct json_writer *w, const char *key)
{
	jw_key(w, key);
	jw_null(w);
}

static double
average_latency_s(const struct served_model *m)
{
	return m->requests ? (double)m->latency_us * 1e-6 / (double)m->requests : 0;
}

/* as the original had it: those that have answered, by id */
static void
add_loaded(const struct gateway *g, struct json_writer *w)
{
	jw_key(w, "loaded_models");
	jw_object(w);
	for (unsigned i = 0; i < g->n_models; i++) {
		const struct served_model *m = &g->models[i];

		if (!m->answered)
			continue;
		jw_key(w, m->config->model_id);
		jw_object(w);
		jw_kv_str(w, "engine", engine_kind(m->engine));
		jw_kv_uint(w, "port", engine_port(m->engine));
		jw_kv_uint(w, "request_count", m->requests);
		jw_kv_double(w, "avg_latency_s", average_latency_s(m), 4);
		kv_null(w, "eviction_score");
		jw_kv_bool(w, "healthy", engine_get_state(m->engine) == ENGINE_READY);
		jw_kv_double(w, "uptime_s", (double)engine_state_age_us(m->engine, g->now_us) * 1e-6, 1);
		jw_end_object(w);
	}
	jw_end_object(w);
}

static void
add_models(const struct gateway *g, struct json_writer *w)
{
	jw_key(w, "models");
	jw_array(w);
	for (unsigned i = 0; i < g->n_models; i++) {
		const struct served_model *m = &g->models[i];
		struct admission_engine_stats a;

		admission_engine_stats(g->admission, i, &a);
		jw_object(w);
		jw_kv_str(w, "id", m->config->model_id);
		jw_kv_str(w, "short_name", m->config->short_name);
		jw_kv_str(w, "engine", engine_kind(m->engine));
		jw_kv_str(w, "state", engine_state_name(engine_get_state(m->engine)));
		jw_kv_bool(w, "simulated", engine_is_simulated(m->engine));
		jw_kv_str(w, "endpoint", engine_url(m->engine));
		kv_limit(w, "window", a.window);
		jw_kv_uint(w, "in_flight", a.granted);
		jw_kv_uint(w, "draining", a.draining);
		jw_kv_uint(w, "queued", a.queued);
		jw_kv_uint(w, "request_count", m->requests);
		jw_kv_double(w, "avg_latency_s", average_latency_s(m), 4);
		jw_kv_str(w, "error",
			  engine_last_error(m->engine)[0] ? engine_last_error(m->engine) : NULL);
		jw_end_object(w);
	}
	jw_end_array(w);
}

/* Waiting requests by the length that they ask for. */
static void
add_depths(const struct gateway *g, struct json_writer *w)
{
	static const char *const names[] = { "short", "medium", "long", "xlarge" };
	uint64_t n[ARRAY_LEN(names)] = { 0 };

	list_for_each(it, &g->states[REQUEST_QUEUED]) {
		int64_t tok = list_entry(it, struct request, link)->max_tokens;

		if (tok < 0)
			tok = SHORT_TOK;
		n[tok <= SHORT_TOK ? 0 : tok <= MEDIUM_TOK ? 1 : tok <= LONG_TOK ? 2 : 3]++;
	}
	jw_key(w, "queue_depths");
	jw_object(w);
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		jw_kv_uint(w, names[i], n[i]);
	jw_end_object(w);
}

static void
add_admission(const struct gateway *g, struct json_writer *w)
{
	uint64_t admitted = 0, rejected = 0, expired = 0;
	double all;

	for (unsigned i = 0; i < g->n_models; i++) {
		struct admission_engine_stats a;

		admission_engine_stats(g->admission, i, &a);
		admitted += a.admitted;
		rejected += a.rejected;
		expired += a.expired;
	}
	all = (double)(admitted + rejected + expired);
	jw_key(w, "admission");
	jw_object(w);
	kv_limit(w, "max_concurrent", (double)g->config->max_concurrent);
	if (g->config->no_queue)
		jw_kv_uint(w, "queue_size", 0);
	else
		kv_limit(w, "queue_size", (double)g->config->admission_queue_size);
	jw_kv_uint(w, "in_flight", admission_granted(g->admission));
	jw_kv_uint(w, "queue_depth", admission_queued(g->admission));
	jw_kv_uint(w, "total_admitted", admitted);
	jw_kv_uint(w, "total_rejected", rejected);
	jw_kv_uint(w, "total_timed_out", expired);
	jw_kv_double(w, "admission_rate", all > 0 ? (double)admitted / all : 1, 4);
	jw_kv_double(w, "rejection_rate", all > 0 ? (double)(rejected + expired) / all : 0, 4);
	jw_end_object(w);
}

/* No ledger of the cache is kept by this version. */
static void
add_cache(struct json_writer *w)
{
	jw_key(w, "cache");
	jw_object(w);
	jw_kv_uint(w, "total_blocks", 0);
	kv_null(w, "hit_rate");
	jw_key(w, "tiers");
	jw_object(w);
	jw_end_object(w);
	jw_key(w, "model_blocks");
	jw_object(w);
	jw_end_object(w);
	jw_end_object(w);
}

static void
add_tenant(const struct gateway *g, struct json_writer *w, struct tenant *t)
{
	const struct tenant_limits *l = &t->limits;
	const struct tenant_usage *u = &t->usage;

	jw_key(w, t->id);
	jw_object(w);
	jw_kv_str(w, "tenant_id", t->id);
	jw_kv_str(w, "organisation",
		  t->organisation >= 0 ? g->organisations[g->organisation_slot[t->organisation]].id
				       : NULL);
	jw_kv_double(w, "weight", l->weight, 6);
	jw_key(w, "budget");
	jw_object(w);
	kv_limit(w, "max_concurrent_requests", l->max_concurrent);
	kv_limit(w, "rate_limit_rpm", l->rate_rpm);
	kv_limit(w, "rate_limit_burst", l->rate_rpm > 0 ? l->rate_burst : 0);
	kv_limit(w, "rate_limit_tpm", l->tokens_rpm);
	jw_kv_double(w, "max_gpu_memory_gb", l->gpu_memory_gb, 3);
	jw_kv_int(w, "priority", l->priority);
	jw_end_object(w);
	jw_key(w, "usage");
	jw_object(w);
	jw_kv_uint(w, "request_count", u->ok + u->failed);
	jw_kv_uint(w, "token_count_in", u->tokens_in);
	jw_kv_uint(w, "token_count_out", u->tokens_out);
	jw_kv_double(w, "gpu_seconds", u->engine_s, 3);
	jw_kv_uint(w, "active_requests", t->active);
	jw_key(w, "rate_limit_tokens_remaining");
	if (token_bucket_unlimited(&t->requests))
		jw_null(w);
	else
		jw_double(w, token_bucket_level(&t->requests, g->now_us), 3);
	jw_kv_uint(w, "refused",
		   u->refused_rate + u->refused_tokens + u->refused_concurrency + u->refused_queue);
	jw_end_object(w);
	jw_end_object(w);
}

static void
add_tenants(const struct gateway *g, struct json_writer *w)
{
	unsigned capacity = tenant_table_capacity(g->tenants), n = 0, left = 0;

	jw_key(w, "tenants");
	jw_object(w);
	for (unsigned i = 0; i < capacity; i++) {
		struct tenant *t = tenant_table_at(g->tenants, i);

		if (!t)
			continue;
		if (n < STATUS_TENANTS_MAX) {
			add_tenant(g, w, t);
			n++;
		} else {
			left++;
		}
	}
	jw_end_object(w);
	jw_kv_uint(w, "tenants_not_shown", left);
}

void
page_status(struct gateway *g, struct http_exchange *x)
{
	double uptime_s = (double)(g->now_us - g->started_us) * 1e-6;
	struct json_writer w;

	if (!identify_admin(g, x)) {
		page_error(g, x, WIRE_ERR_FORBIDDEN, NULL);
		return;
	}
	buf_clear(&g->scratch);
	jw_init(&w, &g->scratch);
	jw_object(&w);
	jw_kv_str(&w, "version", KVWARDEN_VERSION);
	jw_kv_double(&w, "uptime_s", uptime_s, 1);
	jw_kv_bool(&w, "simulated", models_any_simulated(g));
	jw_kv_str(&w, "state",
		  g->draining		   ? "draining"
		  : models_all_answered(g) ? "ok"
					   : "loading");
	jw_kv_str(&w, "scheduling", scheduling_names[g->config->scheduling]);
	add_loaded(g, &w);
	add_models(g, &w);
	add_depths(g, &w);
	add_admission(g, &w);
	add_cache(&w);
	add_tenants(g, &w);
	jw_key(&w, "metrics");
	jw_object(&w);
	jw_kv_double(&w, "uptime_s", uptime_s, 1);
	jw_kv_uint(&w, "total_requests", g->requests);
	jw_end_object(&w);
	jw_end_object(&w);
	page_send(g, x, 200);
}
