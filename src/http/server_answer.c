/* SPDX-License-Identifier: MIT */
/*
 * Answers: heads, chunk framing, and writing.
 *
 * Small writes of one turn are collected in conn->out and leave together before the loop waits again; a large one goes
 * to the socket at once, with what stands before it, and only what the kernel does not take is copied.
 */
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "http/server_impl.h"

#define IOV_MAX_USED 64

static const char *
reason_phrase(unsigned status)
{
	switch (status) {
#define R(code, text)                                                                              \
	case code:                                                                                 \
		return text
		R(200, "OK");
		R(201, "Created");
		R(202, "Accepted");
		R(204, "No Content");
		R(400, "Bad Request");
		R(401, "Unauthorized");
		R(403, "Forbidden");
		R(404, "Not Found");
		R(405, "Method Not Allowed");
		R(408, "Request Timeout");
		R(409, "Conflict");
		R(411, "Length Required");
		R(413, "Content Too Large");
		R(414, "URI Too Long");
		R(415, "Unsupported Media Type");
		R(417, "Expectation Failed");
		R(422, "Unprocessable Content");
		R(429, "Too Many Requests");
		R(431, "Request Header Fields Too Large");
		R(500, "Internal Server Error");
		R(501, "Not Implemented");
		R(502, "Bad Gateway");
		R(503, "Service Unavailable");
		R(504, "Gateway Timeout");
		R(505, "HTTP Version Not Supported");
		R(529, "Overloaded");
#undef R
	default:
		return "Status";
	}
}

void
conn_mark_dirty(struct http_conn_server *c)
{
	if (c->state != CONN_DEAD && !list_linked(&c->dirty))
		list_push_back(&c->srv->dirty, &c->dirty);
}

/* What waits has grown or shrunk by @delta: keep the books, and notice a client that does not read. */
static void
note_pending(struct http_conn_server *c, int64_t delta)
{
	struct http_server *s = c->srv;
	size_t pending = conn_pending(c);

	s->stats.buffered_bytes += (size_t)delta;
	if (delta > 0 && pending == (size_t)delta)
		c->written_us = server_now_us(s);
	if (pending > s->limits.slow_soft_bytes) {
		if (!c->slow_since_us)
			c->slow_since_us = server_now_us(s);
	} else {
		c->slow_since_us = 0;
	}
}

static ssize_t
send_some(struct http_conn_server *c, struct iovec *iov, int n)
{
	struct msghdr m = { .msg_iov = iov, .msg_iovlen = (size_t)n };
	ssize_t sent;

	do
		sent = sendmsg(c->fd, &m, MSG_NOSIGNAL);
	while (sent < 0 && errno == EINTR);
	if (sent > 0) {
		c->srv->stats.bytes_out += (uint64_t)sent;
		c->written_us = server_now_us(c->srv);
	}
	return sent;
}

void
conn_flush(struct http_conn_server *c)
{
	list_del(&c->dirty);
	if (c->aborting) {
		conn_destroy(c, c->framing == HTTP_STREAM && conn_pending(c) > c->srv->limits.slow_hard_bytes
					? HTTP_CLOSE_SLOW
					: HTTP_CLOSE_ABORTED);
		return;
	}
	while (conn_pending(c)) {
		struct iovec iov = { c->out.p + c->out_off, conn_pending(c) };
		ssize_t n = send_some(c, &iov, 1);

		if (n < 0 && errno == EAGAIN)
			break;
		if (n < 0) {
			conn_destroy(c, HTTP_CLOSE_LEFT);
			return;
		}
		c->out_off += (size_t)n;
		note_pending(c, -(int64_t)n);
	}
	if (conn_pending(c) == 0) {
		buf_clear(&c->out);
		c->out_off = 0;
		/* What a client that fell behind has made it grow to is kept until its answer ends. */
		if (c->out.cap > HTTP_CORK_BYTES && c->answer_done)
			buf_finish(&c->out);
		if (c->answer_done && c->state != CONN_LINGER && c->state != CONN_IDLE) {
			conn_exchange_done(c);
			return;
		}
	}
	conn_poll(c);
}

