/* SPDX-License-Identifier: MIT */
/* One request and its answer on a connection: sending, parsing, and the single retry. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/uio.h>
#include <unistd.h>

#include "http/client_impl.h"

/* answer parsing --------------------------------------------------------------------------------------------- */

static int
parse_fail(struct http_conn *c, const char *why)
{
	c->error = why;
	return HPE_USER;
}

static int
add_bytes(struct http_conn *c, const char *at, size_t n)
{
	buf_add(&c->head, at, n);
	return c->head.overflow ? parse_fail(c, "the head of the answer is too long") : 0;
}

static int
on_field(llhttp_t *p, const char *at, size_t n)
{
	struct http_conn *c = p->data;

	if (c->head_done)
		return 0; /* a trailer */
	if (c->in_value || c->n_fields == 0) {
		if (c->n_fields >= MIN(c->pool->limits.headers, HTTP_HEADERS_MAX))
			return parse_fail(c, "the answer has too many header fields");
		c->fields[c->n_fields].name = c->fields[c->n_fields].value = (uint32_t)c->head.n;
		c->fields[c->n_fields].name_n = c->fields[c->n_fields].value_n = 0;
		c->n_fields++;
		c->in_value = false;
	}
	c->fields[c->n_fields - 1].name_n += (uint32_t)n;
	return add_bytes(c, at, n);
}

static int
on_value(llhttp_t *p, const char *at, size_t n)
{
	struct http_conn *c = p->data;

	if (c->head_done)
		return 0;
	if (!c->in_value)
		c->fields[c->n_fields - 1].value = (uint32_t)c->head.n;
	c->in_value = true;
	c->fields[c->n_fields - 1].value_n += (uint32_t)n;
	return add_bytes(c, at, n);
}

static int
on_value_complete(llhttp_t *p)
{
	struct http_conn *c = p->data;

	c->in_value = true;
	return 0;
}

/* One Content-Length, or Transfer-Encoding: chunked, or neither: another coding could not be undone. */
static bool
framing_is_plain(const llhttp_t *p, const struct http_headers *h)
{
	unsigned lengths = 0, codings = 0;

	for (unsigned i = 0; i < h->n; i++) {
		lengths += slice_ieq(h->v[i].name, SLICE("content-length"));
		if (slice_ieq(h->v[i].name, SLICE("transfer-encoding"))) {
			codings++;
			if (!slice_ieq(h->v[i].value, SLICE("chunked")) || p->http_minor == 0)
				return false;
		}
	}
	/* What the parser does not take for chunked, "chunked" and a tab, it would read to the end of the connection. */
	return lengths + codings <= 1 && (codings != 0) == ((p->flags & F_CHUNKED) != 0);
}

static int
on_headers_complete(llhttp_t *p)
{
	struct http_conn *c = p->data;
	struct http_call *call = c->call;
	struct http_header v[HTTP_HEADERS_MAX];
	struct http_headers h = { c->n_fields, v };

	if (p->http_major != 1 || p->http_minor > 1)
		return parse_fail(c, "the answer is not HTTP/1.0 or HTTP/1.1");
	if (p->status_code < 100)
		return parse_fail(c, "the answer has no status");
	if (p->status_code == 101)
		return parse_fail(c, "the engine wants to switch protocols");
	p->upgrade = 0;
	if (p->status_code < 200)
		return 1; /* it has no body, whatever it says */
	for (unsigned i = 0; i < c->n_fields; i++)
		v[i] = (struct http_header){
			{ c->head.p + c->fields[i].name, c->fields[i].name_n },
			slice_trim((struct slice){ c->head.p + c->fields[i].value, c->fields[i].value_n }),
		};
	if (!framing_is_plain(p, &h))
		return parse_fail(c, "the length of the answer is not told in one known way");
	c->head_done = true;
	c->keep_alive = llhttp_should_keep_alive(p);
	call->ops->on_head(call->ctx, p->status_code, &h);
	if (!c->call)
		return HPE_USER;
	return call->head_method ? 1 : 0; /* 1: llhttp expects no body */
}

