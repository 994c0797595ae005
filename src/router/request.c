/* SPDX-License-Identifier: MIT */
/* A request's head and body, up to the queue; and what happens when its client leaves. */
#include "router/request.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "router/gateway_impl.h"

/* states ---------------------------------------------------------------------------------------------------------- */
#define S(NAME) (1u << REQUEST_##NAME)
static const struct {
	const char *name;
	unsigned successors;
} states[] = {
#define X(NAME, name, successors, what) [REQUEST_##NAME] = { name, successors },
#include "router/states.def"
#undef X
};
#undef S

const char *
request_state_name(enum request_state s)
{
	return states[s].name;
}

void
request_move(struct request *r, enum request_state to)
{
	must(states[r->state].successors >> to & 1);
	list_del(&r->link);
	r->state = to;
	r->entered_us = r->g->now_us;
	list_push_back(&r->g->states[to], &r->link);
}

void
request_set_reason(struct request *r, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(r->reason, sizeof(r->reason), fmt, ap);
	va_end(ap);
}

/* the head -------------------------------------------------------------------------------------------------------- */

/* The client's id when it is a sane one, else one of ours. */
static void
take_id(struct request *r, const struct http_headers *h)
{
	struct slice id = http_header_get(h, SLICE("x-request-id"));

	if (http_request_id_valid(id)) {
		memcpy(r->id, id.p, id.n);
		r->id[id.n] = '\0';
	} else {
		snprintf(r->id, sizeof(r->id), "kw-%016" PRIx64 "-%" PRIx64, r->g->id_seed, r->number);
	}
}

static int64_t
retry_count(const struct http_headers *h)
{
	uint64_t n;

	return slice_to_u64(http_header_get(h, SLICE("x-stainless-retry-count")), &n) == 0 && n < INT32_MAX
		       ? (int64_t)n
		       : -1;
}

static struct request *
request_create(struct gateway *g, struct http_exchange *x, const struct route *route)
{
	const struct http_headers *h = http_request_headers(x);
	struct request *r = must_calloc(1, sizeof(*r));

	r->g = g;
	r->x = x;
	r->number = ++g->requests;
	r->route = route;
	r->dialect = route ? route->dialect : route_dialect(http_path(x));
	r->wall_us = clock_wall_us();
	r->head_us = r->entered_us = g->now_us;
	r->client_retry_count = retry_count(h);
	r->max_tokens = -1;
	take_id(r, h);
	buf_init(&r->body, g->config->http_limits.body_bytes);
	buf_init(&r->engine_head, HTTP_CLIENT_LIMITS_DEFAULT.head_bytes * 2);
	buf_init(&r->engine_error, SSE_EVENT_MAX); /* an error that came as an event is passed on whole */
	sse_init(&r->sse);
	list_init(&r->link);
	list_init(&r->total_link);
	list_init(&r->wait_link);
	r->state = REQUEST_READING;
	list_push_back(&g->states[REQUEST_READING], &r->link);
	http_exchange_set_user(x, r);
	return r;
}

static void
request_destroy(struct request *r)
{
	list_del(&r->link);
	list_del(&r->total_link);
	list_del(&r->wait_link);
	if (r->tenant)
		r->tenant->pins--;
	(void)http_server_note_buffered(r->g->server, -(int64_t)r->body_noted);
	free(r->facts);
	buf_finish(&r->body);
	buf_finish(&r->engine_head);
	buf_finish(&r->engine_error);
	buf_finish(&r->call.head);
	sse_finish(&r->sse);
	free(r);
}

/* Why this request may not come, from its head alone; WIRE_ERRORS: it may. */
static enum wire_error
refusal_by_head(struct request *r, const char **message)
{
	const struct http_headers *h = http_request_headers(r->x);
	struct slice encoding = http_header_get(h, SLICE("content-encoding"));

	*message = NULL;
	switch (identify_tenant(r->g, r->x, &r->tenant)) {
	case IDENTITY_BAD_KEY:
		return WIRE_ERR_INVALID_API_KEY;
	case IDENTITY_BAD_NAME:
		*message = "A tenant's name is 1 to 128 printable ASCII characters without blanks.";
		return WIRE_ERR_INVALID_TENANT;
	case IDENTITY_KNOWN:
		r->tenant->pins++;
		break;
	}
	if (r->g->draining)
		return WIRE_ERR_DRAINING;
	if (encoding.n && !slice_ieq(encoding, SLICE("identity"))) {
		*message = "The body has a Content-Encoding; send it as it is.";
		return WIRE_ERR_UNSUPPORTED_MEDIA;
	}
	return WIRE_ERRORS;
}

static enum metrics_label_REASON
reason_of(enum wire_error e)
{
	switch (e) {
	case WIRE_ERR_INVALID_API_KEY:
		return METRIC_REASON_UNAUTHORIZED;
	case WIRE_ERR_DRAINING:
		return METRIC_REASON_DRAINING;
	case WIRE_ERR_MODEL_NOT_FOUND:
		return METRIC_REASON_MODEL_NOT_FOUND;
	case WIRE_ERR_OVERLOADED:
		return METRIC_REASON_OVERLOADED;
	default:
		return METRIC_REASON_BAD_REQUEST;
	}
}

