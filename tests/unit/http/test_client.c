/* SPDX-License-Identifier: MIT */
/* Calls to an engine that the test plays by hand, byte by byte, over a real socket. */
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

static void start(void);

static void
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

static void
on_data(void *ctx, struct slice piece)
{
	(void)ctx;
	buf_add_slice(&e.log, piece);
	if (e.cancel_on_data)
		http_call_cancel(&e.call);
}

static void
on_batch_end(void *ctx)
{
	(void)ctx;
	buf_add_char(&e.log, '|');
}

static void
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

static void
on_error(void *ctx, enum http_call_error err, const char *detail)
{
	static const char *const names[] = { "resolve", "connect", "connect timeout",
					     "closed",	"bad",	   "timeout" };

	assert_false(e.inside); /* never from http_call_start() */
	assert_false(http_call_running(ctx));
	assert_non_null(detail);
	buf_addf(&e.log, "(%s)", names[err]);
}

static bool
may_retry(void *ctx)
{
	(void)ctx;
	e.asked++;
	return e.may_retry;
}

static const struct http_call_ops ops = { on_head, on_data,  on_batch_end,
					  on_end,  on_error, may_retry };

static void
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

static void
start(void)
{
	start_call(&e.call, "POST", "hello");
}

static void
pool_at(const char *url)
{
	struct http_endpoint ep;
	struct diag d;

	assert_int_equal(http_endpoint_parse(slice_of(url), &ep, &d), 0);
	e.pool = http_pool_create(&loop, &ep, &e.limits);
}

static void
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

static int
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

static void
close_pool(void)
{
	bool closed = false;

	http_pool_close(e.pool, on_flag, &closed);
	UNTIL(closed);
	assert_int_equal(http_pool_connections(e.pool), 0);
	http_pool_destroy(e.pool);
	e.pool = NULL;
}

static int
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
static void
accept_next(void)
{
	UNTIL((e.fd = accept(e.listener, NULL, NULL)) >= 0);
	set_nonblocking(e.fd);
}

static bool
nobody_connects(void)
{
	int fd;

	turns(20);
	fd = accept(e.listener, NULL, NULL);
	if (fd >= 0)
		close(fd);
	return fd < 0;
}

static void
take_request(void)
{
	buf_clear(&e.in);
	UNTIL(heard(e.fd, &e.in, "<hello>"));
}

static bool
logged(const char *text)
{
	return strcmp(buf_cstr(&e.log), text) == 0;
}

static void
assert_log(const char *text)
{
	UNTIL(e.log.n >= strlen(text));
	turns(5);
	assert_string_equal(buf_cstr(&e.log), text);
	buf_clear(&e.log);
}

#define OK_HELLO "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"

/* A first call that ends well, so that its connection waits for the next. */
static void
warm_up(void)
{
	start();
	accept_next();
	take_request();
	say(e.fd, OK_HELLO);
	assert_log("200 Content-Length=5;hello(end)");
}

/* answers ---------------------------------------------------------------------------------------------------- */

static void
a_request_goes_out_whole(void **state)
{
	char want[256];

	(void)state;
	start();
	assert_true(http_call_running(&e.call));
	accept_next();
	take_request();
	snprintf(want, sizeof(want),
		 "POST /base/p?q HTTP/1.1\r\nhost: 127.0.0.1:%u\r\nx-a: b\r\ncontent-length: 7\r\n\r\n<hello>",
		 e.port);
	assert_string_equal(buf_cstr(&e.in), want);
	http_call_cancel(&e.call);
}

