/* SPDX-License-Identifier: MIT */
/* Clients that do not read, bounds of connections, and the end of a server. */
#include <sys/resource.h>

#include "serving.h"

/* slow readers ---------------------------------------------------------------------------------------------------- */

/* Streams @n bytes to a client that reads none. */
static int
stream_unread(size_t n)
{
	static char block[65536];
	int fd = dial(s.port);

	say(fd, GET "\r\n");
	UNTIL(s.x);
	http_respond_head(s.x, 200, NULL, HTTP_STREAM, 0);
	for (size_t sent = 0; sent < n && s.x; sent += sizeof(block)) {
		struct slice piece = { block, sizeof(block) };

		http_respond_data(s.x, &piece, 1);
		turn();
	}
	return fd;
}

static void
a_reader_far_behind_is_cut_off_at_once(void **state)
{
	int fd;

	(void)state;
	s.limits.slow_hard_bytes = 1 << 20;
	serve(BE_LATE);
	fd = stream_unread(64 << 20); /* more than any kernel buffers */
	assert_null(s.x);
	assert_non_null(strstr(s.log.p, "(slow)"));
	assert_int_equal(http_server_stats(s.srv)->slow_aborted, 1);
	assert_int_equal(http_server_stats(s.srv)->buffered_bytes, 0);
	UNTIL(hear(fd, &out) == LINE_RESET);
	close(fd);
	stop_serving();
}

/* All in one turn: it is counted once. */
static void
a_slow_reader_is_counted_once(void **state)
{
	static char block[65536];
	struct slice piece = { block, sizeof(block) };
	int fd;

	(void)state;
	s.limits.slow_hard_bytes = 1 << 20;
	serve(BE_LATE);
	fd = dial(s.port);
	say(fd, GET "\r\n");
	UNTIL(s.x);
	http_respond_head(s.x, 200, NULL, HTTP_STREAM, 0);
	for (unsigned i = 0; i < 1000; i++)
		http_respond_data(s.x, &piece, 1);
	assert_true(http_pending_bytes(s.x) <= (1 << 20) + 2 * sizeof(block));
	assert_non_null(s.x);
	UNTIL(!s.x);
	assert_int_equal(http_server_stats(s.srv)->slow_aborted, 1);
	close(fd);
	stop_serving();
}

static void
a_reader_behind_for_too_long_is_cut_off(void **state)
{
	uint64_t begin;
	int fd;

	(void)state;
	s.limits.slow_soft_bytes = 64 << 10;
	s.limits.slow_soft_ms = 300;
	s.limits.slow_hard_bytes = SIZE_MAX / 4;
	serve(BE_LATE);
	begin = uv_hrtime();
	fd = stream_unread(16 << 20);
	assert_non_null(s.x);
	assert_true(http_pending_bytes(s.x) > s.limits.slow_soft_bytes);
	assert_true(http_server_stats(s.srv)->buffered_bytes >= http_pending_bytes(s.x));
	UNTIL(!s.x);
	assert_true(uv_hrtime() - begin >= 300000000);
	assert_non_null(strstr(s.log.p, "(slow)"));
	assert_int_equal(http_server_stats(s.srv)->slow_aborted, 1);
	close(fd);
	stop_serving();
}

static void
a_reader_that_catches_up_is_kept(void **state)
{
	int fd;

	(void)state;
	s.limits.slow_soft_ms = 60000;
	s.limits.slow_hard_bytes = SIZE_MAX / 4;
	serve(BE_LATE);
	fd = stream_unread(16 << 20);
	http_respond_end(s.x);
	UNTIL((hear(fd, &out), out.n > 16 << 20 && !s.x));
	UNTIL((hear(fd, &out), memcmp(out.p + out.n - 5, "0\r\n\r\n", 5) == 0));
	assert_non_null(strstr(s.log.p, "(done)"));
	assert_true(out.n > 16 << 20);
	assert_int_equal(http_server_stats(s.srv)->bytes_out, out.n);
	close(fd);
	stop_serving();
}

/* A whole answer may be larger than what a stream may lag behind. */
static void
a_large_whole_answer_is_no_slow_reader(void **state)
{
	struct buf big;
	int fd;

	(void)state;
	serve(BE_LATE);
	buf_init(&big, 32 << 20);
	for (unsigned i = 0; i < 8 << 17; i++)
		buf_add_str(&big, "12345678");
	fd = waiting_request();
	http_respond(s.x, 200, NULL, buf_slice(&big));
	UNTIL(!s.x || (hear(fd, &out), false));
	UNTIL((hear(fd, &out), out.n > big.n));
	assert_non_null(strstr(s.log.p, "(done)"));
	close(fd);
	buf_finish(&big);
	stop_serving();
}

/* connections and the end ------------------------------------------------------------------------------------------ */

static void
more_connections_wait_for_their_turn(void **state)
{
	int fd[3];

	(void)state;
	s.limits.connections = 2;
	serve(BE_ECHO);
	for (unsigned i = 0; i < 3; i++)
		fd[i] = dial(s.port);
	say(fd[2], GET "\r\n");
	UNTIL(http_server_stats(s.srv)->connections == 2);
	turns(20);
	assert_int_equal(s.heads, 0);
	close(fd[0]);
	UNTIL(heard(fd[2], &out, "HTTP/1.1 200"));
	assert_int_equal(http_server_stats(s.srv)->accepted, 3);
	close(fd[1]);
	close(fd[2]);
	stop_serving();
}