static int
on_body(llhttp_t *p, const char *at, size_t n)
{
	struct http_conn *c = p->data;

	if (n)
		c->call->ops->on_data(c->call->ctx, (struct slice){ at, n });
	return c->call ? 0 : HPE_USER;
}

static int
on_complete(llhttp_t *p)
{
	struct http_conn *c = p->data;

	if (!c->head_done) { /* an interim answer: the final one follows */
		buf_clear(&c->head);
		c->n_fields = 0;
		c->in_value = false;
		return 0;
	}
	c->done = true;
	return HPE_PAUSED;
}

static const llhttp_settings_t parser_settings = {
	.on_header_field = on_field,
	.on_header_value = on_value,
	.on_header_value_complete = on_value_complete,
	.on_headers_complete = on_headers_complete,
	.on_body = on_body,
	.on_message_complete = on_complete,
};

/* the call --------------------------------------------------------------------------------------------------- */

struct http_call *
call_detach(struct http_conn *c)
{
	struct http_call *call = c->call;

	c->call = NULL;
	if (call)
		call->conn = NULL;
	return call;
}

static void
finish_call(struct http_call *call)
{
	buf_finish(&call->head);
	call->pool = NULL;
}

void
call_fail_unattached(struct http_call *call, enum http_call_error err, const char *detail)
{
	finish_call(call);
	call->ops->on_error(call->ctx, err, detail);
}

/* The engine closed a kept-alive connection just as we sent: nothing was lost, so try again on a fresh one. */
static bool
may_retry(const struct http_conn *c, enum http_call_error err)
{
	const struct http_call *call = c->call;

	return err == HTTP_CALL_CLOSED && c->used_before && c->bytes_in == 0 && !call->retried &&
	       !c->pool->closing && (!call->ops->may_retry || call->ops->may_retry(call->ctx));
}

void
call_fail(struct http_conn *c, enum http_call_error err, const char *detail)
{
	bool retry = may_retry(c, err);
	struct http_pool *p = c->pool;
	struct http_call *call = call_detach(c);

	client_destroy(c);
	if (retry) {
		call->retried = true;
		pool_assign(p, call, true);
		return;
	}
	call_fail_unattached(call, err, detail);
}

void
call_attach(struct http_conn *c, struct http_call *call)
{
	c->call = call;
	call->conn = c;
	c->body_pieces = call->body_pieces;
	memcpy(c->body, call->body, sizeof(c->body));
	c->sent = 0;
	c->total = call->head.n;
	for (unsigned i = 0; i < c->body_pieces; i++)
		c->total += c->body[i].n;
	llhttp_init(&c->parser, HTTP_RESPONSE, &parser_settings);
	c->parser.data = c;
	buf_clear(&c->head);
	c->n_fields = 0;
	c->in_value = c->head_done = c->done = c->keep_alive = false;
	c->bytes_in = 0;
	c->error = NULL;
}

void
call_connected(struct http_conn *c)
{
	client_set_state(c, CLIENT_BUSY);
	call_writable(c);
}

void
call_writable(struct http_conn *c)
{
	while (c->sent < c->total) {
		struct iovec iov[HTTP_CALL_BODY_PIECES + 1];
		struct msghdr m = { .msg_iov = iov };
		size_t skip = c->sent;
		ssize_t n;

		for (unsigned i = 0; i <= c->body_pieces; i++) {
			struct slice s = i == 0 ? buf_slice(&c->call->head) : c->body[i - 1];
			size_t gone = MIN(skip, s.n);

			skip -= gone;
			if (s.n > gone)
				iov[m.msg_iovlen++] =
					(struct iovec){ (void *)(uintptr_t)(s.p + gone), s.n - gone };
		}
		n = sendmsg(c->fd, &m, MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN) {
			client_poll(c, UV_READABLE | UV_WRITABLE);
			return;
		}
		if (n < 0) {
			/* The engine may have answered before it stopped reading: what it said counts more. */
			c->total = c->sent;
			c->keep_alive = false;
			c->error = "the engine closed its side while the request was sent";
			break;
		}
		c->sent += (size_t)n;
	}
	client_poll(c, UV_READABLE);
}

