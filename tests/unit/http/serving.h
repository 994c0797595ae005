/* SPDX-License-Identifier: MIT */
/*
 * serving - a server whose user writes down what it sees: "GET /a;" at a head, "[body]" piece by piece, "." at its end,
 * and "(done)", "(left)" and so on at the close.
 */
#pragma once
#include "http/server.h"
#include "sockets.h"

enum manners {
	BE_ECHO,  /* takes the body, and answers with all that was seen of this request */
	BE_LATE,  /* takes the body, and leaves the answer to the test */
	BE_IDLE,  /* does nothing: the test accepts and answers */
	BE_EARLY, /* answers from on_head, without looking at the body */
	BE_BUSY,  /* answers from on_body */
	BE_RUDE,  /* aborts from on_body */
};

static struct {
	struct http_server *srv;
	struct http_limits limits;
	uint16_t port;
	enum manners manners;
	struct buf log, body;
	struct http_exchange *x; /* the last one that is open */
	unsigned heads, closes;
	bool inside; /* a function of the exchange is on the stack */
} s;

static inline void
answer(struct http_exchange *x, const char *text)
{
	http_respond(x, 200, NULL, slice_of(text));
}

static inline void
on_head(void *ctx, struct http_exchange *x)
{
	(void)ctx;
	s.heads++;
	s.x = x;
	buf_clear(&s.body);
	buf_addf(&s.log, SLICE_FMT " " SLICE_FMT, SLICE_ARG(http_method(x)), SLICE_ARG(http_path(x)));
	if (http_query(x).n)
		buf_addf(&s.log, "?" SLICE_FMT, SLICE_ARG(http_query(x)));
	buf_add_char(&s.log, ';');
	s.inside = true;
	if (s.manners == BE_EARLY)
		answer(x, "early");
	else if (s.manners != BE_IDLE)
		http_accept_body(x);
	s.inside = false;
}

static inline void
on_body(void *ctx, struct http_exchange *x, struct slice piece)
{
	(void)ctx;
	assert_false(s.inside);
	assert_ptr_equal(x, s.x);
	buf_add_slice(&s.body, piece);
	buf_addf(&s.log, "[" SLICE_FMT "]", SLICE_ARG(piece));
	if (s.manners == BE_BUSY)
		answer(x, "enough");
	else if (s.manners == BE_RUDE)
		http_abort(x);
}

static inline void
on_body_end(void *ctx, struct http_exchange *x)
{
	(void)ctx;
	assert_false(s.inside);
	buf_add_char(&s.log, '.');
	if (s.manners == BE_ECHO)
		http_respond(x, 200, NULL, buf_slice(&s.body));
}

static inline void
on_close(void *ctx, struct http_exchange *x, enum http_close why)
{
	static const char *const names[] = { "done", "left", "slow", "timeout", "bad", "aborted" };

	(void)ctx;
	assert_false(s.inside);
	assert_ptr_equal(x, s.x);
	s.x = NULL;
	s.closes++;
	buf_addf(&s.log, "(%s)", names[why]);
}

static inline unsigned
render_refusal(void *ctx, const struct http_refused *why, struct buf *body)
{
	(void)ctx;
	buf_addf(body, "{\"refusal\":%d,\"detail\":\"%s\"}", (int)why->what, why->detail);
	return why->status;
}

static const struct http_server_ops serving_ops = { on_head, on_body, on_body_end, on_close,
						    render_refusal };

/* Set s.limits before, or leave them as they come. */
static inline void
serve(enum manners manners)
{
	struct diag d;

	s.manners = manners;
	assert_int_equal(uv_loop_init(&loop), 0);
	buf_init(&s.log, 64 << 20);
	buf_init(&s.body, 64 << 20);
	s.srv = http_server_create(&loop, &s.limits, &serving_ops, NULL);
	assert_int_equal(http_server_listen(s.srv, "127.0.0.1", 0, 7, &s.port, &d), 0);
}

static inline void
stop_serving(void)
{
	bool closed = false;

	http_server_close(s.srv, on_flag, &closed);
	UNTIL(closed);
	assert_int_equal(http_server_active(s.srv), 0);
	assert_int_equal(http_server_stats(s.srv)->buffered_bytes, 0);
	assert_int_equal(s.heads, s.closes); /* each exchange was closed, once */
	http_server_destroy(s.srv);
	buf_finish(&s.log);
	buf_finish(&s.body);
	loop_finish();
}

static inline int
setup_serving(void **state)
{
	(void)state;
	memset(&s, 0, sizeof(s));
	s.limits = HTTP_LIMITS_DEFAULT;
	return 0;
}

static inline bool
logged(const char *text)
{
	return strcmp(buf_cstr(&s.log), text) == 0;
}

/* Sends @n bytes on a connection of its own and takes all that comes until the server ends it. */
static inline enum line
ask_n(const char *p, size_t n, struct buf *out)
{
	int fd = dial(s.port);
	enum line how;

	buf_clear(out);
	say_n(fd, p, n);
	UNTIL((how = hear(fd, out)) != LINE_OPEN);
	close(fd);
	return how;
}

static inline enum line
ask(const char *text, struct buf *out)
{
	return ask_n(text, strlen(text), out);
}

/* The status of the first answer in @out, 0 when there is none. */
static inline unsigned
status_of(struct buf *out)
{
	return out->n > 12 && memcmp(out->p, "HTTP/1.1 ", 9) == 0
		       ? (unsigned)strtoul(buf_cstr(out) + 9, NULL, 10)
		       : 0;
}

#define GET "GET / HTTP/1.1\r\nHost: x\r\n"
#define POST "POST / HTTP/1.1\r\nHost: x\r\n"
#define LAST "Connection: close\r\n"

/* What a test reads from its client. */
static struct buf out;

static inline int
setup(void **state)
{
	buf_init(&out, 64 << 20);
	return setup_serving(state);
}

static inline int
teardown(void **state)
{
	(void)state;
	buf_finish(&out);
	return 0;
}

/* A request whose body is in, and which waits for its answer. */
static inline int
waiting_request(void)
{
	int fd = dial(s.port);
	size_t before = s.log.n;

	say(fd, POST "Content-Length: 2\r\n\r\nhi");
	UNTIL(s.log.n > before && s.log.p[s.log.n - 1] == '.');
	return fd;
}