/* Takes bytes for the client: into the buffer of this turn, or with it to the socket when they are many. */
static void
write_pieces(struct http_conn_server *c, const struct slice *pieces, unsigned n)
{
	size_t total = 0, skip = 0;

	for (unsigned i = 0; i < n; i++)
		total += pieces[i].n;
	if (total == 0 || c->state == CONN_DEAD || c->aborting)
		return;
	if (c->out.n + total > HTTP_CORK_BYTES && !(c->poll_events & UV_WRITABLE) && n < IOV_MAX_USED) {
		struct iovec iov[IOV_MAX_USED + 1];
		size_t before = conn_pending(c);
		int k = 0;
		ssize_t sent;

		if (before)
			iov[k++] = (struct iovec){ c->out.p + c->out_off, before };
		for (unsigned i = 0; i < n; i++)
			if (pieces[i].n)
				iov[k++] = (struct iovec){ (void *)(uintptr_t)pieces[i].p, pieces[i].n };
		sent = send_some(c, iov, k);
		if (sent > 0) {
			size_t from_out = MIN((size_t)sent, before);

			c->out_off += from_out;
			note_pending(c, -(int64_t)from_out);
			skip = (size_t)sent - from_out;
		}
		/* An error shows again at the flush, where the connection may be ended. */
		if (conn_pending(c) == 0) {
			buf_clear(&c->out);
			c->out_off = 0;
		}
	}
	if (c->out_off > HTTP_CORK_BYTES && c->out_off > c->out.n / 2) {
		buf_drop_front(&c->out, c->out_off);
		c->out_off = 0;
	}
	for (unsigned i = 0; i < n; i++) {
		size_t gone = MIN(skip, pieces[i].n);

		skip -= gone;
		buf_add(&c->out, pieces[i].p + gone, pieces[i].n - gone);
		note_pending(c, (int64_t)(pieces[i].n - gone));
	}
	if (c->framing == HTTP_STREAM && c->head_out && !c->aborting &&
	    conn_pending(c) > c->srv->limits.slow_hard_bytes) {
		c->srv->stats.slow_aborted++;
		c->aborting = true; /* ended at the end of the turn: the user is in the middle of something */
	}
	conn_mark_dirty(c);
}

static void
write_str(struct http_conn_server *c, struct slice s)
{
	write_pieces(c, &s, 1);
}

void
conn_write_interim(struct http_conn_server *c, struct slice head)
{
	write_str(c, head);
}

static struct slice
http_date(struct http_server *s)
{
	uint64_t now = clock_wall_us() / 1000000u;
	time_t t = (time_t)now;
	struct tm tm;

	if (now != s->date_s) {
		s->date_s = now;
		strftime(s->date, sizeof(s->date), "%a, %d %b %Y %H:%M:%S GMT", gmtime_r(&t, &tm));
	}
	return slice_of(s->date);
}

bool
http_head_sent(const struct http_exchange *x)
{
	return x->conn->head_out;
}

size_t
http_pending_bytes(const struct http_exchange *x)
{
	return conn_pending(x->conn);
}

uint64_t
http_bytes_out(const struct http_exchange *x)
{
	return x->conn->answer_bytes;
}

void
http_respond_head(struct http_exchange *x, unsigned status, const struct http_headers *headers,
		  enum http_framing framing, uint64_t length)
{
	struct http_conn_server *c = conn_of(x);
	char small[1024];
	struct buf head;
	bool has_date = false;

	if (c->state == CONN_DEAD)
		return;
	must(!c->head_out);
	buf_init(&head, SIZE_MAX / 4); /* its fields have bounds of their own */
	if (!c->body_done) {
		/* Not all of the request was read: what follows on this connection could not be told from it. */
		if (c->body_length == 0)
			c->body_done = true; /* there is none */
		else
			c->keep_alive = false;
	}
	if (c->srv->draining || (framing != HTTP_LENGTH && c->http10))
		c->keep_alive = false;
	c->framing = framing;
	c->length_left = length;
	c->bodyless = c->head_method || status == 204 || status == 304;
	c->chunked = framing != HTTP_LENGTH && !c->http10 && status != 204 && status != 304;
	buf_add(&head, small,
		(size_t)snprintf(small, sizeof(small), "HTTP/1.1 %u %s\r\n", status,
				 reason_phrase(status)));
	for (unsigned i = 0; headers && i < headers->n; i++) {
		buf_add_slice(&head, headers->v[i].name);
		buf_add_str(&head, ": ");
		buf_add_slice(&head, headers->v[i].value);
		buf_add_str(&head, "\r\n");
		has_date |= slice_ieq(headers->v[i].name, SLICE("date"));
	}
	if (!has_date) {
		buf_add_str(&head, "date: ");
		buf_add_slice(&head, http_date(c->srv));
		buf_add_str(&head, "\r\n");
	}
	if (framing == HTTP_LENGTH && status != 204 && status != 304)
		buf_addf(&head, "content-length: %" PRIu64 "\r\n", length);
	else if (c->chunked)
		buf_add_str(&head, "transfer-encoding: chunked\r\n");
	if (!c->keep_alive)
		buf_add_str(&head, "connection: close\r\n");
	else if (c->http10)
		buf_add_str(&head, "connection: keep-alive\r\n");
	buf_add_str(&head, "\r\n");
	write_str(c, buf_slice(&head));
	c->head_out = true;
	buf_finish(&head);
}

