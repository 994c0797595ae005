/* SPDX-License-Identifier: MIT */
/* One client connection: reading, parsing, and the states between two requests. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "http/server_impl.h"

static void read_more(struct http_conn_server *c);
static void start_next(struct http_conn_server *c);

/* states ----------------------------------------------------------------------------------------------------- */

struct http_conn_server *
conn_of(struct http_exchange *x)
{
	return x->conn;
}

void
conn_set_state(struct http_conn_server *c, enum conn_state st)
{
	list_del(&c->link);
	c->state = st;
	c->since_us = server_now_us(c->srv);
	if (st != CONN_DEAD)
		list_push_back(&c->srv->conns[st], &c->link);
}

static void
on_poll(uv_poll_t *p, int status, int events)
{
	struct http_conn_server *c = p->data;

	if (status < 0) {
		conn_destroy(c, HTTP_CLOSE_LEFT);
		return;
	}
	if ((events & UV_WRITABLE) && c->state != CONN_DEAD)
		conn_flush(c);
	if ((events & UV_READABLE) && c->state != CONN_DEAD)
		read_more(c);
}

void
conn_poll(struct http_conn_server *c)
{
	int want = 0;

	/* A body that nobody wants stays in the kernel; its sender's leaving shows when we write. */
	if (c->state != CONN_WORK || c->body_done || c->body_wanted)
		want |= UV_READABLE;
	if (conn_pending(c) && !list_linked(&c->dirty))
		want |= UV_WRITABLE;
	if (want == c->poll_events)
		return;
	c->poll_events = want;
	if (want)
		uv_poll_start(&c->poll, want, on_poll);
	else
		uv_poll_stop(&c->poll);
}

static void
describe_peer(struct http_conn_server *c, bool is_unix)
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);
	char ip[INET6_ADDRSTRLEN] = "?";

	memset(&ss, 0, sizeof(ss));
	if (is_unix || getpeername(c->fd, (struct sockaddr *)&ss, &len) < 0) {
		snprintf(c->peer, sizeof(c->peer), "unix");
		c->peer_local = is_unix;
	} else if (ss.ss_family == AF_INET6) {
		const struct sockaddr_in6 *a = (struct sockaddr_in6 *)&ss;

		inet_ntop(AF_INET6, &a->sin6_addr, ip, sizeof(ip));
		snprintf(c->peer, sizeof(c->peer), "[%s]:%u", ip, ntohs(a->sin6_port));
		c->peer_local = IN6_IS_ADDR_LOOPBACK(&a->sin6_addr) ||
				(IN6_IS_ADDR_V4MAPPED(&a->sin6_addr) && a->sin6_addr.s6_addr[12] == 127);
	} else {
		const struct sockaddr_in *a = (struct sockaddr_in *)&ss;

		inet_ntop(AF_INET, &a->sin_addr, ip, sizeof(ip));
		snprintf(c->peer, sizeof(c->peer), "%s:%u", ip, ntohs(a->sin_port));
		c->peer_local = (ntohl(a->sin_addr.s_addr) >> 24) == 127;
	}
}

void
conn_create(struct http_listener *l, int fd)
{
	struct http_server *s = l->srv;
	struct http_conn_server *c = must_calloc(1, sizeof(*c));
	int one = 1;

	c->srv = s;
	c->fd = fd;
	c->tag = l->tag;
	list_init(&c->link);
	list_init(&c->dirty);
	list_init(&c->resume);
	describe_peer(c, l->is_unix);
	if (!l->is_unix)
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	buf_init(&c->head, 0); /* keep() raises the bounds */
	buf_init(&c->ahead, 0);
	buf_init(&c->out, SIZE_MAX / 4);
	uv_poll_init(s->loop, &c->poll, fd);
	c->poll.data = c;
	s->n_conns++;
	s->stats.connections = s->n_conns;
	s->stats.accepted++;
	conn_set_state(c, CONN_IDLE);
	conn_poll(c);
}

static void
on_handle_closed(uv_handle_t *h)
{
	struct http_conn_server *c = h->data;
	struct http_server *s = c->srv;

	buf_finish(&c->head);
	buf_finish(&c->ahead);
	buf_finish(&c->out);
	free(c->x);
	free(c);
	s->n_conns--;
	s->stats.connections = s->n_conns;
	server_conn_closed(s);
}