/* The answer is whole: give the connection back, then tell. */
static void
answer_done(struct http_conn *c, bool reusable)
{
	struct http_call *call = call_detach(c);

	if (reusable && c->keep_alive && c->sent == c->total && !c->error && !c->pool->closing) {
		c->used_before = true;
		client_set_state(c, CLIENT_IDLE);
	} else {
		client_destroy(c);
	}
	finish_call(call);
	call->ops->on_end(call->ctx);
}

static void
on_eof(struct http_conn *c, bool proper, const char *detail)
{
	if (proper && c->head_done && llhttp_finish(&c->parser) == HPE_OK && c->call)
		c->done = true; /* the end of the connection is the end of this answer */
	if (!c->call)
		return;
	if (c->done)
		answer_done(c, false);
	else
		call_fail(c, HTTP_CALL_CLOSED, c->error ? c->error : detail);
}

void
call_readable(struct http_conn *c)
{
	char *buf = c->pool->read_buf;
	ssize_t n = recv(c->fd, buf, HTTP_CLIENT_READ_BYTES, 0);
	llhttp_errno_t err;

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		on_eof(c, n == 0, n == 0 ? "the engine closed the connection" : strerror(errno));
		return;
	}
	c->bytes_in += (size_t)n;
	err = llhttp_execute(&c->parser, buf, (size_t)n);
	if (!c->call) /* cancelled in a callback, which closed the connection */
		return;
	if (c->done)
		answer_done(c, llhttp_get_error_pos(&c->parser) == buf + n);
	else if (err != HPE_OK)
		call_fail(c, HTTP_CALL_BAD_RESPONSE,
			  c->error ? c->error : llhttp_get_error_reason(&c->parser));
	else if (c->call->ops->on_batch_end)
		c->call->ops->on_batch_end(c->call->ctx);
}

static void
render_head(struct http_call *c, struct http_pool *p, const struct http_call_request *rq)
{
	struct buf *h = &c->head;
	size_t length = 0;

	buf_init(h, SIZE_MAX / 4); /* its fields have bounds of their own */
	for (unsigned i = 0; i < rq->body_pieces; i++)
		length += rq->body[i].n;
	buf_add_slice(h, rq->method);
	buf_add_char(h, ' ');
	buf_add_str(h, p->ep.base);
	buf_add_slice(h, rq->target);
	buf_add_str(h, " HTTP/1.1\r\nhost: ");
	http_endpoint_host(&p->ep, h);
	buf_add_str(h, "\r\n");
	for (unsigned i = 0; i < rq->headers.n; i++) {
		buf_add_slice(h, rq->headers.v[i].name);
		buf_add_str(h, ": ");
		buf_add_slice(h, rq->headers.v[i].value);
		buf_add_str(h, "\r\n");
	}
	if (rq->body_pieces)
		buf_addf(h, "content-length: %zu\r\n", length);
	buf_add_str(h, "\r\n");
}

void
http_call_start(struct http_call *c, struct http_pool *p, const struct http_call_request *rq,
		const struct http_call_ops *ops, void *ctx)
{
	must(!http_call_running(c) && rq->body_pieces <= HTTP_CALL_BODY_PIECES);
	*c = (struct http_call){ .ops = ops, .ctx = ctx, .pool = p, .body_pieces = rq->body_pieces };
	list_init(&c->link);
	c->head_method = slice_eq(rq->method, SLICE("HEAD"));
	memcpy(c->body, rq->body, sizeof(c->body));
	render_head(c, p, rq);
	pool_assign(p, c, false);
}

bool
http_call_running(const struct http_call *c)
{
	return c->conn || c->waiting;
}

bool
http_call_sent(const struct http_call *c)
{
	return !c->waiting && (!c->conn || c->conn->sent == c->conn->total);
}

void
http_call_cancel(struct http_call *c)
{
	struct http_conn *conn = c->conn;

	if (c->waiting) {
		list_del(&c->link);
		c->waiting = false;
		finish_call(c);
	} else if (conn) {
		call_detach(conn);
		client_destroy(conn);
		finish_call(c);
	}
}
