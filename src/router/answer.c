/* SPDX-License-Identifier: MIT */
/* What the client reads: heads, refusals, failures, and the signs of life of a stream that waits. */
#include <math.h>
#include <stdio.h>

#include "router/gateway_impl.h"

#define OUR_FIELDS 24		  /* beside the engine's */
#define RETRY_FAILURE_US 2000000u /* an engine that was not there: when it is worth asking again */
#define RETRY_WORTH_US 60000000u  /* SDKs do not wait longer: then they are told not to try */
#define SIGN_OF_LIFE ": waiting\n\n" /* a comment in an event stream */

/* heads ----------------------------------------------------------------------------------------------------------- */

struct head {
	struct http_header v[HTTP_HEADERS_MAX + OUR_FIELDS];
	unsigned n;
	char text[16][TENANT_DURATION_LEN]; /* values that are made here */
	unsigned n_text;
};

static void
add(struct head *h, struct slice name, struct slice value)
{
	must(h->n < ARRAY_LEN(h->v));
	h->v[h->n++] = (struct http_header){ name, value };
}

static void
add_count(struct head *h, struct slice name, double n)
{
	char *text = h->text[h->n_text++];

	must(h->n_text <= ARRAY_LEN(h->text));
	snprintf(text, TENANT_DURATION_LEN, "%.0f", n);
	add(h, name, slice_of(text));
}

static void
add_duration(struct head *h, struct slice name, uint64_t us)
{
	char *text = h->text[h->n_text++];

	must(h->n_text <= ARRAY_LEN(h->text));
	tenant_duration(us, text);
	add(h, name, slice_of(text));
}

/* Limits that the tenant does not have are not spoken of. */
static void
add_headroom(struct head *h, struct request *r)
{
	struct tenant_headroom requests, tokens;

	if (!r->tenant)
		return;
	tenant_headroom(r->tenant, r->g->now_us, &requests, &tokens);
	if (requests.limit > 0) {
		add_count(h, SLICE("x-ratelimit-limit-requests"), requests.limit);
		add_count(h, SLICE("x-ratelimit-remaining-requests"), requests.remaining);
		add_duration(h, SLICE("x-ratelimit-reset-requests"), requests.reset_us);
	}
	if (tokens.limit > 0) {
		add_count(h, SLICE("x-ratelimit-limit-tokens"), tokens.limit);
		add_count(h, SLICE("x-ratelimit-remaining-tokens"), tokens.remaining);
		add_duration(h, SLICE("x-ratelimit-reset-tokens"), tokens.reset_us);
	}
}

static void
add_retry(struct head *h, enum wire_retry retry, uint64_t wait_us)
{
	if (wait_us) {
		add_count(h, SLICE("retry-after"), ceil((double)wait_us / 1e6));
		add_count(h, SLICE("retry-after-ms"), ceil((double)wait_us / 1e3));
	}
	if (retry == WIRE_RETRY_NO || wait_us > RETRY_WORTH_US)
		add(h, SLICE("x-should-retry"), SLICE("false"));
	else if (retry == WIRE_RETRY_YES)
		add(h, SLICE("x-should-retry"), SLICE("true"));
}

static void
head_init(struct head *h, struct request *r)
{
	h->n = h->n_text = 0;
	add(h, SLICE("x-request-id"), slice_of(r->id));
	if (r->dialect == WIRE_ANTHROPIC) /* the name that its SDKs read */
		add(h, SLICE("request-id"), slice_of(r->id));
	add_headroom(h, r);
}

static bool
has_field(const struct head *h, struct slice name)
{
	return http_header_get(&(struct http_headers){ h->n, h->v }, name).p != NULL;
}

/* Proxies in front of us must not hold a stream back. */
static void
add_stream_fields(struct head *h)
{
	if (!has_field(h, SLICE("x-accel-buffering")))
		add(h, SLICE("x-accel-buffering"), SLICE("no"));
	if (!has_field(h, SLICE("cache-control")))
		add(h, SLICE("cache-control"), SLICE("no-cache"));
}

/* The engine's own fields, as upstream.c kept them, less those that we say ourselves. */
static void
add_engine_fields(struct head *h, const struct request *r)
{
	const struct http_headers ours = { h->n, h->v };
	const char *p = r->engine_head.p;

	for (unsigned i = 0; i < r->engine_fields; i++) {
		struct slice name = slice_of(p), value;

		p += name.n + 1;
		value = slice_of(p);
		p += value.n + 1;
		if (!http_header_get(&ours, name).p)
			add(h, name, value);
	}
}

static struct http_headers
headers_of(const struct head *h)
{
	return (struct http_headers){ h->n, h->v };
}

/* the end --------------------------------------------------------------------------------------------------------- */

static void
to_tail(struct request *r)
{
	r->ended = true;
	request_move(r, REQUEST_TAIL);
}

void
answer_end(struct request *r)
{
	http_respond_end(r->x);
	to_tail(r);
}

