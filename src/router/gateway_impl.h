/* SPDX-License-Identifier: MIT */
/* gateway_impl - what the files of src/router share.  Not for anybody else. */
#pragma once
#include "base/clock.h"
#include "base/log.h"
#include "engine/engine.h"
#include "metrics/access_log.h"
#include "metrics/render.h"
#include "router/gateway.h"
#include "router/request.h"

#define MODEL_JSON_MAX 800 /* bytes of a model name as JSON, with NUL */

/* One tenant's queue at one model, made at its first request there. */
struct model_flow {
	struct admission_flow flow;
	struct tenant *tenant;
	uint64_t generation; /* of the tenant's place when the flow was made */
	unsigned without_ticket; /* of its queued requests: a limit with action `queue` is asked before each */
	unsigned loading; /* requests that wait for the model to be there, and their bytes */
	uint64_t loading_bytes;
};

struct served_model {
	struct gateway *g;
	unsigned index; /* in gateway.models, as admission's engine, as metrics' model */
	const struct config_model *config;  /* of the snapshot that the gateway started with */
	char upstream_json[MODEL_JSON_MAX]; /* the engine's own name for it, as JSON */
	struct engine *engine;
	bool answered; /* once at least */
	bool suspect; /* READY, but a connection failed: nothing new goes there until it has shown that it lives */
	struct model_flow **flows;	 /* by tenant index */
	struct admission_share **shares; /* by organisation slot */
	unsigned streaming;		 /* requests whose events flow */
	uint64_t streaming_since_us;
	uint64_t requests, latency_us; /* ended, and their sum */
};

struct organisation {
	char *id;
	double weight;
};

struct gateway {
	uv_loop_t *loop;
	struct config *boot;   /* models and listeners are of this snapshot */
	struct config *config; /* in force */
	char *self_exe;
	uint64_t now_us; /* of the event that is being handled; see gateway_clock() */
	uint64_t started_us, started_wall_us, turn;

	struct served_model *models;
	unsigned n_models;
	struct map names; /* model names as clients send them -> struct served_model */
	struct tenant_table *tenants;
	bool labelled[METRICS_TENANTS_MAX];
	struct organisation organisations[ADMISSION_ORGANISATIONS_MAX];
	unsigned n_organisations;
	uint16_t *organisation_slot; /* of the config's index */
	struct admission *admission;

	struct http_server *server;
	uint16_t port;
	struct list states[REQUEST_STATES];
	struct list headless;	 /* streams that wait and have no head yet, by arrival */
	struct list commented;	 /* streams that wait and get comments, by the last one */
	unsigned loading;	 /* over all flows */
	struct list granted;	 /* by grant */
	uint64_t requests;	 /* heads accepted */
	unsigned refusal_status; /* of the last answer that http gave by itself */
	uint64_t id_seed;

	struct metrics *metrics;
	struct list scrapes; /* /metrics pages being written */
	unsigned n_scrapes;
	uv_timer_t slices;
	struct access_log access;
	bool has_access;
	struct line_log *decisions;
	struct buf decision_line, scratch;

	uv_timer_t alarm;
	uint64_t alarm_us; /* when it rings; UINT64_MAX: not set */
	uv_check_t turns;
	bool draining, stopping, stopped;
	uint64_t drain_until_us;
	unsigned engines_left, handles_left;
	bool server_closed;
	void (*done)(void *ctx);
	void *done_ctx;
};

/* Reads the clock for the event that begins now, and returns it; everything in it happens at that time. */
static inline uint64_t
gateway_clock(struct gateway *g)
{
	return g->now_us = clock_mono_us();
}

static inline uint64_t
us_of_s(double s)
{
	return (uint64_t)(s * 1e6);
}

