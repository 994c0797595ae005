/* SPDX-License-Identifier: MIT */
/* Requests over a real socket: what reaches the user, what is refused, and that nothing can be read in two ways. */
#include "serving.h"

/* good ones -------------------------------------------------------------------------------------------------- */

static void
a_request_is_seen_as_it_was_sent(void **state)
{
	const struct http_headers *h;
	int fd;

	(void)state;
	serve(BE_IDLE);
	fd = dial(s.port);
	say(fd, "PUT /a/b%20c?x=1&y=?2 HTTP/1.1\r\nHost: h:1\r\nX-Two:\t a  b \t\r\nx-none:\r\n"
		"Content-Length: 5\r\n\r\n");
	UNTIL(s.x);
	assert_true(slice_eq(http_method(s.x), SLICE("PUT")));
	assert_true(slice_eq(http_path(s.x), SLICE("/a/b%20c")));
	assert_true(slice_eq(http_query(s.x), SLICE("x=1&y=?2")));
	h = http_request_headers(s.x);
	assert_int_equal(h->n, 4);
	assert_true(slice_eq(h->v[0].name, SLICE("Host")) && slice_eq(h->v[0].value, SLICE("h:1")));
	assert_true(slice_eq(h->v[1].name, SLICE("X-Two")) && slice_eq(h->v[1].value, SLICE("a  b")));
	assert_true(slice_eq(h->v[2].name, SLICE("x-none")) && h->v[2].value.n == 0);
	assert_int_equal(http_content_length(s.x), 5);
	assert_int_equal(http_listener_tag(s.x), 7);
	assert_true(http_peer_is_local(s.x));
	assert_memory_equal(http_peer(s.x), "127.0.0.1:", 10);
	close(fd);
	stop_serving();
}

static void
a_head_may_come_byte_by_byte(void **state)
{
	static const char text[] =
		"POST /x?q HTTP/1.1\r\nHost: x\r\nX-A: long value\r\nContent-Length: 3\r\n"
		"Connection: close\r\n\r\nabc";
	int fd;

	(void)state;
	serve(BE_ECHO);
	fd = dial(s.port);
	for (const char *p = text; *p; p++) {
		say_n(fd, p, 1);
		uv_run(&loop, UV_RUN_NOWAIT);
	}
	UNTIL(hear(fd, &out) == LINE_ENDED);
	assert_int_equal(status_of(&out), 200);
	assert_true(logged("POST /x?q;[a][b][c].(done)"));
	assert_non_null(strstr(out.p, "\r\n\r\nabc"));
	close(fd);
	stop_serving();
}

static void
an_absolute_target_is_its_path(void **state)
{
	(void)state;
	serve(BE_ECHO);
	ask("GET http://other:1/p?q HTTP/1.1\r\nHost: x\r\n" LAST "\r\n", &out);
	ask("GET http://other HTTP/1.1\r\nHost: x\r\n" LAST "\r\n", &out);
	ask("GET http://other?q HTTP/1.1\r\nHost: x\r\n" LAST "\r\n", &out);
	assert_true(logged("GET /p?q;.(done)GET /;.(done)GET /?q;.(done)"));
	stop_serving();
}

static void
a_connection_serves_one_request_after_the_other(void **state)
{
	int fd;

	(void)state;
	serve(BE_ECHO);
	fd = dial(s.port);
	for (unsigned i = 0; i < 3; i++) {
		buf_clear(&out);
		say(fd, POST "Content-Length: 2\r\n\r\nhi");
		UNTIL(heard(fd, &out, "\r\n\r\nhi"));
		assert_null(strstr(out.p, "connection:"));
		assert_non_null(strstr(out.p, "\r\ncontent-length: 2\r\n"));
		assert_non_null(strstr(out.p, "\r\ndate: "));
	}
	assert_int_equal(hear(fd, &out), LINE_OPEN);
	assert_int_equal(http_server_stats(s.srv)->accepted, 1);
	assert_int_equal(http_server_stats(s.srv)->requests, 3);
	close(fd);
	stop_serving();
}