/* The error as a whole answer. */
static void
respond_error(struct request *r, enum wire_error e, const char *message, const char *param,
	      uint64_t retry_us)
{
	struct buf *body = &r->g->scratch;
	struct http_headers headers;
	struct head h;

	buf_clear(body);
	wire_error_body(body, e, r->dialect, message, param);
	head_init(&h, r);
	add(&h, SLICE("content-type"), SLICE("application/json"));
	add_retry(&h, wire_error_info(e)->retry, retry_us);
	if (e == WIRE_ERR_METHOD_NOT_ALLOWED)
		add(&h, SLICE("allow"), slice_of(route_allow(http_path(r->x))));
	headers = headers_of(&h);
	r->status = wire_error_status(e, r->dialect);
	http_respond(r->x, r->status, &headers, buf_slice(body));
	to_tail(r);
}

/* The head is out: the error is an event, and no [DONE] follows it. */
static void
respond_error_event(struct request *r, enum wire_error e, const char *message)
{
	struct buf *event = &r->g->scratch;
	struct slice piece;

	buf_clear(event);
	if (r->sse.oversize) /* half of an event is out */
		buf_add_str(event, "\n\n");
	wire_error_event(event, e, r->dialect, message);
	piece = buf_slice(event);
	http_respond_data(r->x, &piece, 1);
	answer_end(r);
}

static void
say_error(struct request *r, enum wire_error e, const char *message, const char *param, uint64_t retry_us)
{
	if (!r->reason[0])
		request_set_reason(r, "%s", wire_error_info(e)->code);
	if (r->saw_error && !r->status) { /* what the engine itself said counts more */
		answer_engine_error(r, r->engine_status, buf_slice(&r->engine_error));
	} else if (r->saw_error || r->saw_done) { /* nothing may follow these in a stream */
		answer_end(r);
	} else if (!r->status) {
		respond_error(r, e, message, param, retry_us);
	} else if (r->early_head || r->is_events) {
		respond_error_event(r, e, message);
	} else { /* half of a JSON answer: the client must see that it is cut off */
		http_abort(r->x);
		to_tail(r);
	}
}

void
answer_refuse(struct request *r, enum wire_error e, enum metrics_label_REASON reason,
	      const char *message, const char *param, uint64_t retry_us)
{
	struct metrics *m = r->g->metrics;

	metrics_add(m, METRIC_REJECTS, (struct metrics_at){ .label = reason }, 1);
	if (r->tenant) {
		unsigned label = model_tenant_label(r->g, r->tenant);

		metrics_add(m, METRIC_TENANT_REJECTED,
			    (struct metrics_at){ .tenant = label, .label = reason }, 1);
		if (reason == METRIC_REASON_RATE_LIMIT || reason == METRIC_REASON_TOKEN_LIMIT ||
		    reason == METRIC_REASON_CONCURRENCY_LIMIT)
			metrics_add(m, METRIC_TENANT_REQUESTS_REJECTED,
				    (struct metrics_at){ .tenant = label }, 1);
	}
	settle(r, OUTCOME_ERROR);
	say_error(r, e, message, param, retry_us);
}

void
answer_failure(struct request *r, enum wire_error e, const char *message)
{
	settle(r, OUTCOME_ERROR);
	say_error(r, e, message, NULL, wire_error_info(e)->status == 503 ? RETRY_FAILURE_US : 0);
}

/* the engine's answer --------------------------------------------------------------------------------------------- */

void
answer_engine_head(struct request *r)
{
	enum http_framing framing = r->is_events		     ? HTTP_STREAM
				    : r->engine_length != UINT64_MAX ? HTTP_LENGTH
								     : HTTP_CHUNKED;
	struct http_headers headers;
	struct head h;

	head_init(&h, r);
	add_engine_fields(&h, r);
	if (r->is_events)
		add_stream_fields(&h);
	headers = headers_of(&h);
	r->status = r->engine_status;
	http_respond_head(r->x, r->status, &headers, framing,
			  framing == HTTP_LENGTH ? r->engine_length : 0);
}

void
answer_engine_error(struct request *r, unsigned status, struct slice body)
{
	struct http_headers headers;
	struct head h;

	head_init(&h, r);
	add(&h, SLICE("content-type"), SLICE("application/json"));
	headers = headers_of(&h);
	r->status = status;
	http_respond(r->x, status, &headers, body);
	to_tail(r);
}

/* signs of life --------------------------------------------------------------------------------------------------- */

void
answer_early_head(struct request *r)
{
	struct http_headers headers;
	struct head h;

	head_init(&h, r);
	add(&h, SLICE("content-type"), SLICE("text/event-stream; charset=utf-8"));
	add_stream_fields(&h);
	headers = headers_of(&h);
	r->early_head = true;
	r->status = 200;
	http_respond_head(r->x, 200, &headers, HTTP_STREAM, 0);
	decision(r, "early_head", request_state_name(r->state), NULL);
	answer_comment(r);
}

void
answer_comment(struct request *r)
{
	struct slice comment = SLICE(SIGN_OF_LIFE);

	http_respond_data(r->x, &comment, 1);
	r->wait_since_us = r->g->now_us;
	list_del(&r->wait_link);
	list_push_back(&r->g->commented, &r->wait_link);
}
