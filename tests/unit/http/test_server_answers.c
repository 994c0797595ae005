/* SPDX-License-Identifier: MIT */
/* Answers, time-outs, and clients that leave. */
#include "serving.h"

static void
data(const char *text)
{
	struct slice piece = slice_of(text);

	http_respond_data(s.x, &piece, 1);
}

static void
answers_have_the_framing_that_was_asked_for(void **state)
{
	static const struct http_header field = { SLICE_INIT("x-a"), SLICE_INIT("b") };
	const struct http_headers headers = { 1, &field };
	int fd;

	(void)state;
	serve(BE_LATE);
	fd = waiting_request();
	http_respond_head(s.x, 429, &headers, HTTP_LENGTH, 4);
	assert_true(http_head_sent(s.x));
	data("ab");
	data("");
	data("cd");
	assert_int_equal(http_bytes_out(s.x), 4);
	http_respond_end(s.x);
	UNTIL(heard(fd, &out, "\r\n\r\nabcd"));
	assert_memory_equal(out.p, "HTTP/1.1 429 Too Many Requests\r\nx-a: b\r\n", 38);
	buf_clear(&out);
	say(fd, GET "\r\n"); /* the same connection again */
	UNTIL(s.x);
	http_respond_head(s.x, 200, NULL, HTTP_STREAM, 0);
	data("one");
	http_flush(s.x);
	UNTIL(heard(fd, &out, "\r\n\r\n3\r\none\r\n"));
	http_respond_data(s.x,
			  (struct slice[]){ SLICE("twenty "), SLICE(""), SLICE("letters in all") }, 3);
	http_respond_end(s.x);
	UNTIL(heard(fd, &out, "15\r\ntwenty letters in all\r\n0\r\n\r\n"));
	assert_non_null(strstr(out.p, "\r\ntransfer-encoding: chunked\r\n"));
	close(fd);
	stop_serving();
}

static void
many_pieces_are_one_answer(void **state)
{
	struct slice pieces[200];
	int fd;

	(void)state;
	serve(BE_LATE);
	fd = waiting_request();
	for (unsigned i = 0; i < 200; i++)
		pieces[i] = SLICE("0123456789");
	http_respond_head(s.x, 200, NULL, HTTP_LENGTH, 2000);
	http_respond_data(s.x, pieces, 200);
	http_respond_end(s.x);
	UNTIL(s.closes == 1);
	hear(fd, &out);
	assert_int_equal(out.n - (size_t)(strstr(out.p, "\r\n\r\n") + 4 - out.p), 2000);
	close(fd);
	stop_serving();
}