static void
requests_in_one_write_are_answered_in_order(void **state)
{
	(void)state;
	serve(BE_ECHO);
	ask("\r\n\r\n" POST "Content-Length: 3\r\n\r\none" POST
	    "Transfer-Encoding: chunked\r\n\r\n3\r\ntwo\r\n0\r\n\r\n\r\n" GET LAST "\r\n",
	    &out);
	assert_true(logged("POST /;[one].(done)POST /;[two].(done)GET /;.(done)"));
	assert_int_equal(count_of(out.p, "HTTP/1.1 200"), 3);
	assert_true(strstr(out.p, "one") < strstr(out.p, "two"));
	stop_serving();
}

/* The rest of the second head came, and was never read. */
static void
half_a_head_behind_a_request_that_is_answered_at_once(void **state)
{
	int fd;

	(void)state;
	serve(BE_EARLY);
	fd = dial(s.port);
	say(fd, GET "\r\nGET /second HT");
	UNTIL(heard(fd, &out, "early"));
	say(fd, "TP/1.1\r\nHost: x\r\n\r\n");
	UNTIL(s.closes == 2);
	assert_true(logged("GET /;(done)GET /second;(done)"));
	close(fd);
	stop_serving();
}

static void
a_chunked_body_is_decoded(void **state)
{
	(void)state;
	serve(BE_ECHO);
	ask(POST LAST "Transfer-Encoding: chunked\r\n\r\n"
		      "5\r\nhello\r\n1;ext=\"v\";b\r\n \r\n00A\r\n0123456789\r\n0\r\nX-T: 1\r\n\r\n",
	    &out);
	assert_int_equal(status_of(&out), 200);
	assert_non_null(strstr(out.p, "\r\n\r\nhello 0123456789"));
	stop_serving();
}

static void
the_length_of_a_chunked_body_is_not_known(void **state)
{
	int fd;

	(void)state;
	serve(BE_IDLE);
	fd = dial(s.port);
	say(fd, POST "Transfer-Encoding: chunked\r\n\r\n");
	UNTIL(s.x);
	assert_true(http_content_length(s.x) == UINT64_MAX);
	close(fd);
	stop_serving();
}

static void
one_hundred_continue_is_said_when_the_body_is_wanted(void **state)
{
	int fd;

	(void)state;
	serve(BE_IDLE);
	fd = dial(s.port);
	say(fd, POST LAST "Expect: 100-Continue\r\nContent-Length: 2\r\n\r\n");
	UNTIL(s.x);
	turns(5);
	assert_int_equal(hear(fd, &out), LINE_OPEN);
	assert_int_equal(out.n, 0);
	http_accept_body(s.x);
	UNTIL(heard(fd, &out, "\r\n\r\n"));
	assert_string_equal(buf_cstr(&out), "HTTP/1.1 100 Continue\r\n\r\n");
	say(fd, "ok");
	UNTIL(logged("POST /;[ok]."));
	answer(s.x, "fine");
	UNTIL(hear(fd, &out) == LINE_ENDED);
	assert_int_equal(count_of(out.p, "HTTP/1.1 "), 2);
	close(fd);
	stop_serving();
}

static void
who_is_refused_is_not_told_to_continue(void **state)
{
	(void)state;
	serve(BE_EARLY);
	ask(POST "Expect: 100-continue\r\nContent-Length: 2\r\n\r\n", &out);
	assert_int_equal(status_of(&out), 200);
	assert_int_equal(count_of(out.p, "HTTP/1.1 "), 1);
	assert_non_null(strstr(out.p, "\r\nconnection: close\r\n")); /* the body may come, or not */
	stop_serving();
}

static void
who_did_not_wait_for_it_is_not_told_to_continue(void **state)
{
	(void)state;
	serve(BE_ECHO);
	ask(POST LAST "Expect: 100-continue\r\nContent-Length: 2\r\n\r\nhi", &out);
	assert_int_equal(count_of(out.p, "HTTP/1.1 "), 1);
	ask("POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nhi", &out);
	assert_int_equal(count_of(out.p, "HTTP/1.1 "), 1);
	stop_serving();
}