void
http_respond_data(struct http_exchange *x, const struct slice *pieces, unsigned n)
{
	struct http_conn_server *c = conn_of(x);
	struct slice framed[IOV_MAX_USED];
	char size[24];
	size_t total = 0;

	must(c->head_out || c->state == CONN_DEAD);
	if (c->bodyless || c->answer_done || c->state == CONN_DEAD)
		return;
	while (n > IOV_MAX_USED - 2) {
		http_respond_data(x, pieces, IOV_MAX_USED - 2);
		pieces += IOV_MAX_USED - 2;
		n -= IOV_MAX_USED - 2;
	}
	for (unsigned i = 0; i < n; i++)
		total += pieces[i].n;
	if (total == 0)
		return;
	c->answer_bytes += total;
	if (c->framing == HTTP_LENGTH) {
		must(total <= c->length_left);
		c->length_left -= total;
	}
	if (!c->chunked) {
		write_pieces(c, pieces, n);
		return;
	}
	framed[0] = (struct slice){ size, (size_t)snprintf(size, sizeof(size), "%zx\r\n", total) };
	memcpy(framed + 1, pieces, n * sizeof(*pieces));
	framed[n + 1] = SLICE("\r\n");
	write_pieces(c, framed, n + 2);
}

void
http_respond_end(struct http_exchange *x)
{
	struct http_conn_server *c = conn_of(x);

	if (c->answer_done || c->state == CONN_DEAD)
		return;
	must(c->head_out);
	if (c->framing == HTTP_LENGTH && c->length_left && !c->bodyless)
		c->aborting = true; /* fewer bytes than promised: the client must not take it for whole */
	else if (c->chunked && !c->bodyless)
		write_str(c, SLICE("0\r\n\r\n"));
	c->answer_done = true;
	c->body_wanted = false; /* the rest of the request is of no interest any more */
	if (c->state == CONN_BODY)
		conn_set_state(c, CONN_WORK);
	conn_mark_dirty(c);
}

void
http_respond_raw(struct http_exchange *x, struct slice bytes)
{
	struct http_conn_server *c = conn_of(x);

	if (c->state == CONN_DEAD || c->answer_done)
		return;
	if (!c->head_out) {
		c->head_out = true;
		c->keep_alive = false;
		c->framing = HTTP_STREAM;
		c->chunked = false;
	}
	c->answer_bytes += bytes.n;
	write_pieces(c, &bytes, 1);
}

void
http_flush(struct http_exchange *x)
{
	struct http_conn_server *c = conn_of(x);
	struct iovec iov = { c->out.p + c->out_off, conn_pending(c) };
	ssize_t n;

	if (c->state == CONN_DEAD || c->aborting || iov.iov_len == 0 || (c->poll_events & UV_WRITABLE))
		return;
	/* An error shows again at the end of the turn, where the connection may be ended. */
	n = send_some(c, &iov, 1);
	if (n <= 0)
		return;
	c->out_off += (size_t)n;
	note_pending(c, -(int64_t)n);
	if (conn_pending(c) == 0) {
		buf_clear(&c->out);
		c->out_off = 0;
	}
}

void
http_respond(struct http_exchange *x, unsigned status, const struct http_headers *headers,
	     struct slice body)
{
	http_respond_head(x, status, headers, HTTP_LENGTH, body.n);
	http_respond_data(x, &body, 1);
	http_respond_end(x);
}

void
http_abort(struct http_exchange *x)
{
	struct http_conn_server *c = conn_of(x);

	if (c->state == CONN_DEAD)
		return;
	c->aborting = true;
	conn_mark_dirty(c);
}

/* the request, for its user ----------------------------------------------------------------------------------- */

void
http_exchange_set_user(struct http_exchange *x, void *user)
{
	x->user = user;
}

void *
http_exchange_user(const struct http_exchange *x)
{
	return x->user;
}

struct slice
http_method(const struct http_exchange *x)
{
	return slice_of(llhttp_method_name((llhttp_method_t)x->conn->parser.method));
}

/* Where the query begins in the target, or its end. */
static size_t
query_at(const struct http_exchange *x)
{
	const char *t = x->conn->head.p + x->target.off, *q = memchr(t, '?', x->target.n);

	return q ? (size_t)(q - t) : x->target.n;
}

struct slice
http_path(const struct http_exchange *x)
{
	size_t n = query_at(x);

	return n ? (struct slice){ x->conn->head.p + x->target.off, n } : SLICE("/");
}

struct slice
http_query(const struct http_exchange *x)
{
	size_t at = query_at(x);

	return at < x->target.n
		       ? (struct slice){ x->conn->head.p + x->target.off + at + 1, x->target.n - at - 1 }
		       : SLICE("");
}

const struct http_headers *
http_request_headers(const struct http_exchange *x)
{
	return &x->headers;
}

uint64_t
http_content_length(const struct http_exchange *x)
{
	return x->conn->body_length;
}

int
http_listener_tag(const struct http_exchange *x)
{
	return x->conn->tag;
}

const char *
http_peer(const struct http_exchange *x)
{
	return x->conn->peer;
}

bool
http_peer_is_local(const struct http_exchange *x)
{
	return x->conn->peer_local;
}
