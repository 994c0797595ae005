/* SPDX-License-Identifier: MIT */
/* A granted request and its engine: what goes out, and what comes back until it is over. */
#include <stdio.h>
#include <stdlib.h>

#include "router/gateway_impl.h"

/* what goes out --------------------------------------------------------------------------------------------------- */

static bool
stays_here(const struct http_headers *h, struct slice name)
{
	static const struct slice ours[] = { SLICE_INIT("accept-encoding"), SLICE_INIT("content-type"),
					     SLICE_INIT("content-encoding"),
					     SLICE_INIT("x-request-id") };

	for (size_t i = 0; i < ARRAY_LEN(ours); i++)
		if (slice_ieq(name, ours[i]))
			return true;
	return http_header_is_hop(h, name) || http_header_is_secret(name) ||
	       identity_is_tenant_header(name);
}

static void
add(struct http_header *v, unsigned *n, struct slice name, struct slice value)
{
	must(*n < HTTP_HEADERS_MAX);
	v[(*n)++] = (struct http_header){ name, value };
}

static void on_head(void *ctx, unsigned status, const struct http_headers *headers);
static void on_data(void *ctx, struct slice piece);
static void on_batch_end(void *ctx);
static void on_end(void *ctx);
static void on_error(void *ctx, enum http_call_error err, const char *detail);
static bool may_retry(void *ctx);

static const struct http_call_ops call_ops = {
	.on_head = on_head,
	.on_data = on_data,
	.on_batch_end = on_batch_end,
	.on_end = on_end,
	.on_error = on_error,
	.may_retry = may_retry,
};

void
upstream_start(struct request *r)
{
	const struct http_headers *h = http_request_headers(r->x);
	const char *authorization = engine_authorization(r->model->engine);
	struct http_header v[HTTP_HEADERS_MAX];
	struct slice query = http_query(r->x);
	struct buf *target = &r->g->scratch;
	struct http_call_request rq = { .method = SLICE("POST"), .body_pieces = r->n_pieces };
	unsigned n = 0;

	add(v, &n, SLICE("content-type"), SLICE("application/json"));
	add(v, &n, SLICE("accept-encoding"), SLICE("identity"));
	add(v, &n, SLICE("x-request-id"), slice_of(r->id));
	if (authorization)
		add(v, &n, SLICE("authorization"), slice_of(authorization));
	/* The client's may be as many as the server takes; what does not fit beside ours is not worth a refusal. */
	for (unsigned i = 0; i < h->n && n < HTTP_HEADERS_MAX; i++)
		if (!stays_here(h, h->v[i].name))
			add(v, &n, h->v[i].name, h->v[i].value);
	buf_clear(target);
	buf_add_slice(target, http_path(r->x));
	if (query.n) {
		buf_add_char(target, '?');
		buf_add_slice(target, query);
	}
	rq.target = buf_slice(target);
	rq.headers = (struct http_headers){ n, v };
	for (unsigned i = 0; i < r->n_pieces; i++)
		rq.body[i] = r->pieces[i];
	http_call_start(&r->call, engine_pool(r->model->engine), &rq, &call_ops, r);
}

/* A connection that the engine closed while it lay idle is no failure of the request; the end of its process is. */
static bool
may_retry(void *ctx)
{
	const struct request *r = ctx;

	return engine_get_state(r->model->engine) != ENGINE_FAILED;
}

/* what comes back ------------------------------------------------------------------------------------------------- */

static void
note_progress(struct request *r)
{
	engine_note_progress(r->model->engine, gateway_clock(r->g));
	queue_trust(r->model);
}

static void
keep_head(struct request *r, const struct http_headers *h)
{
	for (unsigned i = 0; i < h->n; i++) {
		struct slice name = h->v[i].name;

		if (http_header_is_hop(h, name))
			continue;
		buf_add_slice(&r->engine_head, name);
		buf_add_char(&r->engine_head, '\0');
		buf_add_slice(&r->engine_head, h->v[i].value);
		buf_add_char(&r->engine_head, '\0');
		r->engine_fields++;
	}
}

/* The request has arrived whole and is not sent again: its bytes are of no more use.  An engine may answer before it has
 * read all; then they stay. */
static void
drop_body(struct request *r)
{
	if (!http_call_sent(&r->call))
		return;
	buf_finish(&r->body);
	(void)http_server_note_buffered(r->g->server, -(int64_t)r->body_noted);
	r->body_noted = 0;
}