static void
http_1_0_closes_unless_it_asks_not_to(void **state)
{
	int fd;

	(void)state;
	serve(BE_ECHO);
	assert_int_equal(ask("GET / HTTP/1.0\r\n\r\n", &out), LINE_ENDED);
	assert_non_null(strstr(out.p, "\r\nconnection: close\r\n"));
	fd = dial(s.port);
	for (unsigned i = 0; i < 2; i++) {
		buf_clear(&out);
		say(fd, "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
		UNTIL(heard(fd, &out, "\r\nconnection: keep-alive\r\n"));
	}
	close(fd);
	stop_serving();
}

static void
an_upgrade_is_not_taken_up(void **state)
{
	(void)state;
	serve(BE_ECHO);
	ask(GET "Connection: upgrade, close\r\nUpgrade: h2c\r\n\r\n", &out);
	assert_int_equal(status_of(&out), 200);
	ask(POST "Connection: upgrade, close\r\nUpgrade: x\r\nContent-Length: 2\r\n\r\nhi", &out);
	assert_non_null(strstr(out.p, "\r\n\r\nhi"));
	ask("CONNECT h:1 HTTP/1.1\r\nHost: h:1\r\n\r\n" GET "\r\n", &out);
	assert_int_equal(count_of(out.p, "HTTP/1.1 "), 1); /* what follows is no request of ours */
	stop_serving();
}

/* refusals ---------------------------------------------------------------------------------------------------- */

static void
assert_refused(const char *text, size_t n, unsigned status, enum http_refusal what)
{
	uint64_t before = http_server_stats(s.srv)->refused[what];
	unsigned heads = s.heads;
	char mark[32];

	assert_int_equal(ask_n(text, n, &out), LINE_ENDED); /* the answer arrives whole, no reset overtakes it */
	if (status_of(&out) != status)
		fail_msg("%u instead of %u for: %.200s", status_of(&out), status, text);
	snprintf(mark, sizeof(mark), "{\"refusal\":%d,", (int)what);
	assert_non_null(strstr(out.p, mark));
	assert_non_null(strstr(out.p, "\r\ncontent-type: application/json\r\n"));
	assert_non_null(strstr(out.p, "\r\nconnection: close\r\n"));
	assert_int_equal(count_of(out.p, "content-length: "), 1);
	assert_int_equal(http_server_stats(s.srv)->refused[what], before + 1);
	assert_int_equal(s.heads, heads); /* its user has not seen it */
}

#define REFUSED(text, status, what)                                                                \
	assert_refused(text, sizeof(text) - 1, status, HTTP_REFUSE_##what)

static void
what_is_no_request_is_refused(void **state)
{
	(void)state;
	serve(BE_ECHO);
	REFUSED("hello\r\n\r\n", 400, BAD_REQUEST);
	REFUSED("G@T / HTTP/1.1\r\nHost: x\r\n\r\n", 400, BAD_REQUEST);
	REFUSED("get / HTTP/1.1\r\nHost: x\r\n\r\n", 400, BAD_REQUEST);
	REFUSED("GET  / HTTP/1.1\r\nHost: x\r\n\r\n", 400, BAD_REQUEST);
	REFUSED("GET /  HTTP/1.1\r\nHost: x\r\n\r\n", 400, BAD_REQUEST);
	REFUSED("GET /\tHTTP/1.1\r\nHost: x\r\n\r\n", 400, BAD_REQUEST);
	REFUSED("GET\t/ HTTP/1.1\r\nHost: x\r\n\r\n", 400, BAD_REQUEST);
	REFUSED("GET / http/1.1\r\nHost: x\r\n\r\n", 400, BAD_REQUEST);
	REFUSED("GET http:// HTTP/1.1\r\nHost: x\r\n\r\n", 400, BAD_REQUEST); /* was read beyond its end */
	REFUSED("GET https:// HTTP/1.1\r\nHost: x\r\n\r\n", 400, BAD_REQUEST);
	REFUSED("GET http:///p HTTP/1.1\r\nHost: x\r\n\r\n", 400, BAD_REQUEST);
	REFUSED("GET http://?p HTTP/1.1\r\nHost: x\r\n\r\n", 400, BAD_REQUEST);
	REFUSED("GET / x HTTP/1.1\r\nHost: x\r\n\r\n", 400, BAD_REQUEST);
	REFUSED("GET /\x01 HTTP/1.1\r\nHost: x\r\n\r\n", 400, BAD_REQUEST);
	REFUSED("GET / HTTP/1.1\r\n\r\n", 400, BAD_REQUEST);
	REFUSED("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400, BAD_REQUEST);
	REFUSED("GET / HTTP/1.1\r\nHost: a\r\nno colon\r\n\r\n", 400, BAD_REQUEST);
	REFUSED("GET / HTTP/1.1\r\nHost: a\r\n: no name\r\n\r\n", 400, BAD_REQUEST);
	REFUSED("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400, BAD_REQUEST); /* TLS */
	stop_serving();
}

static void
only_http_1_0_and_1_1_are_spoken(void **state)
{
	(void)state;
	serve(BE_ECHO);
	REFUSED("GET / HTTP/2.0\r\nHost: x\r\n\r\n", 505, VERSION);
	REFUSED("GET / HTTP/1.2\r\nHost: x\r\n\r\n", 505, VERSION);
	REFUSED("GET / HTTP/0.9\r\nHost: x\r\n\r\n", 505, VERSION);
	REFUSED("GET / HTTP/1.1 \r\nHost: x\r\n\r\n", 505, VERSION);
	REFUSED("GET / HTTP/01.1\r\nHost: x\r\n\r\n", 505, VERSION);
	REFUSED("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505, VERSION);
	/* What stands behind does not change it. */
	REFUSED("POST / HTTP/3.0\r\nHost: x\r\nContent-Length: 4\r\n\r\n\n\n\x01\x02", 505, VERSION);
	stop_serving();
}

/* Each of these has been used to make two programs see different requests. */
static void
what_could_be_read_in_two_ways_is_refused(void **state)
{
	(void)state;
	serve(BE_ECHO);
#define SMUGGLED "0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"
	REFUSED(POST "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n" SMUGGLED, 400, BAD_REQUEST);
	REFUSED(POST "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n" SMUGGLED, 400, BAD_REQUEST);
	REFUSED(POST "Content-Length: 5\r\nContent-Length: 5\r\n\r\n" SMUGGLED, 400, BAD_REQUEST);
	REFUSED(POST "Content-Length: 5\r\nContent-Length: 0\r\n\r\n" SMUGGLED, 400, BAD_REQUEST);
	REFUSED(POST "Content-Length: 5, 5\r\n\r\n" SMUGGLED, 400, BAD_REQUEST);
	REFUSED(POST "Content-Length: +5\r\n\r\n" SMUGGLED, 400, BAD_REQUEST);
	REFUSED(POST "Content-Length: -5\r\n\r\n" SMUGGLED, 400, BAD_REQUEST);
	REFUSED(POST "Content-Length: 0x5\r\n\r\n" SMUGGLED, 400, BAD_REQUEST);
	REFUSED(POST "Content-Length: 5 5\r\n\r\n" SMUGGLED, 400, BAD_REQUEST);
	REFUSED(POST "Content-Length:\r\n\r\n" SMUGGLED, 400, BAD_REQUEST);
	REFUSED(POST "Content-Length: 18446744073709551621\r\n\r\n" SMUGGLED, 400, BAD_REQUEST);
	REFUSED(POST "Content-Length : 5\r\n\r\n" SMUGGLED, 400, BAD_REQUEST);
	REFUSED(POST "Transfer-Encoding: chunked, identity\r\n\r\n" SMUGGLED, 400, BAD_REQUEST);
	REFUSED(POST "Transfer-Encoding: identity, chunked\r\n\r\n" SMUGGLED, 400, BAD_REQUEST);
	REFUSED(POST "Transfer-Encoding: identity\r\n\r\n" SMUGGLED, 400, BAD_REQUEST);
	REFUSED(POST "Transfer-Encoding: gzip, chunked\r\n\r\n" SMUGGLED, 400, BAD_REQUEST);
	REFUSED(POST "Transfer-Encoding: xchunked\r\n\r\n" SMUGGLED, 400, BAD_REQUEST);
	REFUSED(POST "Transfer-Encoding: \"chunked\"\r\n\r\n" SMUGGLED, 400, BAD_REQUEST);
	REFUSED(POST "Transfer-Encoding:\r\n\r\n" SMUGGLED, 400, BAD_REQUEST);
	REFUSED(POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n" SMUGGLED,
		400, BAD_REQUEST);
	REFUSED(POST "Transfer-Encoding: chunked\t\r\n\r\n" SMUGGLED, 400, BAD_REQUEST);
	REFUSED(POST "Transfer-Encoding : chunked\r\n\r\n" SMUGGLED, 400, BAD_REQUEST);
	REFUSED(POST "Transfer-Encoding\t: chunked\r\n\r\n" SMUGGLED, 400, BAD_REQUEST);
	REFUSED(POST "Transfer-Encoding:\x0b"
		     "chunked\r\n\r\n" SMUGGLED,
		400, BAD_REQUEST);
	REFUSED(POST " Transfer-Encoding: chunked\r\n\r\n" SMUGGLED, 400, BAD_REQUEST);
	REFUSED(POST "X: a\r\n Content-Length: 5\r\n\r\n" SMUGGLED, 400, BAD_REQUEST);
	REFUSED(POST "X:\r\n\tb\r\n\r\n" SMUGGLED, 400, BAD_REQUEST);
	REFUSED("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n" SMUGGLED, 400, BAD_REQUEST);
	REFUSED(POST "X: a\nContent-Length: 5\r\n\r\n" SMUGGLED, 400, BAD_REQUEST);
	REFUSED(POST "X: a\rContent-Length: 5\r\n\r\n" SMUGGLED, 400, BAD_REQUEST);
	REFUSED("POST / HTTP/1.1\nHost: x\n\n" SMUGGLED, 400, BAD_REQUEST);
	REFUSED(POST "X: y\r\n\n" SMUGGLED, 400, BAD_REQUEST);
	REFUSED(POST "X: a\0b\r\n\r\n", 400, BAD_REQUEST);
	REFUSED(POST "X\0: b\r\n\r\n", 400, BAD_REQUEST);
	REFUSED("GET /\0 HTTP/1.1\r\nHost: x\r\n\r\n", 400, BAD_REQUEST);
	REFUSED(POST "X: a\x7f\r\n\r\n", 400, BAD_REQUEST);
	assert_true(logged(""));
	stop_serving();
}

/* In the middle of a body: the user hears that it is over, the client why. */
static void
assert_bad_body(const char *body, size_t n)
{
	static const char head[] = POST "Transfer-Encoding: chunked\r\n\r\n";
	unsigned heads = s.heads;
	struct buf text;

	buf_init(&text, 1 << 20);
	buf_add(&text, head, sizeof(head) - 1);
	buf_add(&text, body, n);
	buf_clear(&s.log);
	assert_int_equal(ask_n(text.p, text.n, &out), LINE_ENDED);
	if (status_of(&out) != 400)
		fail_msg("%u for: %s", status_of(&out), body);
	assert_int_equal(count_of(out.p, "HTTP/1.1 "), 1);
	assert_int_equal(s.heads, heads + 1);
	assert_non_null(strstr(buf_cstr(&s.log), "(bad)"));
	assert_null(strstr(s.log.p, "smuggled"));
	assert_null(strchr(s.log.p, '.'));
	buf_finish(&text);
}

#define BAD_BODY(text) assert_bad_body(text, sizeof(text) - 1)

static void
broken_chunks_end_the_exchange(void **state)
{
	struct buf giant;

	(void)state;
	serve(BE_ECHO);
	BAD_BODY("0x5\r\nhello\r\n0\r\n\r\n");
	BAD_BODY(" 5\r\nhello\r\n0\r\n\r\n");
	BAD_BODY("5 \r\nhello\r\n0\r\n\r\n");
	BAD_BODY("+5\r\nhello\r\n0\r\n\r\n");
	BAD_BODY("-1\r\nhello\r\n0\r\n\r\n");
	BAD_BODY("g\r\nhello\r\n0\r\n\r\n");
	BAD_BODY("\r\nhello\r\n0\r\n\r\n");
	BAD_BODY(";ext\r\nhello\r\n0\r\n\r\n");
	BAD_BODY("5\nhello\r\n0\r\n\r\n");
	BAD_BODY("5\rhello\r\n0\r\n\r\n");
	BAD_BODY("5\r\nhello\n0\r\n\r\n");
	BAD_BODY("5\r\nhelloo\r\n0\r\n\r\n");
	BAD_BODY("5\r\nhello0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n");
	BAD_BODY("5;a\nb\r\nhello\r\n0\r\n\r\n");
	BAD_BODY("5;a\0b\r\nhello\r\n0\r\n\r\n");
	BAD_BODY("0\r\nX: a\n\r\n");
	BAD_BODY("0\r\n X: a\r\n\r\n");
	BAD_BODY("0\r\nX : a\r\n\r\n");
	BAD_BODY("0\r\nX: a\0\r\n\r\n");
	BAD_BODY("FFFFFFFFFFFFFFFFF\r\nhello\r\n0\r\n\r\n");
	BAD_BODY("10000000000000005\r\nhello\r\n0\r\n\r\n");
	buf_init(&giant, 1 << 20);
	buf_add_str(&giant, "5;");
	for (unsigned i = 0; i < 5000; i++)
		buf_add_char(&giant, 'e');
	buf_add_str(&giant, "\r\nhello\r\n0\r\n\r\n");
	assert_bad_body(giant.p, giant.n);
	buf_clear(&giant); /* and many small ones */
	for (unsigned i = 0; i < 2000; i++)
		buf_add_str(&giant, "1;abc\r\nx\r\n");
	buf_add_str(&giant, "0\r\n\r\n");
	assert_bad_body(giant.p, giant.n);
	buf_clear(&giant); /* a size that never ends */
	for (unsigned i = 0; i < 300000; i++)
		buf_add_char(&giant, '0');
	assert_bad_body(giant.p, giant.n);
	buf_finish(&giant);
	stop_serving();
}

static void
http_1_0_must_say_how_long_its_body_is(void **state)
{
	(void)state;
	serve(BE_ECHO);
	REFUSED("POST / HTTP/1.0\r\n\r\n{}", 411, LENGTH);
	REFUSED("PUT / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n{}", 411, LENGTH);
	assert_int_equal(ask("POST / HTTP/1.0\r\nContent-Length: 0\r\n\r\n", &out), LINE_ENDED);
	assert_int_equal(status_of(&out), 200);
	assert_int_equal(ask(POST LAST "\r\n", &out), LINE_ENDED); /* HTTP/1.1 has none then */
	assert_int_equal(status_of(&out), 200);
	stop_serving();
}

static void
only_100_continue_may_be_expected(void **state)
{
	(void)state;
	serve(BE_ECHO);
	REFUSED(POST "Expect: 200-ok\r\nContent-Length: 2\r\n\r\n{}", 417, EXPECT);
	REFUSED(POST "Expect:\r\nContent-Length: 2\r\n\r\n{}", 417, EXPECT);
	REFUSED(POST "Expect: 200-ok\r\nContent-Length: 3\r\n\r\n{\n}", 417, EXPECT);
	stop_serving();
}

/* limits ------------------------------------------------------------------------------------------------------- */

/* @head, then @n times @fill, then @tail. */
static void
filled(struct buf *text, const char *head, const char *fill, size_t n, const char *tail)
{
	buf_clear(text);
	buf_add_str(text, head);
	for (size_t i = 0; i < n; i++)
		buf_add_str(text, fill);
	buf_add_str(text, tail);
}

static void
assert_status(const struct buf *text, unsigned status)
{
	assert_int_equal(ask_n(text->p, text->n, &out), LINE_ENDED);
	assert_int_equal(status_of(&out), status);
}

static void
a_target_is_as_long_as_it_may_be(void **state)
{
	struct buf text;

	(void)state;
	s.limits.uri_bytes = 100;
	serve(BE_ECHO);
	buf_init(&text, 1 << 20);
	filled(&text, "GET /", "u", 99, " HTTP/1.1\r\nHost: x\r\n" LAST "\r\n");
	assert_status(&text, 200);
	filled(&text, "GET /", "u", 100, " HTTP/1.1\r\nHost: x\r\n" LAST "\r\n");
	assert_refused(text.p, text.n, 414, HTTP_REFUSE_URI_SIZE);
	buf_finish(&text);
	stop_serving();
}

static void
a_head_is_as_long_as_it_may_be(void **state)
{
	static const char head[] = GET LAST "X: ";
	struct buf text;
	size_t room;

	(void)state;
	s.limits.head_bytes = 8192;
	serve(BE_ECHO);
	buf_init(&text, 4 << 20);
	room = 8192 - (sizeof(head) - 1) - 4;
	filled(&text, head, "h", room, "\r\n\r\n");
	assert_int_equal(text.n, 8192);
	assert_status(&text, 200);
	filled(&text, head, "h", room + 1, "\r\n\r\n");
	assert_refused(text.p, text.n, 431, HTTP_REFUSE_HEAD_SIZE);
	filled(&text, head, "h", 2 << 20, ""); /* one that never ends: the answer must get through */
	assert_refused(text.p, text.n, 431, HTTP_REFUSE_HEAD_SIZE);
	/* Bytes of the body are not of the head. */
	filled(&text, POST LAST "Content-Length: 10000\r\n\r\n", "b", 10000, "");
	assert_status(&text, 200);
	buf_finish(&text);
	stop_serving();
}

static void
a_head_has_as_many_fields_as_it_may(void **state)
{
	struct buf text;

	(void)state;
	s.limits.headers = 10;
	serve(BE_ECHO);
	buf_init(&text, 1 << 20);
	filled(&text, GET LAST, "X:y\r\n", 8, "\r\n");
	assert_status(&text, 200);
	filled(&text, GET LAST, "X:y\r\n", 9, "\r\n");
	assert_refused(text.p, text.n, 431, HTTP_REFUSE_HEAD_SIZE);
	stop_serving();
	setup_serving(NULL);
	s.limits.headers = 100000; /* more than there is room for */
	serve(BE_ECHO);
	filled(&text, GET LAST, "X:y\r\n", HTTP_HEADERS_MAX - 2, "\r\n");
	assert_status(&text, 200);
	filled(&text, GET LAST, "X:y\r\n", HTTP_HEADERS_MAX - 1, "\r\n");
	assert_refused(text.p, text.n, 431, HTTP_REFUSE_HEAD_SIZE);
	buf_finish(&text);
	stop_serving();
}

static void
a_body_is_as_long_as_it_may_be(void **state)
{
	struct buf text;

	(void)state;
	s.limits.body_bytes = 1000;
	serve(BE_ECHO);
	buf_init(&text, 1 << 20);
	filled(&text, POST LAST "Content-Length: 1000\r\n\r\n", "b", 1000, "");
	assert_status(&text, 200);
	filled(&text, POST LAST "Content-Length: 1001\r\n\r\n", "\n", 1001, "");
	assert_refused(text.p, text.n, 413, HTTP_REFUSE_BODY_SIZE);
	/* Before a byte of it was sent. */
	REFUSED(POST "Expect: 100-continue\r\nContent-Length: 1001\r\n\r\n", 413, BODY_SIZE);
	filled(&text, POST LAST "Transfer-Encoding: chunked\r\n\r\n", "1\r\nb\r\n", 1000, "0\r\n\r\n");
	assert_status(&text, 200);
	filled(&text, POST LAST "Transfer-Encoding: chunked\r\n\r\n", "1\r\nb\r\n", 1001, "0\r\n\r\n");
	assert_status(&text, 413);
	filled(&text, POST LAST "Transfer-Encoding: chunked\r\n\r\n3e9\r\n", "b", 1001, "\r\n0\r\n\r\n");
	assert_status(&text, 413);
	assert_int_equal(http_server_stats(s.srv)->refused[HTTP_REFUSE_BODY_SIZE], 4);
	buf_finish(&text);
	stop_serving();
}

static void
trailers_are_bounded_like_a_head(void **state)
{
	struct buf text;

	(void)state;
	s.limits.head_bytes = 4096;
	serve(BE_ECHO);
	buf_init(&text, 1 << 20);
	filled(&text, POST LAST "Transfer-Encoding: chunked\r\n\r\n0\r\nX: ", "t", 4000, "\r\n\r\n");
	assert_status(&text, 200);
	filled(&text, POST LAST "Transfer-Encoding: chunked\r\n\r\n0\r\nX: ", "t", 5000, "\r\n\r\n");
	assert_status(&text, 431);
	buf_finish(&text);
	stop_serving();
}

static void
new_limits_hold_for_connections_that_stand(void **state)
{
	struct http_limits wide;
	struct buf text;
	int fd;

	(void)state;
	s.limits.head_bytes = 4096;
	serve(BE_ECHO);
	fd = dial(s.port);
	say(fd, GET "\r\n");
	UNTIL(s.closes == 1);
	wide = s.limits;
	wide.head_bytes = 1 << 20;
	http_server_set_limits(s.srv, &wide);
	buf_init(&text, 4 << 20);
	filled(&text, GET LAST "X: ", "h", 500000, "\r\n\r\n");
	say_n(fd, text.p, text.n);
	UNTIL(hear(fd, &out) == LINE_ENDED);
	assert_int_equal(count_of(out.p, "HTTP/1.1 200"), 2);
	close(fd);
	http_server_set_limits(s.srv, &s.limits);
	assert_refused(text.p, text.n, 431, HTTP_REFUSE_HEAD_SIZE);
	buf_finish(&text);
	stop_serving();
}

static void
what_is_held_over_all_connections_is_bounded(void **state)
{
	(void)state;
	s.limits.buffered_bytes = 1000;
	serve(BE_ECHO);
	assert_true(http_server_note_buffered(s.srv, 600));
	assert_false(http_server_note_buffered(s.srv, 401));
	assert_int_equal(http_server_stats(s.srv)->buffered_bytes, 600);
	assert_true(http_server_note_buffered(s.srv, 390));
	REFUSED(POST "Content-Length: 11\r\n\r\nhello world", 503, OVERLOAD);
	assert_int_equal(ask(POST LAST "Content-Length: 10\r\n\r\nhelloworld", &out), LINE_ENDED);
	assert_int_equal(status_of(&out), 200);
	assert_true(http_server_note_buffered(s.srv, 10));
	REFUSED(POST "Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n", 503, OVERLOAD);
	ask(GET LAST "\r\n", &out); /* a probe has no body: it passes */
	assert_int_equal(status_of(&out), 200);
	assert_true(http_server_note_buffered(s.srv, -1000));
	stop_serving();
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_request_is_seen_as_it_was_sent),
		T(a_head_may_come_byte_by_byte),
		T(an_absolute_target_is_its_path),
		T(a_connection_serves_one_request_after_the_other),
		T(requests_in_one_write_are_answered_in_order),
		T(half_a_head_behind_a_request_that_is_answered_at_once),
		T(a_chunked_body_is_decoded),
		T(the_length_of_a_chunked_body_is_not_known),
		T(one_hundred_continue_is_said_when_the_body_is_wanted),
		T(who_is_refused_is_not_told_to_continue),
		T(who_did_not_wait_for_it_is_not_told_to_continue),
		T(http_1_0_closes_unless_it_asks_not_to),
		T(an_upgrade_is_not_taken_up),
		T(what_is_no_request_is_refused),
		T(only_http_1_0_and_1_1_are_spoken),
		T(what_could_be_read_in_two_ways_is_refused),
		T(broken_chunks_end_the_exchange),
		T(http_1_0_must_say_how_long_its_body_is),
		T(only_100_continue_may_be_expected),
		T(a_target_is_as_long_as_it_may_be),
		T(a_head_is_as_long_as_it_may_be),
		T(a_head_has_as_many_fields_as_it_may),
		T(a_body_is_as_long_as_it_may_be),
		T(trailers_are_bounded_like_a_head),
		T(new_limits_hold_for_connections_that_stand),
		T(what_is_held_over_all_connections_is_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
