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
static void resume_body(struct http_conn_server *c, const char *p, size_t n);
static void start_next(struct http_conn_server *c);

/* parser callbacks ------------------------------------------------------------------------------------------- */

static int
fail(struct http_conn_server *c, enum http_refusal what, const char *text)
{
	c->refuse = what;
	c->refuse_text = text;
	return HPE_USER;
}

/* Extends @s by bytes that follow it directly: the parser hands out one field in pieces when it arrived in pieces. */
static void
span_add(struct http_conn_server *c, struct http_span *s, const char *at, size_t n)
{
	if (s->n == 0)
		s->off = (uint32_t)(at - c->parse_base);
	s->n = (uint32_t)(at - c->parse_base) + (uint32_t)n - s->off;
}

static struct http_conn_server *
conn_of_parser(llhttp_t *p)
{
	return p->data;
}

static int
on_url(llhttp_t *p, const char *at, size_t n)
{
	struct http_conn_server *c = conn_of_parser(p);

	span_add(c, &c->x->target, at, n);
	if (c->x->target.n > c->srv->limits.uri_bytes)
		return fail(c, HTTP_REFUSE_URI_SIZE, "the request target is too long");
	return 0;
}

static bool
in_trailers(const struct http_conn_server *c)
{
	return c->head_done;
}

static int
count_trailer(struct http_conn_server *c, size_t n)
{
	c->trailer_bytes += n;
	if (c->trailer_bytes > c->srv->limits.head_bytes)
		return fail(c, HTTP_REFUSE_HEAD_SIZE, "the trailers are too long");
	return 0;
}

static int
on_header_field(llhttp_t *p, const char *at, size_t n)
{
	struct http_conn_server *c = conn_of_parser(p);
	struct http_exchange *x = c->x;

	if (in_trailers(c))
		return count_trailer(c, n);
	if (x->in_value || x->n_names == 0) {
		if (x->n_names >= MIN(c->srv->limits.headers, HTTP_HEADERS_MAX))
			return fail(c, HTTP_REFUSE_HEAD_SIZE, "the request has too many header fields");
		x->names[x->n_names] = x->values[x->n_names] = (struct http_span){ 0, 0 };
		x->n_names++;
		x->in_value = false;
	}
	span_add(c, &x->names[x->n_names - 1], at, n);
	return 0;
}

static int
on_header_value(llhttp_t *p, const char *at, size_t n)
{
	struct http_conn_server *c = conn_of_parser(p);
	struct http_exchange *x = c->x;

	if (in_trailers(c))
		return count_trailer(c, n);
	x->in_value = true;
	if (n)
		span_add(c, &x->values[x->n_names - 1], at, n);
	return 0;
}

static int
on_header_value_complete(llhttp_t *p)
{
	struct http_conn_server *c = conn_of_parser(p);

	if (!in_trailers(c))
		c->x->in_value = true; /* an empty value has no on_header_value */
	return 0;
}

/* What llhttp leaves to its user: whatever another program could read in another way. */
static int
check_head(struct http_conn_server *c)
{
	const struct http_headers *h = &c->x->headers;
	unsigned hosts = 0, lengths = 0, codings = 0;

	for (unsigned i = 0; i < h->n; i++) {
		if (slice_ieq(h->v[i].name, SLICE("host")))
			hosts++;
		else if (slice_ieq(h->v[i].name, SLICE("content-length")))
			lengths++;
		else if (slice_ieq(h->v[i].name, SLICE("transfer-encoding"))) {
			codings++;
			if (!slice_ieq(h->v[i].value, SLICE("chunked")))
				return fail(c, HTTP_REFUSE_BAD_REQUEST,
					    "Transfer-Encoding may only be chunked");
		}
	}
	if (hosts > 1 || (hosts == 0 && !c->http10))
		return fail(c, HTTP_REFUSE_BAD_REQUEST, "exactly one Host header is required");
	if (lengths + codings > 1)
		return fail(c, HTTP_REFUSE_BAD_REQUEST, "the body's length is given more than once");
	if (codings && c->http10)
		return fail(c, HTTP_REFUSE_BAD_REQUEST, "HTTP/1.0 has no Transfer-Encoding");
	return 0;
}

/* An absolute-form target keeps its path only; its authority does not matter to us, Host was checked. */
static void
strip_authority(struct http_exchange *x, const char *base)
{
	struct slice t = { base + x->target.off, x->target.n };
	size_t i;

	if (!slice_starts(t, SLICE("http://")) && !slice_starts(t, SLICE("https://")))
		return;
	for (i = 8; i < t.n && t.p[i] != '/' && t.p[i] != '?'; i++)
		;
	x->target.off += (uint32_t)i;
	x->target.n -= (uint32_t)i;
}

