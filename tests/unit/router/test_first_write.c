/* SPDX-License-Identifier: MIT */
/*
 * An answer that was written just before the server looks for stuck readers must not be taken for one that its client
 * does not read: its first byte has not been sent yet.
 */
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/clock.h"
#include "http/server_impl.h"

#define REQUEST "GET / HTTP/1.1\r\nHost: a\r\n\r\n"

struct fixture {
	uv_loop_t loop;
	struct http_server *server;
	bool over;
	enum http_close why;
};

/* Answers, and returns right after the turn of a second: then the next timer is the look at stuck readers. */
static void
on_head(void *ctx, struct http_exchange *x)
{
	struct http_headers none = { 0, NULL };
	uint64_t from_ms = uv_now(&((struct fixture *)ctx)->loop);
	uint64_t until_ms = (from_ms + HTTP_TICK_MS) / 1000 * 1000 + 1000;

	http_respond(x, 200, &none, SLICE("hello"));
	while (uv_hrtime() / 1000000 < until_ms)
		usleep(500);
}

static void
on_close(void *ctx, struct http_exchange *x, enum http_close why)
{
	struct fixture *f = ctx;

	(void)x;
	f->over = true;
	f->why = why;
}

static void
on_closed(void *ctx)
{
	(void)ctx;
}

static int
connect_to(uint16_t port)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(port) };
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	return fd;
}

static void
a_first_answer_is_not_stuck(void **state)
{
	static const struct http_server_ops ops = { .on_head = on_head, .on_close = on_close };
	struct http_limits limits = HTTP_LIMITS_DEFAULT;
	struct fixture f = { .over = false };
	struct diag d = { 0 };
	char answer[512];
	uint16_t port;
	int fd;

	(void)state;
	uv_loop_init(&f.loop);
	f.server = http_server_create(&f.loop, &limits, &ops, &f);
	assert_int_equal(http_server_listen(f.server, "127.0.0.1", 0, 0, &port, &d), 0);
	fd = connect_to(port);
	assert_int_equal(send(fd, REQUEST, strlen(REQUEST), 0), strlen(REQUEST));
	while (!f.over)
		uv_run(&f.loop, UV_RUN_ONCE);
	assert_int_equal(f.why, HTTP_CLOSE_DONE);
	assert_true(recv(fd, answer, sizeof(answer), 0) > 0);
	assert_int_equal(http_server_stats(f.server)->slow_aborted, 0);
	close(fd);
	http_server_close(f.server, on_closed, NULL);
	uv_run(&f.loop, UV_RUN_DEFAULT);
	http_server_destroy(f.server);
	assert_int_equal(uv_loop_close(&f.loop), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_first_answer_is_not_stuck),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