static void
an_answer_to_head_has_no_body(void **state)
{
	int fd;

	(void)state;
	serve(BE_LATE);
	fd = dial(s.port);
	say(fd, "HEAD / HTTP/1.1\r\nHost: x\r\n\r\n");
	UNTIL(logged("HEAD /;."));
	answer(s.x, "five!");
	say(fd, "HEAD / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
	UNTIL(s.heads == 2 && s.x);
	http_respond_head(s.x, 200, NULL, HTTP_STREAM, 0);
	data("abc");
	http_respond_end(s.x);
	UNTIL(hear(fd, &out) == LINE_ENDED);
	assert_non_null(strstr(out.p, "\r\ncontent-length: 5\r\n\r\nHTTP/1.1 200"));
	assert_memory_equal(out.p + out.n - 4, "\r\n\r\n", 4);
	close(fd);
	stop_serving();
}

/* What these statuses were given as a body was taken for the next answer. */
static void
no_content_and_not_modified_have_no_body(void **state)
{
	int fd;

	(void)state;
	serve(BE_LATE);
	for (unsigned status = 204; status <= 304; status += 100) {
		fd = waiting_request();
		http_respond_head(s.x, status, NULL, HTTP_STREAM, 0);
		data("abc");
		http_respond_end(s.x);
		UNTIL(!s.x);
		say(fd, POST "Content-Length: 2\r\n\r\nhi");
		UNTIL(s.x && s.log.p[s.log.n - 1] == '.');
		http_respond(s.x, status, NULL, SLICE("abc"));
		UNTIL(!s.x);
		buf_clear(&out);
		assert_int_equal(hear(fd, &out), LINE_OPEN);
		assert_null(strstr(out.p, "abc"));
		assert_null(strstr(out.p, "chunked"));
		assert_int_equal(count_of(out.p, "\r\n\r\nHTTP/1.1 "), 1);
		assert_memory_equal(out.p + out.n - 4, "\r\n\r\n", 4);
		close(fd);
	}
	stop_serving();
}

static void
a_stream_to_http_1_0_ends_with_the_connection(void **state)
{
	int fd;

	(void)state;
	serve(BE_LATE);
	fd = dial(s.port);
	say(fd, "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
	UNTIL(s.x);
	http_respond_head(s.x, 200, NULL, HTTP_STREAM, 0);
	data("all");
	http_respond_end(s.x);
	UNTIL(hear(fd, &out) == LINE_ENDED);
	assert_null(strstr(out.p, "chunked"));
	assert_memory_equal(out.p + out.n - 7, "\r\n\r\nall", 7);
	close(fd);
	stop_serving();
}

/* Who promised more must not look as if he had kept it. */
static void
an_answer_shorter_than_promised_is_cut(void **state)
{
	int fd;

	(void)state;
	serve(BE_LATE);
	fd = waiting_request();
	http_respond_head(s.x, 200, NULL, HTTP_LENGTH, 10);
	data("short");
	http_respond_end(s.x);
	UNTIL(hear(fd, &out) == LINE_RESET);
	assert_non_null(strstr(s.log.p, "(aborted)"));
	close(fd);
	stop_serving();
}

static void
raw_bytes_go_out_as_they_are(void **state)
{
	int fd;

	(void)state;
	serve(BE_LATE);
	fd = waiting_request();
	http_respond_raw(s.x, SLICE("HTTP/1.1 200 OK\r\nTransfer-Encoding: x\r\n\r\nzz"));
	http_respond_end(s.x);
	UNTIL(hear(fd, &out) == LINE_ENDED);
	assert_string_equal(out.p, "HTTP/1.1 200 OK\r\nTransfer-Encoding: x\r\n\r\nzz");
	close(fd);
	stop_serving();
}

static void
an_abort_is_seen_as_one(void **state)
{
	int fd;

	(void)state;
	serve(BE_LATE);
	fd = waiting_request();
	http_respond_head(s.x, 200, NULL, HTTP_STREAM, 0);
	data("some");
	UNTIL(heard(fd, &out, "some"));
	http_abort(s.x);
	assert_non_null(s.x); /* its close comes from the loop */
	UNTIL(hear(fd, &out) == LINE_RESET);
	assert_true(logged("POST /;[hi].(aborted)"));
	close(fd);
	stop_serving();
}

static void
after_an_abort_or_an_answer_no_more_of_the_body_is_seen(void **state)
{
	int fd;

	(void)state;
	serve(BE_RUDE);
	fd = dial(s.port);
	say(fd, POST "Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n1\r\nb\r\n0\r\n\r\n");
	UNTIL(s.closes == 1);
	assert_true(logged("POST /;[a](aborted)"));
	close(fd);
	buf_clear(&s.log);
	s.manners = BE_BUSY;
	ask(POST "Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n1\r\nb\r\n0\r\n\r\n", &out);
	assert_non_null(strstr(out.p, "enough"));
	assert_non_null(strstr(out.p, "\r\nconnection: close\r\n"));
	assert_true(logged("POST /;[a](done)"));
	stop_serving();
}

/* An early answer must arrive although its request is still on the way. */
static void
an_early_answer_survives_a_long_request(void **state)
{
	struct buf text;
	int fd;

	(void)state;
	serve(BE_EARLY);
	buf_init(&text, 16 << 20);
	buf_add_str(&text, POST "Content-Length: 8000000\r\n\r\n");
	for (unsigned i = 0; i < 1000000; i++)
		buf_add_str(&text, "12345678");
	fd = dial(s.port);
	say_n(fd, text.p, text.n);
	UNTIL(hear(fd, &out) != LINE_OPEN);
	assert_non_null(strstr(out.p, "early"));
	close(fd);
	buf_finish(&text);
	stop_serving();
}

/* The body that came with the head is broken: its user may be in the middle of something. */
static void
the_end_never_comes_from_within_accept_body(void **state)
{
	(void)state;
	serve(BE_ECHO); /* on_close checks that nothing of ours is on the stack */
	assert_int_equal(ask(POST "Transfer-Encoding: chunked\r\n\r\nx\r\n", &out), LINE_ENDED);
	assert_int_equal(status_of(&out), 400);
	assert_true(logged("POST /;(bad)"));
	stop_serving();
}

/* leaving -------------------------------------------------------------------------------------------------------- */

static void
leave(int fd, unsigned how)
{
	if (how == 0)
		close(fd);
	else if (how == 1)
		reset(fd);
	else
		shutdown(fd, SHUT_WR); /* half-closed: nobody is taken for waiting there */
}

static void
a_client_that_leaves_is_noticed_in_every_phase(void **state)
{
	(void)state;
	serve(BE_LATE);
	for (unsigned how = 0; how < 3; how++)
		for (unsigned phase = 0; phase < 5; phase++) {
			int fd = dial(s.port);

			buf_clear(&s.log);
			say(fd, POST "Content-Length: 2\r\n\r\n");
			UNTIL(s.x);
			if (phase >= 1) /* the body is half there */
				say(fd, "h");
			if (phase >= 2) { /* waiting */
				say(fd, "i");
				UNTIL(s.log.p[s.log.n - 1] == '.');
			}
			if (phase == 3) { /* streaming */
				http_respond_head(s.x, 200, NULL, HTTP_STREAM, 0);
				data("x");
				UNTIL(heard(fd, &out, "x\r\n"));
			}
			if (phase == 4) /* something was read ahead */
				say(fd, GET "\r\n");
			turns(3);
			assert_non_null(s.x);
			leave(fd, how);
			UNTIL(!s.x);
			assert_non_null(strstr(buf_cstr(&s.log), "(left)"));
			if (how == 2)
				close(fd);
		}
	UNTIL(http_server_stats(s.srv)->connections == 0);
	stop_serving();
}

static void
a_client_that_leaves_between_requests_is_forgotten(void **state)
{
	int fd;

	(void)state;
	serve(BE_ECHO);
	for (unsigned i = 0; i < 3; i++) {
		fd = dial(s.port);
		say(fd, i == 0 ? "" : i == 1 ? "GET / HT" : GET "\r\n");
		UNTIL(http_server_stats(s.srv)->connections == 1 && (i < 2 || s.closes));
		close(fd);
		UNTIL(http_server_stats(s.srv)->connections == 0);
	}
	stop_serving();
}

static void
too_much_read_ahead_closes_the_connection(void **state)
{
	char more[1001];
	int fd;

	(void)state;
	s.limits.readahead_bytes = 1000;
	serve(BE_LATE);
	memset(more, 'x', sizeof(more));
	fd = waiting_request();
	say_n(fd, more, 1000);
	turns(20);
	assert_non_null(s.x);
	say_n(fd, more, 1);
	UNTIL(!s.x);
	assert_true(logged("POST /;[hi].(bad)"));
	close(fd);
	buf_clear(&s.log);
	fd = dial(s.port); /* the same when it comes with the end of the body */
	say(fd, POST "Content-Length: 2\r\n\r\nh");
	UNTIL(logged("POST /;[h]"));
	more[0] = 'i';
	say_n(fd, more, 1001);
	turns(20);
	assert_non_null(s.x);
	close(fd);
	UNTIL(!s.x);
	buf_clear(&s.log);
	fd = dial(s.port);
	say(fd, POST "Content-Length: 1\r\n\r\n");
	UNTIL(s.x);
	turns(5);
	say_n(fd, more, 1001);
	turns(20);
	assert_non_null(s.x);
	say_n(fd, more, 1);
	UNTIL(!s.x);
	assert_int_equal(http_server_stats(s.srv)->readahead_aborted, 2);
	close(fd);
	stop_serving();
}

/* time-outs ------------------------------------------------------------------------------------------------------- */

static void
an_idle_connection_is_closed_without_a_word(void **state)
{
	int fd;

	(void)state;
	s.limits.idle_ms = 150;
	serve(BE_ECHO);
	fd = dial(s.port);
	UNTIL(hear(fd, &out) == LINE_ENDED);
	assert_int_equal(out.n, 0);
	close(fd);
	fd = dial(s.port);
	say(fd, GET "\r\n");
	UNTIL(hear(fd, &out) == LINE_ENDED);
	assert_int_equal(count_of(out.p, "HTTP/1.1 "), 1);
	close(fd);
	stop_serving();
}

static void
a_head_that_does_not_come_is_408_however_it_drips(void **state)
{
	int fd;
	enum line how;

	(void)state;
	s.limits.head_ms = 200;
	serve(BE_ECHO);
	fd = dial(s.port);
	say(fd, "GET / HTTP/1.1\r\nHost: x\r\nX: ");
	do {
		say(fd, "a");
		turns(5);
		how = hear(fd, &out);
	} while (how == LINE_OPEN && out.n == 0);
	assert_int_equal(status_of(&out), 408);
	UNTIL(hear(fd, &out) != LINE_OPEN);
	assert_int_equal(http_server_stats(s.srv)->refused[HTTP_REFUSE_TIMEOUT], 1);
	assert_int_equal(s.heads, 0);
	close(fd);
	stop_serving();
}

static void
a_body_that_stops_is_408_but_one_that_moves_is_not(void **state)
{
	int fd;

	(void)state;
	s.limits.body_ms = 1000;
	serve(BE_LATE);
	fd = dial(s.port);
	say(fd, POST "Content-Length: 10\r\n\r\n");
	for (unsigned i = 0; i < 8; i++) { /* longer than the limit */
		say(fd, "x");
		let_pass_ms(150);
	}
	assert_non_null(s.x);
	UNTIL(hear(fd, &out) == LINE_ENDED);
	assert_int_equal(status_of(&out), 408);
	assert_non_null(strstr(s.log.p, "[x](timeout)"));
	close(fd);
	stop_serving();
}

/* A request in work has no time-out of this layer, whether its body was wanted or not. */
static void
work_takes_as_long_as_it_takes(void **state)
{
	int fd;

	(void)state;
	s.limits.body_ms = s.limits.head_ms = s.limits.idle_ms = 50;
	s.limits.slow_soft_ms = 50;
	serve(BE_IDLE);
	fd = dial(s.port);
	say(fd, GET "\r\n");
	UNTIL(s.x);
	let_pass_ms(400);
	assert_non_null(s.x);
	answer(s.x, "at last");
	UNTIL(heard(fd, &out, "at last"));
	close(fd);
	stop_serving();
}

static void
answer_from_timer(uv_timer_t *t)
{
	(void)t;
	if (s.x)
		answer(s.x, "late");
}

/* An answer that a timer gives after a long wait has not been taken by the kernel yet, which is not the client's fault:
 * it was cut off, when the tick ran right behind that timer. */
static void
an_answer_from_a_timer_is_no_slow_reader(void **state)
{
	uv_timer_t timer;
	int fd;

	(void)state;
	s.limits.slow_soft_ms = 1;
	assert_int_equal(uv_loop_init(&loop), 0);
	assert_int_equal(uv_timer_init(&loop, &timer), 0); /* before the server's: it runs first */
	s.manners = BE_LATE;
	buf_init(&s.log, 1 << 20);
	buf_init(&s.body, 1 << 20);
	s.srv = http_server_create(&loop, &s.limits, &serving_ops, NULL);
	assert_int_equal(http_server_listen(s.srv, "127.0.0.1", 0, 7, &s.port, NULL), 0);
	fd = waiting_request();
	let_pass_ms(1050); /* the slow are looked for once a second */
	uv_timer_start(&timer, answer_from_timer, 0, 0);
	poll(NULL, 0, 1100); /* both timers are due in one turn */
	UNTIL(!s.x);
	assert_null(strstr(s.log.p, "slow"));
	close(fd);
	uv_close((uv_handle_t *)&timer, NULL);
	stop_serving();
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(answers_have_the_framing_that_was_asked_for),
		T(many_pieces_are_one_answer),
		T(an_answer_to_head_has_no_body),
		T(no_content_and_not_modified_have_no_body),
		T(a_stream_to_http_1_0_ends_with_the_connection),
		T(an_answer_shorter_than_promised_is_cut),
		T(raw_bytes_go_out_as_they_are),
		T(an_abort_is_seen_as_one),
		T(after_an_abort_or_an_answer_no_more_of_the_body_is_seen),
		T(an_early_answer_survives_a_long_request),
		T(the_end_never_comes_from_within_accept_body),
		T(a_client_that_leaves_is_noticed_in_every_phase),
		T(a_client_that_leaves_between_requests_is_forgotten),
		T(too_much_read_ahead_closes_the_connection),
		T(an_idle_connection_is_closed_without_a_word),
		T(a_head_that_does_not_come_is_408_however_it_drips),
		T(a_body_that_stops_is_408_but_one_that_moves_is_not),
		T(work_takes_as_long_as_it_takes),
		T(an_answer_from_a_timer_is_no_slow_reader),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
