/* SPDX-License-Identifier: MIT */
/*
 * The engine's event stream, event by event.  Whole events only: one that the client did not ask for is left out, all
 * others go out with the bytes that they came with.
 */
#include <stdio.h>

#include "router/gateway_impl.h"

#define DONE_EVENT "data: [DONE]\n\n"

/* The first event is here, so the head can go: 200, with the engine's own fields. */
static void
begin(struct request *r)
{
	struct served_model *m = r->model;

	list_del(&r->wait_link);
	if (!r->early_head)
		answer_engine_head(r);
	request_move(r, REQUEST_STREAMING);
	r->counts_stream = true;
	if (m->streaming++ == 0)
		m->streaming_since_us = r->g->now_us;
	deadlines_note(r->g, r->g->now_us + us_of_s(r->g->config->timeouts.no_progress_s));
}

static void
forward(struct request *r, const struct slice *pieces, unsigned n)
{
	if (r->status)
		http_respond_data(r->x, pieces, n);
}

static void
note_first_token(struct request *r)
{
	struct gateway *g = r->g;
	struct metrics_at at = { .model = r->model->index, .tenant = model_tenant_label(g, r->tenant) };
	double ttft_s = (double)(g->now_us - r->head_us) * 1e-6;

	r->first_token_us = g->now_us;
	admission_first_token(g->admission, &r->adm, g->now_us);
	metrics_observe(g->metrics, METRIC_TTFT, at, ttft_s);
	metrics_observe(g->metrics, METRIC_TENANT_TTFT, at, ttft_s);
	decision(r, "first_token", NULL, NULL);
}

static void
note_facts(struct request *r, const struct chunk_facts *f)
{
	wire_usage_merge(&r->usage, &f->usage);
	r->saw_finish |= f->has_finish;
	if (!f->has_token)
		return;
	if (!r->first_token_us)
		note_first_token(r);
	r->last_token_us = r->g->now_us;
	r->token_chunks += MAX(f->token_choices, 1u);
	r->text_bytes += f->text_bytes;
	admission_progress(r->g->admission, &r->adm, MAX(f->token_choices, 1u), r->g->now_us);
}

/* An error in the stream.  As its first event it can still become the answer's status, once the engine is through. */
static void
take_error(struct request *r, const struct chunk_facts *f, const struct sse_event *ev)
{
	r->saw_error = true;
	if (f->error_code >= 400 && f->error_code < 600)
		r->engine_status = (unsigned)f->error_code;
	else
		r->engine_status = 502;
	request_set_reason(r, "engine_%u: %s", r->engine_status, f->error_message);
	if (r->status) {
		forward(r, &ev->raw, 1);
		return;
	}
	list_del(&r->wait_link); /* no early head any more */
	buf_add_slice(&r->engine_error, ev->data);
}

void
stream_event(void *request, const struct sse_event *ev)
{
	struct request *r = request;
	struct slice pieces[3];
	struct chunk_facts f;

	if (r->ended || r->saw_error || (r->saw_done && (ev->has_data || ev->oversize))) /* nothing follows these */
		return;
	if (!ev->has_data && !ev->oversize) {
		forward(r, &ev->raw, 1); /* a comment; one before the head does not make it go out */
		return;
	}
	if (ev->is_done) {
		r->saw_done = true;
		if (r->state == REQUEST_WAITING)
			begin(r);
		forward(r, &ev->raw, 1);
		return;
	}
	if (ev->oversize) {
		f = (struct chunk_facts){ .has_token = !r->in_oversize };
	} else {
		chunk_facts_read(&f, ev->data);
		if (r->at_end && f.bad) /* half of an event */
			return;
		if (f.has_error) {
			take_error(r, &f, ev);
			return;
		}
	}
	r->in_oversize = ev->oversize;
	if (r->state == REQUEST_WAITING)
		begin(r);
	note_facts(r, &f);
	if (!r->hides_usage || !f.usage.known)
		forward(r, &ev->raw, 1);
	else if (!f.usage_only)
		forward(r, pieces, chunk_facts_hide_usage(&f, ev->raw, ev->data, pieces));
}

/* An event that lacks its empty line is one all the same, provided that it is whole. */
static void
end_last_event(struct request *r)
{
	struct slice rest = sse_rest(&r->sse);

	if (!rest.n && !r->sse.oversize)
		return;
	r->at_end = true;
	sse_feed(&r->sse, rest.n && rest.p[rest.n - 1] == '\n' ? SLICE("\n") : SLICE("\n\n"),
		 stream_event, r);
}

/* Where the protocol is known, its end is too; elsewhere the engine's end is taken for it. */
static bool
is_complete(const struct request *r)
{
	return r->saw_done || r->saw_finish || (!r->route->path[0] && r->status);
}

void
stream_end(struct request *r)
{
	struct slice done = SLICE(DONE_EVENT);

	end_last_event(r);
	if (r->saw_error || !is_complete(r)) {
		answer_failure(r, WIRE_ERR_BAD_GATEWAY,
			       "The engine ended its stream before the answer was complete.");
	} else {
		if (!r->saw_done && r->route->takes_usage)
			forward(r, &done, 1);
		settle(r, OUTCOME_OK);
		answer_end(r);
	}
}