static int
on_headers_complete(llhttp_t *p)
{
	struct http_conn_server *c = conn_of_parser(p);
	struct http_exchange *x = c->x;
	struct slice expect;
	int rc;

	for (unsigned i = 0; i < x->n_names; i++)
		x->header_v[i] = (struct http_header){
			{ c->parse_base + x->names[i].off, x->names[i].n },
			slice_trim((struct slice){ c->parse_base + x->values[i].off, x->values[i].n }),
		};
	x->headers = (struct http_headers){ x->n_names, x->header_v };
	if (p->http_major != 1 || p->http_minor > 1)
		return fail(c, HTTP_REFUSE_VERSION, "only HTTP/1.0 and HTTP/1.1 are spoken here");
	c->http10 = p->http_minor == 0;
	rc = check_head(c);
	if (rc)
		return rc;
	strip_authority(x, c->parse_base);
	c->chunked = (p->flags & F_CHUNKED) != 0;
	c->keep_alive = llhttp_should_keep_alive(p) && p->method != HTTP_CONNECT;
	c->head_method = p->method == HTTP_HEAD;
	p->upgrade = 0; /* we never switch protocols, which an Upgrade header only asks for */
	expect = http_header_get(&x->headers, SLICE("expect"));
	c->expects_continue = false;
	if (expect.p && !c->http10) {
		if (!slice_ieq(expect, SLICE("100-continue")))
			return fail(c, HTTP_REFUSE_EXPECT,
				    "the only expectation known here is 100-continue");
		c->expects_continue = true;
	}
	if (!c->chunked && p->content_length > c->srv->limits.body_bytes)
		return fail(c, HTTP_REFUSE_BODY_SIZE, "the body is larger than this server takes");
	c->head_done = true;
	return HPE_PAUSED;
}

static int
on_body(llhttp_t *p, const char *at, size_t n)
{
	struct http_conn_server *c = conn_of_parser(p);

	c->body_bytes += n;
	if (c->body_bytes > c->srv->limits.body_bytes)
		return fail(c, HTTP_REFUSE_BODY_SIZE, "the body is larger than this server takes");
	if (n)
		c->srv->ops->on_body(c->srv->ctx, c->x, (struct slice){ at, n });
	/* The user may have answered, or cut the connection, inside: then the rest is of no interest. */
	return c->state == CONN_DEAD || c->answer_done ? HPE_USER : 0;
}

static int
on_chunk_ext(llhttp_t *p, const char *at, size_t n)
{
	struct http_conn_server *c = conn_of_parser(p);

	(void)at;
	c->ext_bytes += n;
	if (c->ext_bytes > HTTP_CHUNK_EXT_BYTES)
		return fail(c, HTTP_REFUSE_BAD_REQUEST, "the chunk extensions are too long");
	return 0;
}

static int
on_message_complete(llhttp_t *p)
{
	struct http_conn_server *c = conn_of_parser(p);

	c->body_done = true;
	return HPE_PAUSED;
}

static const llhttp_settings_t parser_settings = {
	.on_url = on_url,
	.on_header_field = on_header_field,
	.on_header_value = on_header_value,
	.on_header_value_complete = on_header_value_complete,
	.on_headers_complete = on_headers_complete,
	.on_body = on_body,
	.on_chunk_extension_name = on_chunk_ext,
	.on_chunk_extension_value = on_chunk_ext,
	.on_message_complete = on_message_complete,
};

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
	describe_peer(c, l->is_unix);
	if (!l->is_unix)
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	/* A head, and what one read or the read-ahead may have brought behind it. */
	buf_init(&c->head, s->limits.head_bytes + s->limits.readahead_bytes + 2 * HTTP_READ_BYTES);
	buf_init(&c->ahead, s->limits.readahead_bytes + HTTP_READ_BYTES);
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
	struct buf body;

	c->srv->stats.refused[what]++;
	if (c->head_out || c->answer_done) {
		conn_destroy(c, HTTP_CLOSE_BAD);
		return;
	}
	buf_init(&body, 64 << 10);
	c->srv->ops->render_refusal(c->srv->ctx, what, detail, &body);
	c->keep_alive = false;
	c->body_wanted = false;
	if (c->in_exchange) /* its user hears of the end first; what follows is ours */
		end_exchange(c, what == HTTP_REFUSE_TIMEOUT ? HTTP_CLOSE_TIMEOUT : HTTP_CLOSE_BAD);
	conn_set_state(c, CONN_WORK);
	http_respond(c->x, status[what], &headers, buf_slice(&body));
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
	c->body_bytes = c->ext_bytes = c->trailer_bytes = c->answer_bytes = 0;
	c->head_done = c->body_wanted = c->body_done = c->expects_continue = false;
	c->head_out = c->answer_done = c->aborting = c->chunked = false;
	c->slow_since_us = 0;
	c->keep_alive = c->http10 = c->head_method = false;
	c->refuse_text = NULL;
	llhttp_init(&c->parser, HTTP_REQUEST, &parser_settings);
	c->parser.data = c;
}

