/* SPDX-License-Identifier: MIT */
/*
 * From a request that is understood to its grant: the tenant's contract, the queue, the pump.
 *
 * A limit whose action is `reject` is asked once, before the queue.  One whose action is `queue` lets the request into
 * the queue without a ticket; admission then asks queue_gate() before it grants, and holds the tenant's flow until the
 * limit has room.
 */
#include <stdio.h>

#include "router/gateway_impl.h"

#define RETRY_LOADING_US                                                                           \
	2000000u /* a model that loads, an engine that is lost: when it is worth asking again */

static const struct refusal {
	enum wire_error error;
	enum metrics_label_REASON reason;
} by_limit[] = {
	[TENANT_LIMIT_RATE] = { WIRE_ERR_RATE_LIMITED, METRIC_REASON_RATE_LIMIT },
	[TENANT_LIMIT_TOKENS] = { WIRE_ERR_TOKENS_LIMITED, METRIC_REASON_TOKEN_LIMIT },
	[TENANT_LIMIT_CONCURRENCY] = { WIRE_ERR_CONCURRENCY_LIMITED, METRIC_REASON_CONCURRENCY_LIMIT },
}, by_queue[] = {
	[ADMISSION_QUEUE_REQUESTS] = { WIRE_ERR_QUEUE_FULL, METRIC_REASON_QUEUE_FULL },
	[ADMISSION_QUEUE_BYTES] = { WIRE_ERR_QUEUE_FULL, METRIC_REASON_QUEUE_FULL },
	[ADMISSION_QUEUE_AGE] = { WIRE_ERR_QUEUE_TIMEOUT, METRIC_REASON_QUEUE_TIMEOUT },
	[ADMISSION_QUEUE_GLOBAL] = { WIRE_ERR_OVERLOADED, METRIC_REASON_OVERLOADED },
};

/* the contract ---------------------------------------------------------------------------------------------------- */

/* What is set aside of the tenant's tokens: never more than its bucket holds, so that one request with a huge
 * max_tokens does not lock its tenant out. */
static double
reservation(const struct request *r)
{
	const struct token_bucket *b = &r->tenant->tokens;

	return token_bucket_unlimited(b) ? r->reserve_tok : MIN(r->reserve_tok, b->capacity);
}

static void
refuse_by_limit(struct request *r, const struct tenant_refusal *why)
{
	struct tenant_usage *u = &r->tenant->usage;

	if (why->limit == TENANT_LIMIT_RATE)
		u->refused_rate++;
	else if (why->limit == TENANT_LIMIT_TOKENS)
		u->refused_tokens++;
	else
		u->refused_concurrency++;
	decision(r, "reject", wire_error_info(by_limit[why->limit].error)->code,
		 why->limit == TENANT_LIMIT_RATE     ? "rate_limit"
		 : why->limit == TENANT_LIMIT_TOKENS ? "token_limit"
						     : "concurrency_limit");
	answer_refuse(r, by_limit[why->limit].error, by_limit[why->limit].reason, NULL, NULL,
		      why->retry_us);
}

/* False: refused and answered. */
static bool
sign_contract(struct request *r, struct admission_flow *f)
{
	struct model_flow *mf = container_of(f, struct model_flow, flow);
	uint64_t now_us = r->g->now_us;
	struct tenant_refusal why;

	/* Who finds others waiting for the limit waits behind them. */
	if (mf->without_ticket == 0) {
		if (tenant_admit(r->tenant, reservation(r), now_us, &r->ticket, &why))
			return true;
		if (why.action == TENANT_REJECT || r->g->config->no_queue) {
			refuse_by_limit(r, &why);
			return false;
		}
	}
	if (!tenant_may_wait(r->tenant, reservation(r), now_us, &why)) {
		refuse_by_limit(r, &why);
		return false;
	}
	r->without_ticket = r->adm.must_wait = true;
	r->tenant->waiting++;
	mf->without_ticket++;
	return true;
}

bool
queue_gate(void *ctx, struct admission_request *a, uint64_t now_us, uint64_t *retry_us)
{
	struct request *r = a->user;
	struct tenant_refusal why;

	(void)ctx;
	if (!r->without_ticket)
		return true;
	if (!tenant_admit(r->tenant, reservation(r), now_us, &r->ticket, &why)) {
		*retry_us = now_us + why.retry_us;
		return false;
	}
	queue_forget_ticketless(r);
	return true;
}

void
queue_forget_ticketless(struct request *r)
{
	if (!r->without_ticket)
		return;
	r->without_ticket = false;
	r->tenant->waiting--;
	container_of(r->adm.flow, struct model_flow, flow)->without_ticket--;
}