/* Each answer in one write, and byte by byte. */
static void
answers_are_decoded(void **state)
{
	static const struct {
		const char *text, *log;
	} cases[] = {
		{ "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nX: \t a b \r\nY:\r\n\r\nabc",
		  "200 Content-Length=3 X=a b Y=;abc(end)" },
		{ "HTTP/1.1 200\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n",
		  "200 Transfer-Encoding=chunked;abcde(end)" },
		{ "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nX-Trailer: 1\r\n\r\n",
		  "200 Transfer-Encoding=chunked;a(end)" },
		{ "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nLink: x\r\n\r\n"
		  "HTTP/1.1 429 No\r\nContent-Length: 0\r\nRetry-After: 1\r\n\r\n",
		  "429 Content-Length=0 Retry-After=1;(end)" },
		{ "HTTP/1.1 204 No Content\r\n\r\n", "204;(end)" },
		{ "HTTP/1.1 304 Not Modified\r\nContent-Length: 10\r\n\r\n", "304 Content-Length=10;(end)" },
	};
	struct buf heard_log;

	(void)state;
	buf_init(&heard_log, 1 << 16);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		for (unsigned bytewise = 0; bytewise < 2; bytewise++) {
			start();
			if (i == 0 && bytewise == 0)
				accept_next(); /* and kept for all of them */
			take_request();
			for (const char *p = cases[i].text; *p && bytewise; p++) {
				say_n(e.fd, p, 1);
				uv_run(&loop, UV_RUN_NOWAIT);
			}
			if (!bytewise)
				say(e.fd, cases[i].text);
			UNTIL(strstr(buf_cstr(&e.log), "(end)"));
			buf_clear(&heard_log);
			for (size_t k = 0; k < e.log.n; k++) /* but for the ends of batches */
				if (e.log.p[k] != '|')
					buf_add_char(&heard_log, e.log.p[k]);
			assert_string_equal(buf_cstr(&heard_log), cases[i].log);
			buf_clear(&e.log);
		}
	assert_int_equal(http_pool_connections(e.pool), 1);
	buf_finish(&heard_log);
}

