/* SPDX-License-Identifier: MIT */
/* The end of a request's claims: permit, ticket, metrics, and its line in the access log. */
#include <math.h>

#include "router/gateway_impl.h"

/* What it really used, as far as anybody knows: the engine's count, else what was seen of the answer. */
static void
tokens_used(const struct request *r, double *prompt, double *completion)
{
	bool prefilled = r->first_token_us || r->outcome == OUTCOME_OK || r->outcome == OUTCOME_LEFT;

	if (r->usage.known) {
		*prompt = (double)r->usage.prompt_tok;
		*completion = (double)r->usage.completion_tok;
	} else {
		*prompt = prefilled ? r->prompt_tok : 0;
		*completion = r->token_chunks ? (double)r->token_chunks
					      : floor((double)r->text_bytes / 4);
	}
}

static void
permit_back(struct request *r, double prompt, double completion)
{
	struct admission *a = r->g->admission;
	double used = admission_cost_used((int64_t)prompt, (int64_t)completion);

	switch (r->adm.state) {
	case ADMISSION_GRANTED:
		/* When we cut the connection the engine needs a moment until it has given the request up. */
		if (r->outcome == OUTCOME_LEFT || r->outcome == OUTCOME_TIMEOUT) {
			admission_abort(a, &r->adm, used, r->g->now_us);
			decision(r, "abort", "permit", r->reason);
		} else {
			admission_finish(a, &r->adm, used, r->g->now_us);
			decision(r, "finish", r->outcome == OUTCOME_OK ? "ok" : "error", r->reason);
		}
		break;
	case ADMISSION_QUEUED:
		admission_abort(a, &r->adm, 0, r->g->now_us);
		decision(r, "abort", "dequeued", r->reason);
		break;
	case ADMISSION_NEW:
	case ADMISSION_DONE:
		break;
	}
}

static void
count_tokens(struct request *r, struct metrics_at at, double prompt, double completion)
{
	struct metrics *m = r->g->metrics;

	metrics_add(m, METRIC_TOKENS_INPUT, at, prompt);
	metrics_add(m, METRIC_TOKENS_GENERATED, at, completion);
	at.label = METRIC_KIND_INPUT;
	metrics_add(m, METRIC_TOKENS, at, prompt);
	at.label = METRIC_KIND_OUTPUT;
	metrics_add(m, METRIC_TOKENS, at, completion);
	r->tenant->usage.tokens_in += (uint64_t)prompt;
	r->tenant->usage.tokens_out += (uint64_t)completion;
}

/* A request that an engine had. */
static void
count(struct request *r, double prompt, double completion)
{
	static const unsigned status[] = {
		[OUTCOME_OK] = METRIC_STATUS_OK,
		[OUTCOME_ERROR] = METRIC_STATUS_ERROR,
		[OUTCOME_TIMEOUT] = METRIC_STATUS_TIMEOUT,
		[OUTCOME_LEFT] = METRIC_STATUS_ERROR,
	};
	static const unsigned cut[] = {
		[OUTCOME_ERROR] = METRIC_DISCONNECT_UPSTREAM,
		[OUTCOME_TIMEOUT] = METRIC_DISCONNECT_TIMEOUT,
		[OUTCOME_LEFT] = METRIC_DISCONNECT_CLIENT,
	};
	struct gateway *g = r->g;
	struct metrics_at at = { .model = r->model->index,
				 .tenant = model_tenant_label(g, r->tenant),
				 .label = status[r->outcome] };
	double latency_s = (double)(g->now_us - r->head_us) * 1e-6;

	metrics_add(g->metrics, METRIC_REQUESTS, at, 1);
	at.label = 0;
	metrics_observe(g->metrics, METRIC_REQUEST_LATENCY, at, latency_s);
	count_tokens(r, at, prompt, completion);
	if (r->outcome == OUTCOME_OK) {
		metrics_add(g->metrics, METRIC_TENANT_REQUESTS, at, 1);
		r->tenant->usage.ok++;
	} else {
		r->tenant->usage.failed++;
		if (r->stream)
			metrics_add(g->metrics, METRIC_STREAM_DISCONNECT,
				    (struct metrics_at){ .label = cut[r->outcome] }, 1);
	}
	if (completion > 1 && r->last_token_us > r->first_token_us)
		metrics_observe(g->metrics, METRIC_TPOT, at,
				(double)(r->last_token_us - r->first_token_us) * 1e-6 / (completion - 1));
	r->tenant->usage.engine_s += (double)(g->now_us - r->granted_us) * 1e-6;
	r->model->requests++;
	r->model->latency_us += g->now_us - r->head_us;
}

void
settle(struct request *r, enum request_outcome outcome)
{
	double prompt, completion;

	if (r->settled)
		return;
	r->settled = true;
	r->outcome = outcome;
	tokens_used(r, &prompt, &completion);
	queue_forget_ticketless(r);
	queue_loading_over(r);
	permit_back(r, prompt, completion);
	list_del(&r->wait_link);
	list_del(&r->total_link);
	if (r->counts_stream)
		r->model->streaming--;
	if (r->granted_us) {
		tenant_settle(&r->ticket, prompt + completion, r->g->now_us);
		count(r, prompt, completion);
	} else {
		tenant_refund(&r->ticket, r->g->now_us);
	}
	if (r->tenant)
		queue_release_tenant(r->g, r->tenant);
}

void
settle_log(struct request *r, enum http_close why)
{
	struct gateway *g = r->g;
	double prompt, completion;
	bool known;

	if (!g->has_access)
		return;
	tokens_used(r, &prompt, &completion);
	known = r->granted_us && (r->usage.known || r->first_token_us);
	if (why != HTTP_CLOSE_DONE && !r->reason[0])
		request_set_reason(r, "client_disconnect");
	access_log_write(&g->access,
			 &(struct access_entry){
				 .ts_wall_us = r->wall_us,
				 .request_id = slice_of(r->id),
				 .tenant = slice_of(r->tenant ? r->tenant->id : NULL),
				 .model = slice_of(r->model ? r->model->config->model_id : NULL),
				 .path = http_path(r->x),
				 .status = r->status,
				 .stream = r->stream,
				 .prompt_tokens = known ? (int64_t)prompt : -1,
				 .completion_tokens = known ? (int64_t)completion : -1,
				 .queue_us = r->granted_us ? (int64_t)(r->granted_us - r->queued_us) : -1,
				 .ttft_us = r->first_token_us ? (int64_t)(r->first_token_us - r->head_us)
							      : -1,
				 .duration_us = g->now_us - r->head_us,
				 .bytes_in = r->body_bytes,
				 .bytes_out = http_bytes_out(r->x),
				 .reason = slice_of(r->reason),
				 .engine = slice_of(r->model ? engine_kind(r->model->engine) : NULL),
				 .client_retry_count = r->client_retry_count,
			 });
}