/* Bare CR, bare LF, a folded line, or a control character in the new bytes of a head: other programs differ on them. */
static const char *
bad_head_bytes(const struct buf *head, size_t from)
{
	for (size_t i = from; i < head->n; i++) {
		unsigned char b = (unsigned char)head->p[i],
			      before = i ? (unsigned char)head->p[i - 1] : 0;

		if (b == '\n' ? before != '\r' : before == '\r')
			return "a line of the head does not end in CR LF";
		if (before == '\n' && (b == ' ' || b == '\t'))
			return "a header field is folded over two lines";
		if ((b < 0x20 && b != '\t' && b != '\r' && b != '\n') || b == 0x7f)
			return "the head has a control character in it";
	}
	return NULL;
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
		buf_add(&c->ahead, c->head.p + c->head.n - extra, extra);
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
	if (err == HPE_PAUSED && c->head_done)
		taken = (size_t)(llhttp_get_error_pos(&c->parser) - c->head.p);
	else
		taken = c->head.n;
	bad = bad_head_bytes(&(struct buf){ .p = c->head.p, .n = taken }, from);
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
	buf_add(&c->head, p, n);
	/* The buffer may have moved: spans are offsets, so only the base changes. */
	parse_head(c, from);
}

/* Body bytes, from the socket or from what was read ahead. */
static void
resume_body(struct http_conn_server *c, const char *p, size_t n)
{
	llhttp_errno_t err;
	struct http_server *s = c->srv;

	c->parse_base = NULL;
	llhttp_resume(&c->parser);
	err = llhttp_execute(&c->parser, p, n);
	if (c->state == CONN_DEAD || (c->answer_done && !c->body_done))
		return;
	if (err == HPE_PAUSED && c->body_done) {
		size_t taken = (size_t)(llhttp_get_error_pos(&c->parser) - p);

		if (taken < n)
			buf_add(&c->ahead, p + taken, n - taken);
		conn_set_state(c, CONN_WORK);
		conn_poll(c);
		if (c->answer_done)
			return;
		s->ops->on_body_end(s->ctx, c->x);
	} else if (err != HPE_OK) {
		refuse_parse_error(c, err);
	} else if (c->state == CONN_BODY && n) {
		conn_set_state(c, CONN_BODY); /* it moves: to the end of the list, with a new time */
	}
}

void
http_accept_body(struct http_exchange *x)
{
	struct http_conn_server *c = conn_of(x);
	struct buf ahead = c->ahead;

	must(!c->body_wanted && c->head_done);
	c->body_wanted = true;
	conn_set_state(c, CONN_BODY);
	if (c->expects_continue && ahead.n == 0) {
		buf_add_str(&c->out, "HTTP/1.1 100 Continue\r\n\r\n");
		c->srv->stats.buffered_bytes += 25;
		conn_flush(c);
		if (c->state == CONN_DEAD)
			return;
	}
	conn_poll(c);
	/* Even without a byte: a request without a body is complete only now. */
	buf_init(&c->ahead, ahead.max);
	resume_body(c, ahead.p ? ahead.p : "", ahead.n);
	buf_finish(&ahead);
}

static void
read_more(struct http_conn_server *c)
{
	struct http_server *s = c->srv;
	bool head = c->state == CONN_IDLE || c->state == CONN_HEAD;
	ssize_t n = recv(c->fd, s->read_buf, head ? HTTP_HEAD_READ_BYTES : sizeof(s->read_buf), 0);

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
		resume_body(c, s->read_buf, (size_t)n);
	} else if (c->state == CONN_LINGER) {
		return;
	} else if (c->ahead.n + (size_t)n > s->limits.readahead_bytes) {
		s->stats.readahead_aborted++;
		conn_destroy(c, HTTP_CLOSE_BAD);
	} else {
		buf_add(&c->ahead, s->read_buf, (size_t)n);
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
	if (c->body_done && c->ahead.n == 0) {
		conn_destroy(c, HTTP_CLOSE_DONE);
		return;
	}
	/* Bytes are still on their way to us: closing now would make the kernel answer them with a reset, which can
	 * overtake our answer.  So say that we are done, and throw away what comes for a moment. */
	shutdown(c->fd, SHUT_WR);
	conn_set_state(c, CONN_LINGER);
	conn_poll(c);
}
