/* SPDX-License-Identifier: MIT */
/* Connections of a client: pooling, the second try, and all the ways not to get one. */
#include "calling.h"

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
		turns(20);
		assert_int_equal(http_pool_connections(e.pool), 0);
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