/* With the listener readable and no descriptor left, each turn of the loop was spent on nothing. */
static void
without_descriptors_the_server_waits(void **state)
{
	struct rlimit old, none;
	uint64_t begin;
	unsigned turned = 0;
	int fd, next;

	(void)state;
	serve(BE_ECHO);
	turns(3);
	fd = dial(s.port);
	next = dup(fd);
	close(next);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	none = old;
	none.rlim_cur = (rlim_t)next;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	begin = uv_hrtime();
	while (uv_hrtime() - begin < 300000000) {
		uv_run(&loop, UV_RUN_ONCE);
		turned++;
	}
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
	assert_in_range(turned, 1, 50);
	say(fd, GET "\r\n");
	UNTIL(heard(fd, &out, "HTTP/1.1 200")); /* and it goes on when there are some */
	close(fd);
	stop_serving();
}

static void
a_drain_ends_the_idle_and_lets_the_others_finish(void **state)
{
	int idle, busy, late;

	(void)state;
	serve(BE_LATE);
	idle = dial(s.port);
	say(idle, GET "\r\n");
	UNTIL(s.x);
	answer(s.x, "first");
	UNTIL(heard(idle, &out, "first"));
	busy = waiting_request();
	http_server_drain(s.srv);
	UNTIL(hear(idle, &out) != LINE_OPEN);
	assert_int_equal(hear(idle, &out), LINE_ENDED); /* an end, not a reset */
	assert_int_equal(http_server_active(s.srv), 1);
	buf_clear(&out);
	answer(s.x, "bye");
	UNTIL(hear(busy, &out) == LINE_ENDED);
	assert_non_null(strstr(out.p, "\r\nconnection: close\r\n"));
	assert_int_equal(http_server_active(s.srv), 0);
	late = dial(s.port); /* is told, rather than left alone */
	say(late, GET "\r\n");
	UNTIL(s.x);
	buf_clear(&out);
	http_respond(s.x, 503, NULL, SLICE("going"));
	UNTIL(hear(late, &out) == LINE_ENDED);
	assert_int_equal(status_of(&out), 503);
	close(idle);
	close(busy);
	close(late);
	stop_serving();
}

static void
a_full_server_that_drains_still_takes_the_next(void **state)
{
	int first, second;

	(void)state;
	s.limits.connections = 1;
	serve(BE_LATE);
	first = waiting_request();
	second = dial(s.port);
	say(second, GET "\r\n");
	turns(5);
	http_server_drain(s.srv);
	answer(s.x, "bye");
	UNTIL(s.heads == 2);
	close(first);
	close(second);
	stop_serving();
}

static void
a_close_ends_everything_at_once(void **state)
{
	int fd[3];

	(void)state;
	serve(BE_LATE);
	fd[0] = dial(s.port);
	fd[1] = dial(s.port);
	say(fd[1], "GET / HT");
	UNTIL(http_server_stats(s.srv)->connections == 2);
	fd[2] = waiting_request();
	stop_serving();
	for (unsigned i = 0; i < 3; i++) {
		assert_true(hear(fd[i], &out) != LINE_OPEN);
		close(fd[i]);
	}
}

static void
a_unix_socket_is_taken_over_from_the_dead_only(void **state)
{
	struct diag d = { .what = "" };
	char path[] = "/tmp/kw-http-XXXXXX";
	char socket_path[64];

	(void)state;
	assert_non_null(mkdtemp(path));
	snprintf(socket_path, sizeof(socket_path), "%s/s", path);
	serve(BE_ECHO);
	assert_int_equal(http_server_listen_unix(s.srv, socket_path, 3, &d), 0);
	assert_int_equal(http_server_listen_unix(s.srv, socket_path, 3, &d), -EADDRINUSE);
	assert_non_null(strstr(d.what, socket_path));
	stop_serving();
	assert_int_equal(access(socket_path, F_OK), -1); /* taken away at the end */
	assert_int_equal(rmdir(path), 0);
}

static void
a_port_in_use_is_an_error_with_a_hint(void **state)
{
	struct diag d = { .what = "" };
	uint16_t port;

	(void)state;
	serve(BE_ECHO);
	assert_int_equal(http_server_listen(s.srv, "127.0.0.1", s.port, 0, &port, &d), -EADDRINUSE);
	assert_non_null(strstr(d.hint, "--port"));
	assert_int_equal(http_server_listen(s.srv, "256.1.1.1", 0, 0, &port, &d), -EINVAL);
	assert_non_null(strstr(d.what, "256.1.1.1"));
	stop_serving();
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_reader_far_behind_is_cut_off_at_once),
		T(a_slow_reader_is_counted_once),
		T(a_reader_behind_for_too_long_is_cut_off),
		T(a_reader_that_catches_up_is_kept),
		T(a_large_whole_answer_is_no_slow_reader),
		T(more_connections_wait_for_their_turn),
		T(without_descriptors_the_server_waits),
		T(a_drain_ends_the_idle_and_lets_the_others_finish),
		T(a_full_server_that_drains_still_takes_the_next),
		T(a_close_ends_everything_at_once),
		T(a_unix_socket_is_taken_over_from_the_dead_only),
		T(a_port_in_use_is_an_error_with_a_hint),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