static void
on_head(void *ctx, unsigned status, const struct http_headers *h)
{
	struct request *r = ctx;
	struct slice type = http_header_get(h, SLICE("content-type")), coding;
	uint64_t length;

	note_progress(r);
	drop_body(r);
	r->engine_status = status;
	r->engine_length = slice_to_u64(http_header_get(h, SLICE("content-length")), &length) == 0
				   ? length
				   : UINT64_MAX;
	if (status == 204 || status == 304)
		r->engine_length = 0;
	keep_head(r, h);
	type.n = MIN(type.n, sizeof("text/event-stream") - 1);
	coding = http_header_get(h, SLICE("content-encoding"));
	r->is_events = status == 200 && slice_ieq(type, SLICE("text/event-stream")) &&
		       (!coding.n || slice_ieq(coding, SLICE("identity"))); /* else nothing can be read of it */
	if (r->is_events)
		return; /* its head waits for the first event */
	answer_facts_init(&r->whole);
	r->is_collected = r->early_head;
	if (r->is_collected)
		return;
	list_del(&r->wait_link);
	answer_engine_head(r);
}

static void
on_data(void *ctx, struct slice piece)
{
	struct request *r = ctx;

	note_progress(r);
	if (r->is_events) {
		sse_feed(&r->sse, piece, stream_event, r);
		return;
	}
	if (r->is_collected || r->engine_status >= 400)
		buf_add_slice(&r->engine_error,
			      (struct slice){ piece.p, MIN(piece.n, REQUEST_ENGINE_ERROR_MAX -
									    r->engine_error.n) });
	else
		answer_facts_feed(&r->whole, piece);
	if (!r->is_collected)
		http_respond_data(r->x, &piece, 1);
}

static void
on_batch_end(void *ctx)
{
	struct request *r = ctx;

	if (r->status)
		http_flush(r->x);
}

/* What the engine's error says, for the log. */
static void
note_engine_error(struct request *r)
{
	struct chunk_facts f;

	chunk_facts_read_error(&f, buf_slice(&r->engine_error));
	request_set_reason(r, "engine_%u: %s", r->engine_status, f.error_message);
}

static void
end_whole(struct request *r)
{
	bool good = r->engine_status < 400;

	if (good && !r->is_collected) {
		answer_facts_end(&r->whole);
		r->usage = r->whole.facts.usage;
		r->text_bytes = r->whole.facts.text_bytes;
	}
	if (!good)
		note_engine_error(r);
	if (r->is_collected) {
		struct chunk_facts f;

		chunk_facts_read_error(&f, buf_slice(&r->engine_error));
		answer_failure(r, WIRE_ERR_BAD_GATEWAY,
			       good ? "The engine answered a streaming request without a stream."
			       : f.error_message[0] ? f.error_message
						    : NULL);
		return;
	}
	settle(r, good ? OUTCOME_OK : OUTCOME_ERROR);
	answer_end(r);
}

static void
on_end(void *ctx)
{
	struct request *r = ctx;
	struct gateway *g = r->g;

	gateway_clock(g);
	if (r->is_events)
		stream_end(r);
	else
		end_whole(r);
	queue_pump(g);
}

static void
on_error(void *ctx, enum http_call_error err, const char *detail)
{
	static const struct {
		enum wire_error e;
		const char *what;
	} meaning[] = {
		[HTTP_CALL_RESOLVE] = { WIRE_ERR_ENGINE_UNAVAILABLE,
					"The engine's host name has no address" },
		[HTTP_CALL_CONNECT] = { WIRE_ERR_ENGINE_UNAVAILABLE, "The engine cannot be reached" },
		[HTTP_CALL_CONNECT_TIMEOUT] = { WIRE_ERR_ENGINE_UNAVAILABLE,
						"The engine did not take a connection in time" },
		[HTTP_CALL_CLOSED] = { WIRE_ERR_BAD_GATEWAY,
				       "The engine closed the connection before its answer was complete" },
		[HTTP_CALL_BAD_RESPONSE] = { WIRE_ERR_BAD_GATEWAY,
					     "The engine's answer is not HTTP, or over a limit" },
		[HTTP_CALL_TIMEOUT] = { WIRE_ERR_ENGINE_TIMEOUT, "The engine did not answer in time" },
	};
	struct request *r = ctx;
	struct gateway *g = r->g;
	char message[320];

	gateway_clock(g);
	if (err != HTTP_CALL_BAD_RESPONSE)
		queue_suspect(r->model);
	engine_note_failure(r->model->engine, g->now_us);
	snprintf(message, sizeof(message), "%s%s%s%s.", meaning[err].what, detail ? " (" : "",
		 detail ? detail : "", detail ? ")" : "");
	log_info("request %s: %s", r->id, message);
	if (r->saw_done) /* the connection was cut off, the answer was not */
		stream_end(r);
	else
		answer_failure(r, meaning[err].e, message);
	queue_pump(g);
}

void
upstream_give_up(struct request *r, enum wire_error e, const char *why)
{
	decision(r, "timeout", request_state_name(r->state), why);
	http_call_cancel(&r->call);
	decision(r, "upstream_closed", NULL, why);
	request_set_reason(r, "%s", why);
	settle(r, OUTCOME_TIMEOUT);
	answer_failure(r, e, NULL);
}