void
queue_release_tenant(struct gateway *g, const struct tenant *t)
{
	for (unsigned i = 0; i < g->n_models; i++) {
		struct model_flow *f = g->models[i].flows[t->index];

		if (f && f->without_ticket)
			admission_flow_release(g->admission, &f->flow);
	}
}

/* the queue ------------------------------------------------------------------------------------------------------- */

static void
refuse_by_queue(struct request *r, enum admission_reason why, uint64_t wait_us)
{
	char message[192];

	r->tenant->usage.refused_queue++;
	metrics_add(r->g->metrics, METRIC_ADMISSION_REJECTED,
		    (struct metrics_at){ .label = why == ADMISSION_QUEUE_AGE
							  ? METRIC_ADMISSION_TIMEOUT
							  : METRIC_ADMISSION_QUEUE_FULL },
		    1);
	decision(r, "reject", wire_error_info(by_queue[why].error)->code, admission_reason_name(why));
	snprintf(message, sizeof(message), "%s A request like this one would wait about %.1f s.",
		 wire_error_info(by_queue[why].error)->text, (double)wait_us / 1e6);
	answer_refuse(r, by_queue[why].error, by_queue[why].reason, message, NULL, wait_us);
}

static void
arrive(struct request *r)
{
	struct gateway *g = r->g;
	struct admission_flow *f = model_flow(r->model, r->tenant);
	enum admission_reason why;
	uint64_t wait_us = 0;

	queue_loading_over(r);
	r->adm.flow = f;
	if (!request_edit_body(r)) {
		decision(r, "reject", wire_error_info(WIRE_ERR_INVALID_REQUEST)->code, NULL);
		answer_refuse(r, WIRE_ERR_INVALID_REQUEST, METRIC_REASON_BAD_REQUEST,
			      "The model's name is too long to be replaced by the engine's.",
			      "model", 0);
		return;
	}
	if (!sign_contract(r, f))
		return;
	r->adm.active = r->tenant->active + r->tenant->waiting;
	why = admission_arrive(g->admission, &r->adm, g->now_us, &wait_us);
	if (why != ADMISSION_OK) {
		refuse_by_queue(r, why, wait_us);
		return;
	}
	r->queued_us = g->now_us;
	r->overhead_us = clock_mono_us() - g->now_us;
	request_move(r, REQUEST_QUEUED);
	decision(r, "arrive", "queued", NULL);
}

static void
refuse_model(struct request *r, enum wire_error e, enum metrics_label_REASON reason)
{
	char message[WIRE_MODEL_MAX + 256];

	snprintf(message, sizeof(message), "%s (%s: %s)", wire_error_info(e)->text,
		 r->model->config->model_id,
		 engine_last_error(r->model->engine)[0]
			 ? engine_last_error(r->model->engine)
			 : engine_state_name(engine_get_state(r->model->engine)));
	decision(r, "reject", wire_error_info(e)->code,
		 engine_state_name(engine_get_state(r->model->engine)));
	answer_refuse(r, e, reason, message, NULL, RETRY_LOADING_US);
}

void
queue_loading_over(struct request *r)
{
	if (!r->loading)
		return;
	r->loading->loading--;
	r->loading->loading_bytes -= r->adm.bytes;
	r->loading = NULL;
	r->g->loading--;
}

/* The bounds of the queue hold for this wait as well; a queue of none does not forbid it, as while_loading asks for it. */
static void
wait_for_model(struct request *r)
{
	struct gateway *g = r->g;
	struct admission_flow *f = model_flow(r->model, r->tenant);
	struct model_flow *mf = container_of(f, struct model_flow, flow);
	enum admission_reason why = ADMISSION_OK;

	if (g->config->admission_queue_size > 0 && g->loading >= g->config->admission_queue_size)
		why = ADMISSION_QUEUE_GLOBAL;
	else if (mf->loading >= f->max_requests)
		why = ADMISSION_QUEUE_REQUESTS;
	else if (mf->loading && mf->loading_bytes + r->adm.bytes > f->max_bytes)
		why = ADMISSION_QUEUE_BYTES;
	if (why != ADMISSION_OK) {
		refuse_by_queue(r, why, RETRY_LOADING_US);
		return;
	}
	mf->loading++;
	mf->loading_bytes += r->adm.bytes;
	g->loading++;
	r->loading = mf;
	request_move(r, REQUEST_LOADING);
	decision(r, "arrive", "loading", NULL);
	deadlines_note(g, g->now_us + us_of_s(g->config->engine_start_timeout_s));
}