static void
end_exchange(struct http_conn_server *c, enum http_close why)
{
	if (!c->in_exchange)
		return;
	c->in_exchange = false;
	c->srv->n_active--;
	c->srv->ops->on_close(c->srv->ctx, c->x, why);
}

void
conn_destroy(struct http_conn_server *c, enum http_close why)
{
	if (c->state == CONN_DEAD)
		return;
	conn_set_state(c, CONN_DEAD);
	list_del(&c->dirty);
	list_del(&c->resume);
	c->srv->stats.buffered_bytes -= conn_pending(c);
	c->out_off = c->out.n;
	uv_poll_stop(&c->poll);
	if (why == HTTP_CLOSE_ABORTED || why == HTTP_CLOSE_SLOW) {
		struct linger hard = { .l_onoff = 1 };

		setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
	}
	uv_close((uv_handle_t *)&c->poll, on_handle_closed);
	close(c->fd);
	end_exchange(c, why);
}

void
conn_refuse(struct http_conn_server *c, enum http_refusal what, const char *detail)
{
	static const unsigned status[HTTP_REFUSALS] = { 400, 408, 411, 413, 414, 417, 431, 505, 503 };
	static const struct http_header fields[] = {
		{ SLICE_INIT("content-type"), SLICE_INIT("application/json") },
		{ SLICE_INIT("retry-after"), SLICE_INIT("1") }, /* the overload's */
		{ SLICE_INIT("retry-after-ms"), SLICE_INIT("1000") },
	};
	struct http_headers headers = { what == HTTP_REFUSE_OVERLOAD ? ARRAY_LEN(fields) : 1, fields };
	struct http_refused why = { what, status[what], SLICE(""), detail };
	unsigned answer;
	struct buf body;

	c->srv->stats.refused[what]++;
	if (c->head_out || c->answer_done) {
		conn_destroy(c, HTTP_CLOSE_BAD);
		return;
	}
	buf_init(&body, 64 << 10);
	if (c->x->target.n)
		why.path = http_path(c->x);
	answer = c->srv->ops->render_refusal(c->srv->ctx, &why, &body);
	c->keep_alive = false;
	c->body_wanted = false;
	c->linger = true;
	if (c->in_exchange) /* its user hears of the end first; what follows is ours */
		end_exchange(c, what == HTTP_REFUSE_TIMEOUT ? HTTP_CLOSE_TIMEOUT : HTTP_CLOSE_BAD);
	conn_set_state(c, CONN_WORK);
	http_respond(c->x, answer, &headers, buf_slice(&body));
	buf_finish(&body);
}

/* reading ---------------------------------------------------------------------------------------------------- */

static void
reset_for_head(struct http_conn_server *c)
{
	if (!c->x)
		c->x = must_malloc(sizeof(*c->x));
	c->x->user = NULL;
	c->x->conn = c;
	c->x->target = (struct http_span){ 0, 0 };
	c->x->n_names = 0;
	c->x->in_value = false;
	c->x->headers = (struct http_headers){ 0, c->x->header_v };
	c->body_length = c->body_bytes = c->ext_bytes = c->trailer_bytes = c->body_raw_bytes =
		c->answer_bytes = 0;
	c->head_done = c->body_wanted = c->body_done = c->expects_continue = false;
	c->head_out = c->answer_done = c->aborting = c->chunked = c->linger = c->bodyless = false;
	c->slow_since_us = 0;
	c->keep_alive = c->http10 = c->head_method = false;
	c->refuse_text = NULL;
	llhttp_init(&c->parser, HTTP_REQUEST, &conn_parser_settings);
	c->parser.data = c;
}

/* Appends to a head or to what was read ahead.  Their bounds are limits that may change while they grow, and are looked
 * at by who calls; a byte lost here would make two messages of one. */
static void
keep(struct buf *b, const char *p, size_t n)
{
	b->max = b->n + n;
	buf_add(b, p, n);
}