static void
refuse(struct request *r, enum wire_error e, const char *message, const char *param)
{
	uint64_t retry_us = e == WIRE_ERR_DRAINING ? us_of_s(r->g->config->timeouts.drain_s) : 1000000u;

	decision(r, "reject", wire_error_info(e)->code, NULL);
	answer_refuse(r, e, reason_of(e), message, param,
		      wire_error_info(e)->status == 503 ? MAX(retry_us, 1000000u) : 0);
}

static void
on_head(void *ctx, struct http_exchange *x)
{
	struct gateway *g = ctx;
	enum wire_error e = WIRE_ERRORS;
	const struct route *route = route_find(http_method(x), http_path(x), &e);
	const char *message = NULL;
	struct request *r;

	gateway_clock(g);
	if (route && route->kind == ROUTE_PAGE) {
		route->page(g, x);
		return;
	}
	r = request_create(g, x, route);
	if (route)
		e = refusal_by_head(r, &message);
	if (e != WIRE_ERRORS) {
		refuse(r, e, message, NULL);
		return;
	}
	r->facts = must_malloc(sizeof(*r->facts));
	request_facts_init(r->facts);
	http_accept_body(x);
}

/* the body -------------------------------------------------------------------------------------------------------- */

/* Keeps the piece.  False when that would pass a bound: then the request is answered. */
static bool
keep(struct request *r, struct slice piece)
{
	uint64_t length = http_content_length(r->x);
	size_t before = r->body.cap, grown;

	if (before == 0 && length != UINT64_MAX)
		must(buf_reserve(&r->body, MIN((size_t)length,
					       MIN((size_t)REQUEST_BODY_FIRST, r->body.max))) == 0);
	buf_add_slice(&r->body, piece);
	grown = r->body.cap - before;
	if (!r->body.overflow && http_server_note_buffered(r->g->server, (int64_t)grown)) {
		r->body_noted += grown;
		return true;
	}
	if (r->body.overflow) /* after a reload that lowered http.body_bytes */
		refuse(r, WIRE_ERR_BODY_TOO_LARGE, NULL, NULL);
	else
		refuse(r, WIRE_ERR_OVERLOADED,
		       "The gateway holds as many bytes of requests as it may.", NULL);
	return false;
}

static void
refuse_body(struct request *r)
{
	struct request_facts *f = r->facts;

	refuse(r, f->error, f->message[0] ? f->message : NULL, f->param[0] ? f->param : NULL);
}

static void
on_body(void *ctx, struct http_exchange *x, struct slice piece)
{
	struct request *r = http_exchange_user(x);

	gateway_clock(ctx);
	if (r->state != REQUEST_READING)
		return; /* answered already */
	r->body_bytes += piece.n;
	if (keep(r, piece) && !request_facts_feed(r->facts, piece))
		refuse_body(r);
}

bool
request_edit_body(struct request *r)
{
	const struct request_facts *f = r->facts;
	bool fits = true;

	request_edit_init(&r->edit);
	if (r->stream && r->route->takes_usage && !f->include_usage) {
		fits = request_edit_include_usage(&r->edit, f);
		r->hides_usage = true;
	}
	/* Compared without escapes: a name that only looks different stays as it was written. */
	if (!slice_eq(model_upstream_name(r->model), slice_of(f->model)))
		fits = fits && r->model->upstream_json[0] &&
		       request_edit_set(&r->edit, f, WIRE_KEY_MODEL, slice_of(r->model->upstream_json));
	if (fits)
		r->n_pieces = request_edit_apply(&r->edit, buf_slice(&r->body), r->pieces);
	free(r->facts);
	r->facts = NULL;
	return fits;
}

/* Estimates that hold until the engine tells: 4 bytes are a token, an answer has 256 when nothing is said. */
static void
estimate(struct request *r)
{
	const struct request_facts *f = r->facts;
	double answers = (double)MAX(MAX(f->n, f->best_of), 1);
	double out_tok = r->max_tokens >= 0 ? (double)r->max_tokens : ADMISSION_OUTPUT_TOK_ASSUMED;

	r->prompt_tok = f->prompt_is_tokens ? (double)f->prompt_items : (double)f->prompt_bytes / 4;
	r->reserve_tok = r->prompt_tok + answers * out_tok;
	r->adm = (struct admission_request){
		.cost = admission_cost(f->prompt_is_tokens ? 4 * f->prompt_items : f->prompt_bytes,
				       r->max_tokens),
		.bytes = (uint32_t)MIN(r->body.n, (size_t)UINT32_MAX),
		.max_tokens = r->max_tokens,
		.user = r,
	};
}