static void
the_end_of_a_batch_is_told_once_for_each_read(void **state)
{
	(void)state;
	start();
	accept_next();
	take_request();
	say(e.fd, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n1\r\nb\r\n");
	UNTIL(logged("200 Transfer-Encoding=chunked;ab|"));
	say(e.fd, "1\r\nc\r\n");
	UNTIL(logged("200 Transfer-Encoding=chunked;ab|c|"));
	say(e.fd, "1\r\nd\r\n0\r\n\r\n");
	assert_log("200 Transfer-Encoding=chunked;ab|c|d(end)");
}

static void
an_answer_without_length_ends_with_the_connection(void **state)
{
	(void)state;
	start();
	accept_next();
	take_request();
	say(e.fd, "HTTP/1.1 200 OK\r\n\r\nall of ");
	UNTIL(logged("200;all of |"));
	say(e.fd, "it");
	close(e.fd);
	e.fd = -1;
	assert_log("200;all of |it|(end)");
	UNTIL(http_pool_connections(e.pool) == 0);
}

/* A reset is no end. */
static void
a_reset_does_not_end_an_answer_without_length(void **state)
{
	(void)state;
	start();
	accept_next();
	take_request();
	say(e.fd, "HTTP/1.1 200 OK\r\n\r\nhalf of it");
	UNTIL(logged("200;half of it|"));
	reset(e.fd);
	e.fd = -1;
	assert_log("200;half of it|(closed)");
}

static void
the_answer_to_head_has_no_body(void **state)
{
	(void)state;
	start_call(&e.call, "HEAD", NULL);
	accept_next();
	UNTIL(heard(e.fd, &e.in, "HEAD /base/p?q HTTP/1.1\r\n"));
	assert_null(strstr(e.in.p, "content-length"));
	say(e.fd, "HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n");
	assert_log("200 Content-Length=500;(end)");
	start(); /* and the connection is as good as new */
	take_request();
	say(e.fd, OK_HELLO);
	assert_log("200 Content-Length=5;hello(end)");
}

static void
what_is_no_answer_is_bad(void **state)
{
	static const char *const bad[] = {
		"hello\r\n\r\n",
		"HTTP/2.0 200 OK\r\n\r\n",
		"HTTP/1.1 20 OK\r\n\r\n",
		"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
		"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
		"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		start();
		accept_next();
		take_request();
		say(e.fd, bad[i]);
		assert_log("(bad)");
		UNTIL(http_pool_connections(e.pool) == 0);
		close(e.fd);
	}
	start();
	accept_next();
	take_request();
	say(e.fd, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\nx\r\n");
	assert_log("200 Transfer-Encoding=chunked;a(bad)");
}

static void
the_head_of_an_answer_is_bounded(void **state)
{
	struct buf text;

	(void)state;
	buf_init(&text, 1 << 20);
	for (unsigned over = 0; over < 2; over++) {
		buf_clear(&text);
		buf_add_str(&text, "HTTP/1.1 204 OK\r\nX: ");
		for (size_t i = 1; i < e.limits.head_bytes + over; i++)
			buf_add_char(&text, 'h');
		buf_add_str(&text, "\r\n\r\n");
		start();
		accept_next();
		take_request();
		say_n(e.fd, text.p, text.n);
		UNTIL(strchr(buf_cstr(&e.log), '('));
		assert_non_null(strstr(e.log.p, over ? "(bad)" : "(end)"));
		buf_clear(&e.log);
		reset(e.fd);
		UNTIL(http_pool_connections(e.pool) == 0);
		buf_clear(&text);
		buf_add_str(&text, "HTTP/1.1 204 OK\r\n");
		for (unsigned i = 0; i < e.limits.headers + over; i++)
			buf_add_str(&text, "X:y\r\n");
		buf_add_str(&text, "\r\n");
		start();
		accept_next();
		take_request();
		say_n(e.fd, text.p, text.n);
		UNTIL(strchr(buf_cstr(&e.log), '('));
		assert_non_null(strstr(e.log.p, over ? "(bad)" : "(end)"));
		buf_clear(&e.log);
		reset(e.fd);
		UNTIL(http_pool_connections(e.pool) == 0);
	}
	e.fd = -1;
	buf_finish(&text);
}

/* A long request to an engine that answers and closes before it has read it: what it said counts. */
static void
an_early_answer_is_heard(void **state)
{
	struct http_call_request rq = { .method = SLICE("POST"), .target = SLICE("/"), .body_pieces = 1 };
	size_t n = 32 << 20;
	char *body = calloc(1, n);

	(void)state;
	rq.body[0] = (struct slice){ body, n };
	http_call_start(&e.call, e.pool, &rq, &ops, &e.call);
	accept_next();
	say(e.fd, "HTTP/1.1 413 No\r\nContent-Length: 2\r\n\r\nno");
	assert_log("413 Content-Length=2;no(end)");
	UNTIL(http_pool_connections(e.pool) == 0); /* half a request went out on it */
	free(body);
}

static void
a_long_request_goes_out_as_the_engine_reads(void **state)
{
	struct http_call_request rq = { .method = SLICE("POST"), .target = SLICE("/"), .body_pieces = 2 };
	size_t n = 16 << 20;
	char *body = malloc(n);

	(void)state;
	memset(body, 'b', n);
	rq.body[0] = (struct slice){ body, n };
	rq.body[1] = SLICE("end");
	http_call_start(&e.call, e.pool, &rq, &ops, &e.call);
	accept_next();
	UNTIL((hear(e.fd, &e.in), e.in.n > n && memcmp(e.in.p + e.in.n - 3, "end", 3) == 0));
	assert_int_equal(e.in.n - (size_t)(strstr(e.in.p, "\r\n\r\n") + 4 - e.in.p), n + 3);
	say(e.fd, OK_HELLO);
	assert_log("200 Content-Length=5;hello(end)");
	assert_int_equal(http_pool_connections(e.pool), 1);
	free(body);
}

/* connections ------------------------------------------------------------------------------------------------- */

static void
a_connection_is_used_again(void **state)
{
	(void)state;
	warm_up();
	e.again_on_end = true; /* a call may start anew in its own end */
	start();
	for (unsigned i = 0; i < 2; i++) {
		take_request();
		say(e.fd, OK_HELLO);
		UNTIL(count_of(buf_cstr(&e.log), "(end)") == i + 1);
	}
	assert_true(nobody_connects());
	assert_int_equal(http_pool_connections(e.pool), 1);
}

static void
calls_at_the_same_time_have_connections_of_their_own(void **state)
{
	struct http_call other = { 0 };
	int first;

	(void)state;
	start();
	start_call(&other, "POST", "hello");
	accept_next();
	first = e.fd;
	accept_next();
	take_request();
	say(e.fd, OK_HELLO);
	say(first, OK_HELLO);
	UNTIL(count_of(buf_cstr(&e.log), "(end)") == 2);
	assert_int_equal(http_pool_connections(e.pool), 2);
	close(first);
	UNTIL(http_pool_connections(e.pool) == 1); /* an idle one that the engine closes is dropped */
	start();
	take_request(); /* the other one is used */
	say(e.fd, OK_HELLO);
	UNTIL(count_of(buf_cstr(&e.log), "(end)") == 3);
}

static void
connections_that_cannot_be_used_again_are_closed(void **state)
{
	static const char *const answers[] = {
		"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello",
		"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello",
		OK_HELLO "HTTP/1.1 200 too much",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(answers); i++) {
		start();
		accept_next();
		take_request();
		say(e.fd, answers[i]);
		UNTIL(strstr(buf_cstr(&e.log), "hello(end)"));
		UNTIL(http_pool_connections(e.pool) == 0);
		buf_clear(&e.log);
		close(e.fd);
	}
	e.fd = -1;
}

static void
an_engine_that_talks_out_of_turn_is_not_used_again(void **state)
{
	(void)state;
	warm_up();
	say(e.fd, OK_HELLO); /* nobody asked */
	UNTIL(http_pool_connections(e.pool) == 0);
	assert_log("");
}

static void
an_idle_connection_is_closed_before_the_engine_would(void **state)
{
	(void)state;
	close_pool();
	e.limits.idle_ms = 100;
	{
		char url[64];

		snprintf(url, sizeof(url), "http://127.0.0.1:%u", e.port);
		pool_at(url);
	}
	warm_up();
	UNTIL(http_pool_connections(e.pool) == 0);
	UNTIL(hear(e.fd, &e.in) == LINE_ENDED);
}

static void
idle_connections_are_bounded(void **state)
{
	struct http_call calls[4] = { 0 };
	int fd[4];

	(void)state;
	close_pool();
	e.limits.idle_connections = 2;
	{
		char url[64];

		snprintf(url, sizeof(url), "http://127.0.0.1:%u", e.port);
		pool_at(url);
	}
	for (unsigned i = 0; i < 4; i++) {
		start_call(&calls[i], "POST", "hello");
		accept_next();
		fd[i] = e.fd;
	}
	assert_int_equal(http_pool_connections(e.pool), 4);
	for (unsigned i = 0; i < 4; i++)
		say(fd[i], OK_HELLO);
	UNTIL(http_pool_connections(e.pool) == 2);
	let_pass_ms(600);
	assert_int_equal(http_pool_connections(e.pool), 2);
	e.fd = -1;
	for (unsigned i = 0; i < 4; i++)
		close(fd[i]);
}

/* retries ------------------------------------------------------------------------------------------------------ */

/* The engine closes the connection that waited, while the next request is on its way. */
static void
go_stale(void)
{
	start(); /* written before the loop could see the end */
	reset(e.fd);
}

static void
a_stale_connection_is_tried_again_once(void **state)
{
	(void)state;
	warm_up();
	go_stale();
	accept_next();
	take_request();
	assert_int_equal(e.asked, 1);
	say(e.fd, OK_HELLO);
	assert_log("200 Content-Length=5;hello(end)");
	go_stale();
	accept_next();
	take_request();
	reset(e.fd); /* a fresh connection that ends is no stale one */
	assert_log("(closed)");
	assert_true(nobody_connects());
	assert_int_equal(e.asked, 2);
	e.fd = -1;
}

static void
no_second_try_when_its_user_says_no(void **state)
{
	(void)state;
	e.may_retry = false;
	warm_up();
	go_stale();
	assert_log("(closed)");
	assert_int_equal(e.asked, 1);
	assert_true(nobody_connects());
	e.fd = -1;
}

static void
no_second_try_after_a_byte_of_an_answer(void **state)
{
	(void)state;
	warm_up();
	start();
	take_request();
	say(e.fd, "H");
	turns(5);
	close(e.fd);
	assert_log("|(closed)");
	assert_int_equal(e.asked, 0);
	assert_true(nobody_connects());
	e.fd = -1;
}

static void
no_second_try_on_a_connection_never_used_before(void **state)
{
	(void)state;
	start();
	accept_next();
	take_request();
	close(e.fd);
	assert_log("(closed)");
	assert_int_equal(e.asked, 0);
	e.fd = -1;
}

static void
an_answer_that_breaks_off_is_an_error(void **state)
{
	(void)state;
	start();
	accept_next();
	take_request();
	say(e.fd, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel");
	UNTIL(logged("200 Content-Length=5;hel|"));
	close(e.fd);
	assert_log("200 Content-Length=5;hel|(closed)");
	start();
	accept_next();
	take_request();
	say(e.fd, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n");
	UNTIL(logged("200 Transfer-Encoding=chunked;hel|"));
	close(e.fd);
	assert_log("200 Transfer-Encoding=chunked;hel|(closed)");
	e.fd = -1;
}

/* no connection -------------------------------------------------------------------------------------------------- */

static void
a_refused_connection_is_an_error(void **state)
{
	(void)state;
	close(e.listener);
	start();
	assert_log("(connect)");
	listen_on_loopback();
}

/* A Unix socket refuses at once, which is told from the loop all the same. */
static void
a_missing_unix_socket_is_an_error_from_the_loop(void **state)
{
	(void)state;
	close_pool();
	pool_at("unix:/nonexistent/engine.sock");
	start();
	assert_true(http_call_running(&e.call));
	assert_true(logged(""));
	assert_log("(connect)");
	start();
	http_call_cancel(&e.call); /* before it was told */
	assert_false(http_call_running(&e.call));
	assert_log("");
	start();
	close_pool();
	assert_log("(connect)");
}

/* A listener whose queue is full: it neither takes nor refuses. */
static void
a_connection_that_does_not_come_times_out(void **state)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(a);
	int full = socket(AF_INET, SOCK_STREAM, 0), fill[8];
	char url[64];

	(void)state;
	assert_int_equal(bind(full, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(listen(full, 0), 0);
	assert_int_equal(getsockname(full, (struct sockaddr *)&a, &len), 0);
	for (unsigned i = 0; i < 8; i++) {
		fill[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
		assert_true(connect(fill[i], (struct sockaddr *)&a, sizeof(a)) == 0 ||
			    errno == EINPROGRESS);
	}
	close_pool();
	e.limits.connect_ms = 300;
	snprintf(url, sizeof(url), "http://127.0.0.1:%u", ntohs(a.sin_port));
	pool_at(url);
	start();
	assert_log("(connect timeout)");
	UNTIL(http_pool_connections(e.pool) == 0);
	for (unsigned i = 0; i < 8; i++)
		close(fill[i]);
	close(full);
}

static void
a_name_without_address_is_an_error(void **state)
{
	struct http_call other = { 0 };

	(void)state;
	close_pool();
	pool_at("http://no-such-host.invalid:1");
	start();
	start_call(&other, "POST", "hello");
	assert_true(http_call_running(&other));
	UNTIL(logged("(resolve)(resolve)"));
	buf_clear(&e.log);
	start();
	http_call_cancel(&e.call); /* while it waits for the address */
	close_pool();
	assert_log("");
	pool_at("http://\xff\xfe:1"); /* not even a name */
	start();
	assert_log("(resolve)");
	close_pool();
	pool_at("http://no-such-host.invalid:1");
	start();
	close_pool();
	UNTIL(e.log.n);
	assert_true(logged("(closed)") || logged("(resolve)"));
}

/* localhost is ::1 first on most machines, and engines listen on 127.0.0.1. */
static void
each_address_of_a_name_is_tried(void **state)
{
	struct http_address *to;
	struct sockaddr_in *in;

	(void)state;
	/* As if the name had three addresses, at the second of which somebody listens. */
	to = e.pool->addresses;
	to[1] = to[2] = to[0];
	in = (struct sockaddr_in *)&to[0].ss;
	in->sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1);
	in = (struct sockaddr_in *)&to[2].ss;
	in->sin_addr.s_addr = htonl(INADDR_LOOPBACK + 2);
	e.pool->n_addresses = 3;
	warm_up();
	assert_int_equal(e.pool->address, 1); /* where the next call begins */
	close(e.listener);
	close(e.fd);
	e.fd = -1;
	UNTIL(http_pool_connections(e.pool) == 0);
	start(); /* nobody there at any: one error */
	assert_log("(connect)");
	listen_on_loopback();
}

static void
a_name_is_looked_up_anew_when_nobody_answers(void **state)
{
	char url[64];

	(void)state;
	close_pool();
	snprintf(url, sizeof(url), "http://localhost:%u", e.port);
	pool_at(url);
	start();
	UNTIL(e.pool->n_addresses);
	assert_false(e.pool->resolving);
	accept_next();
	take_request();
	say(e.fd, OK_HELLO);
	assert_log("200 Content-Length=5;hello(end)");
	close(e.listener);
	close(e.fd);
	e.fd = -1;
	UNTIL(http_pool_connections(e.pool) == 0);
	start();
	assert_false(e.pool->resolving);
	assert_log("(connect)");
	start();
	assert_true(e.pool->resolving);
	assert_log("(connect)");
	listen_on_loopback();
}

static void
a_unix_socket_is_an_engine_too(void **state)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	char dir[] = "/tmp/kw-http-XXXXXX", url[128];

	(void)state;
	assert_non_null(mkdtemp(dir));
	snprintf(a.sun_path, sizeof(a.sun_path), "%s/e", dir);
	close_pool();
	close(e.listener);
	e.listener = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(bind(e.listener, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(listen(e.listener, 16), 0);
	set_nonblocking(e.listener);
	snprintf(url, sizeof(url), "unix:%s/e", dir);
	pool_at(url);
	warm_up();
	assert_non_null(strstr(e.in.p, "\r\nhost: localhost\r\n"));
	unlink(a.sun_path);
	rmdir(dir);
}

/* ends -------------------------------------------------------------------------------------------------------------- */

static void
a_cancelled_call_closes_its_connection_and_says_nothing(void **state)
{
	(void)state;
	http_call_cancel(&e.call); /* harmless when nothing runs */
	for (unsigned phase = 0; phase < 4; phase++) {
		start();
		if (phase >= 1)
			accept_next();
		if (phase >= 2) {
			take_request();
			say(e.fd, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel");
		}
		if (phase == 3)
			UNTIL(logged("200 Content-Length=5;hel|"));
		buf_clear(&e.log);
		http_call_cancel(&e.call);
		assert_false(http_call_running(&e.call));
		UNTIL(http_pool_connections(e.pool) == 0);
		if (phase == 0)
			accept_next(); /* the kernel had connected */
		UNTIL(hear(e.fd, &e.in) != LINE_OPEN);
		assert_log("");
		close(e.fd);
	}
	e.fd = -1;
}

static void
a_call_may_be_cancelled_in_its_callbacks(void **state)
{
	(void)state;
	e.cancel_on_head = true;
	start();
	accept_next();
	take_request();
	say(e.fd, OK_HELLO);
	assert_log("200 Content-Length=5;");
	close(e.fd);
	e.cancel_on_head = false;
	e.cancel_on_data = true;
	start();
	accept_next();
	take_request();
	say(e.fd, OK_HELLO);
	assert_log("200 Content-Length=5;hello");
	UNTIL(http_pool_connections(e.pool) == 0);
}

static void
closing_the_pool_ends_running_calls(void **state)
{
	struct http_call other = { 0 };

	(void)state;
	warm_up();
	start();
	start_call(&other, "POST", "hello");
	take_request();
	close_pool();
	assert_true(logged("(closed)(closed)"));
	assert_int_equal(e.asked, 0);
}

/* http_get ---------------------------------------------------------------------------------------------------------- */

static void
got(void *ctx, unsigned status, struct slice body, const char *err)
{
	(void)ctx;
	assert_false(e.inside);
	buf_addf(&e.log, "%u " SLICE_FMT " %s", status, SLICE_ARG(body), err ? "error" : "fine");
}

static struct http_get *
get(size_t max_bytes, uint32_t timeout_ms)
{
	struct http_get *g;

	e.inside = true;
	g = http_get_start(e.pool, "/health", NULL, max_bytes, timeout_ms, got, NULL);
	e.inside = false;
	return g;
}

static void
a_get_collects_its_answer(void **state)
{
	(void)state;
	get(5, 10000);
	accept_next();
	UNTIL(heard(e.fd, &e.in, "GET /base/health HTTP/1.1\r\n"));
	say(e.fd, OK_HELLO);
	assert_log("200 hello fine");
	get(4, 10000);
	say(e.fd, OK_HELLO);
	UNTIL(strstr(buf_cstr(&e.log), "error")); /* one byte too long */
	assert_memory_equal(e.log.p, "0 ", 2);
	buf_clear(&e.log);
	close(e.fd);
	get(5, 200);
	accept_next();
	assert_log("0  error"); /* no answer in time */
	UNTIL(http_pool_connections(e.pool) == 0);
	close(e.fd);
	http_get_cancel(get(5, 10000));
	http_get_cancel(NULL);
	turns(20);
	assert_log("");
	close_pool();
	pool_at("unix:/nonexistent/engine.sock");
	get(5, 10000);
	assert_log("0  error");
	e.fd = -1;
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_request_goes_out_whole),
		T(answers_are_decoded),
		T(the_end_of_a_batch_is_told_once_for_each_read),
		T(an_answer_without_length_ends_with_the_connection),
		T(a_reset_does_not_end_an_answer_without_length),
		T(the_answer_to_head_has_no_body),
		T(what_is_no_answer_is_bad),
		T(the_head_of_an_answer_is_bounded),
		T(an_early_answer_is_heard),
		T(a_long_request_goes_out_as_the_engine_reads),
		T(a_connection_is_used_again),
		T(calls_at_the_same_time_have_connections_of_their_own),
		T(connections_that_cannot_be_used_again_are_closed),
		T(an_engine_that_talks_out_of_turn_is_not_used_again),
		T(an_idle_connection_is_closed_before_the_engine_would),
		T(idle_connections_are_bounded),
		T(a_stale_connection_is_tried_again_once),
		T(no_second_try_when_its_user_says_no),
		T(no_second_try_after_a_byte_of_an_answer),
		T(no_second_try_on_a_connection_never_used_before),
		T(an_answer_that_breaks_off_is_an_error),
		T(a_refused_connection_is_an_error),
		T(a_missing_unix_socket_is_an_error_from_the_loop),
		T(a_connection_that_does_not_come_times_out),
		T(a_name_without_address_is_an_error),
		T(each_address_of_a_name_is_tried),
		T(a_name_is_looked_up_anew_when_nobody_answers),
		T(a_unix_socket_is_an_engine_too),
		T(a_cancelled_call_closes_its_connection_and_says_nothing),
		T(a_call_may_be_cancelled_in_its_callbacks),
		T(closing_the_pool_ends_running_calls),
		T(a_get_collects_its_answer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
