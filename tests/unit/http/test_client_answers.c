/* SPDX-License-Identifier: MIT */
/* Answers of an engine, good and bad. */
#include "calling.h"

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
		{ "HTTP/1.1 100 Continue\r\nContent-Length: 4\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx",
		  "200 Content-Length=1;x(end)" },
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
		"HTTP/1.1 020 OK\r\n\r\nHTTP/1.1 204 OK\r\n\r\n",
		"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\t\r\n\r\n0\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\n\r\nhello",
		"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
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
	int first;

	(void)state;
	rq.body[0] = (struct slice){ body, n };
	http_call_start(&e.call, e.pool, &rq, &ops, &e.call);
	accept_next();
	first = e.fd;
	e.again_on_end = true;
	say(e.fd, "HTTP/1.1 413 No\r\nContent-Length: 2\r\n\r\nno");
	assert_log("413 Content-Length=2;no(end)");
	accept_next(); /* half a request went out on the old one */
	take_request();
	close(first);
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
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