static void
on_body_end(void *ctx, struct http_exchange *x)
{
	struct request *r = http_exchange_user(x);
	struct request_facts *f;
	char message[WIRE_MODEL_MAX + 64];

	gateway_clock(ctx);
	if (r->state != REQUEST_READING)
		return;
	f = r->facts;
	if (!request_facts_end(f)) {
		refuse_body(r);
		return;
	}
	if (!f->model[0]) {
		refuse(r, WIRE_ERR_MISSING_MODEL, NULL, "model");
		return;
	}
	r->model = model_find(r->g, slice_of(f->model));
	if (!r->model) {
		snprintf(message, sizeof(message),
			 "The model '%s' does not exist; GET /v1/models lists those that do.", f->model);
		refuse(r, WIRE_ERR_MODEL_NOT_FOUND, message, "model");
		return;
	}
	r->stream = f->stream;
	r->max_tokens = f->max_tokens;
	estimate(r);
	queue_enter(r);
}

/* the end --------------------------------------------------------------------------------------------------------- */

static const char *
close_reason(const struct request *r, enum http_close why)
{
	switch (why) {
	case HTTP_CLOSE_SLOW:
		return "client_slow";
	case HTTP_CLOSE_TIMEOUT:
		return "body_timeout";
	case HTTP_CLOSE_BAD:
		return r->state == REQUEST_READING ? "bad_body" : "read_ahead";
	case HTTP_CLOSE_ABORTED:
		return "cut_off";
	case HTTP_CLOSE_DONE:
	case HTTP_CLOSE_LEFT:
		break;
	}
	return "client_disconnect";
}

/* The client is gone before its answer was complete: everything goes back in this turn of the loop. */
static void
request_left(struct request *r, enum http_close why)
{
	if (!r->reason[0])
		request_set_reason(r, "%s", close_reason(r, why));
	if (r->state == REQUEST_READING && (why == HTTP_CLOSE_BAD || why == HTTP_CLOSE_TIMEOUT))
		r->status = r->g->refusal_status; /* http has just answered in our place */
	decision(r, "leave", request_state_name(r->state), r->reason);
	if (http_call_running(&r->call)) {
		http_call_cancel(&r->call);
		decision(r, "upstream_closed", NULL, r->reason);
	}
	settle(r, OUTCOME_LEFT);
	request_move(r, REQUEST_TAIL);
}

static void
on_close(void *ctx, struct http_exchange *x, enum http_close why)
{
	struct gateway *g = ctx;
	struct request *r = http_exchange_user(x);

	gateway_clock(g);
	if (!r) { /* a page's */
		page_metrics_left(g, x);
		gateway_check_drained(g);
		return;
	}
	if (r->state != REQUEST_TAIL)
		request_left(r, why);
	settle_log(r, why);
	request_destroy(r);
	queue_pump(g);
	gateway_check_drained(g);
}

/* What http refuses by itself has the API's shape too. */
static unsigned
render_refusal(void *ctx, const struct http_refused *why, struct buf *body)
{
	static const enum wire_error errors[HTTP_REFUSALS] = {
		[HTTP_REFUSE_BAD_REQUEST] = WIRE_ERR_INVALID_REQUEST,
		[HTTP_REFUSE_TIMEOUT] = WIRE_ERR_REQUEST_TIMEOUT,
		[HTTP_REFUSE_LENGTH] = WIRE_ERR_LENGTH_REQUIRED,
		[HTTP_REFUSE_BODY_SIZE] = WIRE_ERR_BODY_TOO_LARGE,
		[HTTP_REFUSE_URI_SIZE] = WIRE_ERR_URI_TOO_LONG,
		[HTTP_REFUSE_EXPECT] = WIRE_ERR_EXPECTATION_FAILED,
		[HTTP_REFUSE_HEAD_SIZE] = WIRE_ERR_HEAD_TOO_LARGE,
		[HTTP_REFUSE_VERSION] = WIRE_ERR_VERSION,
		[HTTP_REFUSE_OVERLOAD] = WIRE_ERR_OVERLOADED,
	};
	enum wire_dialect dialect = route_dialect(why->path);
	enum wire_error e = errors[why->what];
	struct slice text = slice_of(wire_error_info(e)->text);
	struct gateway *g = ctx;
	char message[256];

	g->refusal_status = wire_error_status(e, dialect);
	text.n--; /* its full stop */
	snprintf(message, sizeof(message), SLICE_FMT ": %s.", SLICE_ARG(text), why->detail);
	wire_error_body(body, e, dialect, message, NULL);
	metrics_add(g->metrics, METRIC_REJECTS,
		    (struct metrics_at){ .label = e == WIRE_ERR_OVERLOADED ? METRIC_REASON_OVERLOADED
									   : METRIC_REASON_BAD_REQUEST },
		    1);
	return g->refusal_status;
}

const struct http_server_ops request_server_ops = {
	.on_head = on_head,
	.on_body = on_body,
	.on_body_end = on_body_end,
	.on_close = on_close,
	.render_refusal = render_refusal,
};
