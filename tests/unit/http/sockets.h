/* SPDX-License-Identifier: MIT */
/*
 * sockets - one loop, and raw sockets beside it, in one thread.
 *
 * UNTIL() turns the loop until something holds; its deadline says how long a broken program may keep us.
 */
#pragma once
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>
#include <cmocka.h>

#include "base/str.h"

#define PATIENCE_MS 10000

static uv_loop_t loop;

#define UNTIL(cond)                                                                                \
	do {                                                                                       \
		uint64_t until_give_up = uv_hrtime() + PATIENCE_MS * 1000000ull;                   \
		while (!(cond)) {                                                                  \
			assert_true(uv_hrtime() < until_give_up);                                  \
			turn();                                                                    \
		}                                                                                  \
	} while (0)

static inline void
turn(void)
{
	uv_run(&loop, UV_RUN_NOWAIT);
	poll(NULL, 0, 1);
}

/* Some turns, for what must not happen. */
static inline void
turns(unsigned n)
{
	while (n--)
		turn();
}

static inline void
let_pass_ms(uint64_t ms)
{
	uint64_t end = uv_hrtime() + ms * 1000000;

	while (uv_hrtime() < end)
		turn();
}

static inline void
set_nonblocking(int fd)
{
	assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
}

static inline int
dial(uint16_t port)
{
	struct sockaddr_in a = { .sin_family = AF_INET,
				 .sin_port = htons(port),
				 .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	set_nonblocking(fd);
	return fd;
}

static inline void
say_n(int fd, const char *p, size_t n)
{
	while (n) {
		ssize_t k = send(fd, p, n, MSG_NOSIGNAL);

		if (k > 0)
			p += k, n -= (size_t)k;
		else if (errno == EPIPE || errno == ECONNRESET)
			return; /* what came back is looked at by hear() */
		turn();
	}
}

static inline void
say(int fd, const char *text)
{
	say_n(fd, text, strlen(text));
}

enum line {
	LINE_OPEN,
	LINE_ENDED,
	LINE_RESET
};

/* Takes what has come; how the other end stands. */
static inline enum line
hear(int fd, struct buf *in)
{
	char piece[65536];
	ssize_t n;

	while ((n = recv(fd, piece, sizeof(piece), 0)) > 0)
		buf_add(in, piece, (size_t)n);
	buf_cstr(in);
	return n == 0 ? LINE_ENDED : errno == EAGAIN ? LINE_OPEN : LINE_RESET;
}

static inline bool
heard(int fd, struct buf *in, const char *text)
{
	hear(fd, in);
	return strstr(buf_cstr(in), text) != NULL;
}

static inline void
reset(int fd)
{
	struct linger hard = { .l_onoff = 1 };

	setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
	close(fd);
}

static inline unsigned
count_of(const char *text, const char *what)
{
	unsigned n = 0;

	for (; (text = strstr(text, what)); text += strlen(what))
		n++;
	return n;
}

static inline void
on_flag(void *ctx)
{
	*(bool *)ctx = true;
}

static inline void
loop_finish(void)
{
	assert_int_equal(uv_run(&loop, UV_RUN_DEFAULT), 0);
	assert_int_equal(uv_loop_close(&loop), 0);
}