void
queue_enter(struct request *r)
{
	struct gateway *g = r->g;
	enum engine_state s = engine_get_state(r->model->engine);

	if (r->stream) {
		r->wait_since_us = g->now_us; /* not of the head: bodies overtake each other, and the list is in order */
		list_push_back(&g->headless, &r->wait_link);
		deadlines_note(g, g->now_us + us_of_s(g->config->timeouts.head_commit_after_s));
	}
	if (s == ENGINE_READY) {
		arrive(r);
		queue_pump(g);
	} else if (s != ENGINE_STARTING) {
		refuse_model(r, WIRE_ERR_ENGINE_UNAVAILABLE, METRIC_REASON_ENGINE_UNAVAILABLE);
	} else if (g->config->while_loading == CONFIG_LOADING_REJECT) {
		refuse_model(r, WIRE_ERR_MODEL_LOADING, METRIC_REASON_MODEL_LOADING);
	} else {
		wait_for_model(r);
	}
}

void
queue_suspect(struct served_model *m)
{
	if (engine_get_state(m->engine) != ENGINE_READY)
		return;
	m->suspect = true;
	admission_engine_ready(m->g->admission, m->index, false);
}

void
queue_trust(struct served_model *m)
{
	if (!m->suspect)
		return;
	m->suspect = false;
	admission_engine_ready(m->g->admission, m->index, engine_get_state(m->engine) == ENGINE_READY);
	queue_pump(m->g);
}

void
queue_model_changed(struct served_model *m)
{
	struct gateway *g = m->g;
	enum engine_state s = engine_get_state(m->engine);

	m->suspect = false;
	admission_engine_ready(g->admission, m->index, s == ENGINE_READY);
	list_for_each_safe(it, &g->states[REQUEST_LOADING]) {
		struct request *r = list_entry(it, struct request, link);

		if (r->model != m)
			continue;
		if (s == ENGINE_READY)
			arrive(r);
		else if (s == ENGINE_FAILED)
			refuse_model(r, WIRE_ERR_ENGINE_UNAVAILABLE, METRIC_REASON_ENGINE_UNAVAILABLE);
	}
	list_for_each_safe(it, &g->states[REQUEST_QUEUED]) {
		struct request *r = list_entry(it, struct request, link);

		if (r->model == m && s == ENGINE_FAILED)
			refuse_model(r, WIRE_ERR_ENGINE_UNAVAILABLE, METRIC_REASON_ENGINE_UNAVAILABLE);
	}
	queue_pump(g);
}

/* the pump -------------------------------------------------------------------------------------------------------- */

static void
grant(struct request *r)
{
	struct gateway *g = r->g;
	uint64_t wait_us = g->now_us - r->queued_us;
	struct metrics_at at = { .model = r->model->index, .tenant = model_tenant_label(g, r->tenant) };

	request_move(r, REQUEST_WAITING);
	r->granted_us = g->now_us;
	list_push_back(&g->granted, &r->total_link);
	metrics_add(g->metrics, METRIC_ADMISSION_ADMITTED, METRICS_GLOBAL, 1);
	metrics_observe(g->metrics, METRIC_ADMISSION_WAIT, METRICS_GLOBAL, (double)wait_us * 1e-6);
	metrics_observe(g->metrics, METRIC_QUEUE_WAIT, at, (double)wait_us * 1e-6);
	decision(r, "grant", "engine", NULL);
	upstream_start(r);
	r->overhead_us += clock_mono_us() - g->now_us;
	metrics_observe(g->metrics, METRIC_GATEWAY_OVERHEAD, at, (double)r->overhead_us * 1e-6);
	deadlines_note(g, g->now_us + us_of_s(g->config->timeouts.first_token_s));
	if (g->config->timeouts.total_s > 0)
		deadlines_note(g, g->now_us + us_of_s(g->config->timeouts.total_s));
}

void
queue_pump(struct gateway *g)
{
	struct admission_request *a;

	while ((a = admission_next_grant(g->admission, g->now_us)) != NULL)
		grant(a->user);
	deadlines_note(g, admission_next_deadline(g->admission));
}

void
queue_expire(struct gateway *g)
{
	uint64_t too_old_us = us_of_s(g->config->engine_start_timeout_s);
	struct admission_request *a;

	admission_tick(g->admission, g->now_us);
	while ((a = admission_next_expired(g->admission, g->now_us)) != NULL) {
		struct request *r = a->user;

		refuse_by_queue(r, ADMISSION_QUEUE_AGE,
				admission_predict_wait(g->admission, a->flow, a->cost, g->now_us));
	}
	list_for_each_safe(it, &g->states[REQUEST_LOADING]) {
		struct request *r = list_entry(it, struct request, link);

		if (r->entered_us + too_old_us > g->now_us)
			break;
		refuse_model(r, WIRE_ERR_MODEL_LOADING, METRIC_REASON_MODEL_LOADING);
	}
}