static void
refuse_parse_error(struct http_conn_server *c, llhttp_errno_t err)
{
	if (c->refuse_text)
		conn_refuse(c, c->refuse, c->refuse_text);
	else if (err == HPE_INVALID_VERSION || err == HPE_PAUSED_H2_UPGRADE)
		conn_refuse(c, HTTP_REFUSE_VERSION, "only HTTP/1.0 and HTTP/1.1 are spoken here");
	else
		conn_refuse(c, HTTP_REFUSE_BAD_REQUEST, llhttp_get_error_reason(&c->parser));
}

/* The head is in c->head, complete; @extra bytes at its end belong to the body or the next request. */
static void
head_complete(struct http_conn_server *c, size_t extra)
{
	c->in_exchange = c->used = true;
	c->srv->n_active++;
	c->srv->stats.requests++;
	if (extra) {
		keep(&c->ahead, c->head.p + c->head.n - extra, extra);
		c->head.n -= extra; /* the bytes stay where they are: slices point into this buffer */
	}
	conn_set_state(c, CONN_WORK);
	conn_poll(c);
	c->srv->ops->on_head(c->srv->ctx, c->x);
}

/* Feeds bytes of a head that were just appended to c->head at @from. */
static void
parse_head(struct http_conn_server *c, size_t from)
{
	const char *bad;
	llhttp_errno_t err;
	size_t taken;

	c->parse_base = c->head.p;
	err = llhttp_execute(&c->parser, c->head.p + from, c->head.n - from);
	/* Behind the end of the head, or behind an error, other rules hold. */
	taken = err == HPE_OK ? c->head.n : (size_t)(llhttp_get_error_pos(&c->parser) - c->head.p);
	bad = conn_bad_head_bytes(&(struct buf){ .p = c->head.p, .n = taken }, from);
	if (bad)
		conn_refuse(c, HTTP_REFUSE_BAD_REQUEST, bad);
	else if (taken > c->srv->limits.head_bytes)
		conn_refuse(c, HTTP_REFUSE_HEAD_SIZE, "the request's head is too long");
	else if (err == HPE_PAUSED && c->head_done)
		head_complete(c, c->head.n - taken);
	else if (err != HPE_OK)
		refuse_parse_error(c, err);
}

static void
feed_head(struct http_conn_server *c, const char *p, size_t n)
{
	size_t from;

	if (c->state == CONN_IDLE) {
		while (n && (*p == '\r' || *p == '\n')) /* empty lines before a request are legal (RFC 9112, 2.2) */
			p++, n--;
		if (n == 0)
			return;
		buf_clear(&c->head);
		reset_for_head(c);
		conn_set_state(c, CONN_HEAD);
	}
	from = c->head.n;
	keep(&c->head, p, n);
	/* The buffer may have moved: spans are offsets, so only the base changes. */
	parse_head(c, from);
}

/* Keeps what came behind a request in work; false when it is too much, and the connection gone. */
static bool
read_ahead(struct http_conn_server *c, const char *p, size_t n)
{
	if (c->ahead.n + n > c->srv->limits.readahead_bytes) {
		c->srv->stats.readahead_aborted++;
		conn_destroy(c, HTTP_CLOSE_BAD);
		return false;
	}
	keep(&c->ahead, p, n);
	return true;
}

/* Chunk framing that is many times what it frames: a client that keeps us busy for nothing. */
static bool
framing_too_large(const struct http_conn_server *c)
{
	return c->body_raw_bytes > 16 * c->body_bytes + HTTP_FRAMING_BYTES;
}

/* Body bytes, from the socket or from what was read ahead. */
static void
feed_body(struct http_conn_server *c, const char *p, size_t n)
{
	llhttp_errno_t err;
	struct http_server *s = c->srv;

	c->parse_base = NULL;
	c->body_raw_bytes += n;
	llhttp_resume(&c->parser);
	err = llhttp_execute(&c->parser, p, n);
	if (c->state == CONN_DEAD || c->aborting || (c->answer_done && !c->body_done))
		return;
	if (err == HPE_PAUSED && c->body_done) {
		size_t taken = (size_t)(llhttp_get_error_pos(&c->parser) - p);

		if (taken < n && !read_ahead(c, p + taken, n - taken))
			return;
		conn_set_state(c, CONN_WORK);
		conn_poll(c);
		if (c->answer_done)
			return;
		s->ops->on_body_end(s->ctx, c->x);
	} else if (err != HPE_OK) {
		refuse_parse_error(c, err);
	} else if (framing_too_large(c)) {
		conn_refuse(c, HTTP_REFUSE_BAD_REQUEST, "the chunks are nothing but framing");
	} else if (c->state == CONN_BODY && n) {
		conn_set_state(c, CONN_BODY); /* it moves: to the end of the list, with a new time */
	}
}

