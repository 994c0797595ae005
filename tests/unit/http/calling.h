/* SPDX-License-Identifier: MIT */
/*
 * calling - a pool of connections to an engine that the test plays by hand, byte by byte, over a real socket.
 *
 * What the callbacks say is written down: "200 Name=value;" at a head, the data, "|" at the end of a batch, and "(end)",
 * "(closed)" and so on.
 */
#pragma once
#include <sys/un.h>

#include "http/client_impl.h"
#include "sockets.h"

static struct {
	struct http_pool *pool;
	struct http_client_limits limits;
	int listener, fd; /* the engine's side */
	uint16_t port;
	struct buf log, in; /* what the callbacks said; what the engine read */
	struct http_call call;
	bool may_retry, cancel_on_head, cancel_on_data, again_on_end;
	unsigned asked;
	bool inside;
} e;

static inline void start(void);

static inline void
on_head(void *ctx, unsigned status, const struct http_headers *h)
{
	(void)ctx;
	buf_addf(&e.log, "%u", status);
	for (unsigned i = 0; i < h->n; i++)
		buf_addf(&e.log, " " SLICE_FMT "=" SLICE_FMT, SLICE_ARG(h->v[i].name),
			 SLICE_ARG(h->v[i].value));
	buf_add_char(&e.log, ';');
	if (e.cancel_on_head)
		http_call_cancel(&e.call);
}

static inline void
on_data(void *ctx, struct slice piece)
{
	(void)ctx;
	buf_add_slice(&e.log, piece);
	if (e.cancel_on_data)
		http_call_cancel(&e.call);
}

static inline void
on_batch_end(void *ctx)
{
	(void)ctx;
	buf_add_char(&e.log, '|');
}

static inline void
on_end(void *ctx)
{
	assert_false(e.inside);
	assert_false(http_call_running(ctx));
	buf_add_str(&e.log, "(end)");
	if (e.again_on_end) {
		e.again_on_end = false;
		start();
	}
}

static inline void
on_error(void *ctx, enum http_call_error err, const char *detail)
{
	static const char *const names[] = { "resolve", "connect", "connect timeout",
					     "closed",	"bad",	   "timeout" };

	assert_false(e.inside); /* never from http_call_start() */
	assert_false(http_call_running(ctx));
	assert_non_null(detail);
	buf_addf(&e.log, "(%s)", names[err]);
}

static inline bool
may_retry(void *ctx)
{
	(void)ctx;
	e.asked++;
	return e.may_retry;
}

static const struct http_call_ops ops = { on_head, on_data,  on_batch_end,
					  on_end,  on_error, may_retry };

static inline void
start_call(struct http_call *call, const char *method, const char *body)
{
	static const struct http_header field = { SLICE_INIT("x-a"), SLICE_INIT("b") };
	struct http_call_request rq = { .method = slice_of(method),
					.target = SLICE("/p?q"),
					.headers = { 1, &field } };

	if (body) {
		rq.body[0] = SLICE("<");
		rq.body[1] = slice_of(body);
		rq.body[2] = SLICE(">");
		rq.body_pieces = 3;
	}
	e.inside = true;
	http_call_start(call, e.pool, &rq, &ops, call);
	e.inside = false;
}

static inline void
start(void)
{
	start_call(&e.call, "POST", "hello");
}

static inline void
pool_at(const char *url)
{
	struct http_endpoint ep;
	struct diag d;

	assert_int_equal(http_endpoint_parse(slice_of(url), &ep, &d), 0);
	e.pool = http_pool_create(&loop, &ep, &e.limits);
}

static inline void
listen_on_loopback(void)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(a);

	e.listener = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(bind(e.listener, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(listen(e.listener, 16), 0);
	assert_int_equal(getsockname(e.listener, (struct sockaddr *)&a, &len), 0);
	e.port = ntohs(a.sin_port);
	set_nonblocking(e.listener);
}

static inline int
setup(void **state)
{
	char url[64];

	(void)state;
	memset(&e, 0, sizeof(e));
	e.limits = HTTP_CLIENT_LIMITS_DEFAULT;
	e.fd = -1;
	e.may_retry = true;
	buf_init(&e.log, 64 << 20);
	buf_init(&e.in, 64 << 20);
	assert_int_equal(uv_loop_init(&loop), 0);
	listen_on_loopback();
	snprintf(url, sizeof(url), "http://127.0.0.1:%u/base", e.port);
	pool_at(url);
	return 0;
}

static inline void
close_pool(void)
{
	bool closed = false;

	http_pool_close(e.pool, on_flag, &closed);
	UNTIL(closed);
	assert_int_equal(http_pool_connections(e.pool), 0);
	http_pool_destroy(e.pool);
	e.pool = NULL;
}

static inline int
teardown(void **state)
{
	(void)state;
	if (e.pool)
		close_pool();
	close(e.listener);
	if (e.fd >= 0)
		close(e.fd);
	buf_finish(&e.log);
	buf_finish(&e.in);
	loop_finish();
	return 0;
}

/* The engine's side of the next connection. */
static inline void
accept_next(void)
{
	UNTIL((e.fd = accept(e.listener, NULL, NULL)) >= 0);
	set_nonblocking(e.fd);
}

static inline bool
nobody_connects(void)
{
	int fd;

	turns(20);
	fd = accept(e.listener, NULL, NULL);
	if (fd >= 0)
		close(fd);
	return fd < 0;
}

static inline void
take_request(void)
{
	buf_clear(&e.in);
	UNTIL(heard(e.fd, &e.in, "<hello>"));
}

static inline bool
logged(const char *text)
{
	return strcmp(buf_cstr(&e.log), text) == 0;
}

static inline void
assert_log(const char *text)
{
	UNTIL(e.log.n >= strlen(text));
	turns(5);
	assert_string_equal(buf_cstr(&e.log), text);
	buf_clear(&e.log);
}

#define OK_HELLO "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"

/* A first call that ends well, so that its connection waits for the next. */
static inline void
warm_up(void)
{
	start();
	accept_next();
	take_request();
	say(e.fd, OK_HELLO);
	assert_log("200 Content-Length=5;hello(end)");
}