/* models.c: names, flows and shares ------------------------------------------------------------------------------ */
struct served_model *model_find(const struct gateway *g, struct slice name);
/* The tenant's flow at that model, with its bounds as they are in force. */
struct admission_flow *model_flow(struct served_model *m, struct tenant *t);
/* The tenant's organisation there, or NULL. */
struct admission_share *model_share(struct served_model *m, const struct tenant *t);
/* Copies the bounds of the tenant's contract. */
void model_flow_bound(struct model_flow *f);
/* The engine is READY: what it calls the model. */
void model_learn_name(struct served_model *m);
/* The same without JSON around it. */
struct slice model_upstream_name(const struct served_model *m);
/* Metrics' place of a tenant; names it the first time. */
unsigned model_tenant_label(struct gateway *g, const struct tenant *t);
void models_create(struct gateway *g);
void models_destroy(struct gateway *g);
/* All models have answered once. */
bool models_all_answered(const struct gateway *g);
bool models_any_simulated(const struct gateway *g);

/* apply.c: a snapshot put in force ------------------------------------------------------------------------------- */
/* Takes over the caller's reference when it succeeds. */
MUST_CHECK int apply_config(struct gateway *g, struct config *c, struct diag *d);

/* identity.c ----------------------------------------------------------------------------------------------------- */
enum identity {
	IDENTITY_KNOWN,
	IDENTITY_BAD_KEY, /* 401 */
	IDENTITY_BAD_NAME /* 400 */
};
enum identity identify_tenant(struct gateway *g, struct http_exchange *x, struct tenant **ret);
/* This machine, or the admin key; anybody where no key is configured. */
bool identify_admin(const struct gateway *g, const struct http_exchange *x);
/* A tenant's key, the admin key, or nobody needs one: may read the list of models. */
bool identify_reader(struct gateway *g, const struct http_exchange *x);
/* Headers that name a tenant; they never go to an engine. */
bool identity_is_tenant_header(struct slice name);

/* routes.c ------------------------------------------------------------------------------------------------------- */
enum route_kind {
	ROUTE_PAGE,  /* answered by the gateway */
	ROUTE_RELAY, /* goes to an engine */
};
struct route {
	const char *path;
	enum route_kind kind;
	void (*page)(struct gateway *g, struct http_exchange *x);
	enum wire_dialect dialect;
	bool takes_usage; /* stream_options.include_usage means something there */
};
/* The endpoint, or NULL with *@e the reason (404, 405). */
const struct route *route_find(struct slice method, struct slice path, enum wire_error *e);
/* What an Allow header says of a path. */
const char *route_allow(struct slice path);
/* The error shape of a path, whether it exists or not. */
enum wire_dialect route_dialect(struct slice path);

/* pages.c, page_metrics.c, page_status.c -------------------------------------------------------------------------- */
void page_health(struct gateway *g, struct http_exchange *x);
void page_live(struct gateway *g, struct http_exchange *x);
void page_ready(struct gateway *g, struct http_exchange *x);
void page_models(struct gateway *g, struct http_exchange *x);
void page_metrics(struct gateway *g, struct http_exchange *x);
void page_status(struct gateway *g, struct http_exchange *x);
/* Answers with the JSON in g->scratch. */
void page_send(struct gateway *g, struct http_exchange *x, unsigned status);
void page_error(struct gateway *g, struct http_exchange *x, enum wire_error e, const char *message);
void page_metrics_init(struct gateway *g);
/* The client of a page left; harmless for others. */
void page_metrics_left(struct gateway *g, struct http_exchange *x);

/* decisions.c ----------------------------------------------------------------------------------------------------- */
/* One line of the decision log; @verdict and @reason may be NULL. */
void decision(struct request *r, const char *event, const char *verdict, const char *reason);
/* An engine is in another state. */
void decision_engine(struct served_model *m, const char *state, const char *reason);

/* deadlines.c ----------------------------------------------------------------------------------------------------- */
void deadlines_init(struct gateway *g);
/* Something has a deadline at @at_us: the alarm rings then at the latest. */
void deadlines_note(struct gateway *g, uint64_t at_us);

/* gateway.c */
/* The last request of a draining gateway may be gone. */
void gateway_check_drained(struct gateway *g);