void
http_accept_body(struct http_exchange *x)
{
	static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";
	struct http_conn_server *c = conn_of(x);

	must(!c->body_wanted && c->head_done);
	if (c->state == CONN_DEAD || c->answer_done)
		return;
	c->body_wanted = true;
	conn_set_state(c, CONN_BODY);
	if (c->expects_continue && c->ahead.n == 0 && !c->head_out)
		conn_write_interim(c, (struct slice){ go_on, sizeof(go_on) - 1 });
	/* What came behind the head is parsed from the loop: it may end the exchange, which its user cannot expect in
	 * here. */
	list_push_back(&c->srv->resume, &c->resume);
}

void
conn_resume(struct http_conn_server *c)
{
	struct buf ahead = c->ahead;

	list_del(&c->resume);
	if (c->state != CONN_BODY || c->aborting)
		return;
	buf_init(&c->ahead, ahead.max);
	conn_poll(c);
	/* Even without a byte: a request without a body is complete only now. */
	feed_body(c, ahead.p ? ahead.p : "", ahead.n);
	buf_finish(&ahead);
}

static void
read_more(struct http_conn_server *c)
{
	struct http_server *s = c->srv;
	bool head = c->state == CONN_IDLE || c->state == CONN_HEAD;
	ssize_t n;

	if (list_linked(&c->resume)) /* what was read before comes first */
		return;
	n = recv(c->fd, s->read_buf, head ? HTTP_HEAD_READ_BYTES : sizeof(s->read_buf), 0);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		conn_destroy(c, HTTP_CLOSE_LEFT);
		return;
	}
	s->stats.bytes_in += (uint64_t)n;
	if (head) {
		feed_head(c, s->read_buf, (size_t)n);
	} else if (c->state == CONN_BODY) {
		feed_body(c, s->read_buf, (size_t)n);
	} else if (c->state == CONN_LINGER) {
		return;
	} else {
		read_ahead(c, s->read_buf, (size_t)n);
	}
}

static void
start_next(struct http_conn_server *c)
{
	struct buf ahead = c->ahead;

	if (ahead.n == 0) {
		buf_finish(&c->ahead);
		buf_finish(&c->head);
		buf_finish(&c->out);
		c->out_off = 0;
		free(c->x); /* an idle connection holds no buffers */
		c->x = NULL;
		conn_poll(c);
		return;
	}
	buf_init(&c->ahead, ahead.max);
	feed_head(c, ahead.p, ahead.n);
	buf_finish(&ahead);
	if (c->state != CONN_DEAD)
		conn_poll(c); /* what came may be the half of a head */
}

void
conn_exchange_done(struct http_conn_server *c)
{
	bool again = c->keep_alive && c->body_done && !c->srv->closing && !c->srv->draining;

	if (again) {
		end_exchange(c, HTTP_CLOSE_DONE);
		if (c->state == CONN_DEAD)
			return;
		conn_set_state(c, CONN_IDLE);
		start_next(c);
		return;
	}
	end_exchange(c, HTTP_CLOSE_DONE);
	if (c->state == CONN_DEAD)
		return;
	if (c->body_done && c->ahead.n == 0 && !c->linger) {
		conn_destroy(c, HTTP_CLOSE_DONE);
		return;
	}
	/* Bytes are still on their way to us: closing now would make the kernel answer them with a reset, which can
	 * overtake our answer.  So say that we are done, and throw away what comes for a moment. */
	shutdown(c->fd, SHUT_WR);
	conn_set_state(c, CONN_LINGER);
	conn_poll(c);
}
