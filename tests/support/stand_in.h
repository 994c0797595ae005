/* SPDX-License-Identifier: MIT */
/*
 * stand_in - an engine that answers as the test wants, on a loopback port or a Unix socket of the test's own loop.
 *
 * It keeps the head of the last request.  Closing it closes its connections too, as the end of a process does.
 */
#pragma once
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>
#include "base/must.h"

#define STAND_IN_CONNS 32

struct stand_in;

union stand_in_stream {
	uv_handle_t handle;
	uv_stream_t stream;
	uv_tcp_t tcp;
	uv_pipe_t pipe;
};

struct stand_in_conn {
	union stand_in_stream s;
	struct stand_in *owner;
	char in[4096], out[4096];
	size_t n;
	uv_write_t write;
	bool open;
};

struct stand_in {
	uv_loop_t *loop;
	union stand_in_stream listener;
	struct stand_in_conn conns[STAND_IN_CONNS];
	bool listening, is_pipe;
	int port; /* kept from one listening to the next */
	char path[64];

	/* what it does */
	unsigned models_status, health_status;
	const char *models_body;
	bool silent; /* takes requests and says nothing */

	/* what it saw */
	char head[4096];
	unsigned asked, asked_health;
};

static void
stand_in_alloc(uv_handle_t *h, size_t suggested, uv_buf_t *ret)
{
	struct stand_in_conn *c = h->data;

	(void)suggested;
	*ret = uv_buf_init(c->in + c->n, (unsigned)(sizeof(c->in) - 1 - c->n));
}

static void
stand_in_on_gone(uv_handle_t *h)
{
	struct stand_in_conn *c = h->data;

	c->open = false;
}

static void
stand_in_answer(struct stand_in_conn *c)
{
	struct stand_in *s = c->owner;
	bool health = strncmp(c->in, "GET /health ", 12) == 0;
	unsigned status = health ? s->health_status : s->models_status;
	const char *body = !health && status == 200 ? s->models_body : "{}";
	uv_buf_t piece;
	int n;

	snprintf(s->head, sizeof(s->head), "%s", c->in);
	s->asked += !health;
	s->asked_health += health;
	c->n = 0;
	if (s->silent)
		return;
	n = snprintf(c->out, sizeof(c->out), "HTTP/1.1 %u X\r\nContent-Length: %zu\r\n\r\n%s",
		     status, strlen(body), body);
	piece = uv_buf_init(c->out, (unsigned)n);
	uv_write(&c->write, &c->s.stream, &piece, 1, NULL);
}

static void
stand_in_on_read(uv_stream_t *s, ssize_t n, const uv_buf_t *piece)
{
	struct stand_in_conn *c = s->data;

	(void)piece;
	if (n < 0) {
		if (!uv_is_closing((uv_handle_t *)s))
			uv_close((uv_handle_t *)s, stand_in_on_gone);
		return;
	}
	c->n += (size_t)n;
	c->in[c->n] = '\0';
	if (strstr(c->in, "\r\n\r\n"))
		stand_in_answer(c);
}

static void
stand_in_on_connection(uv_stream_t *l, int status)
{
	struct stand_in *s = l->data;
	struct stand_in_conn *c = s->conns;

	must(status == 0);
	while (c->open)
		must(++c < s->conns + STAND_IN_CONNS);
	c->owner = s;
	c->n = 0;
	c->open = true;
	if (s->is_pipe)
		uv_pipe_init(s->loop, &c->s.pipe, 0);
	else
		uv_tcp_init(s->loop, &c->s.tcp);
	c->s.handle.data = c;
	must(uv_accept(l, &c->s.stream) == 0);
	uv_read_start(&c->s.stream, stand_in_alloc, stand_in_on_read);
}

static void
stand_in_listen(struct stand_in *s, uv_loop_t *loop)
{
	struct sockaddr_in a;
	int n = sizeof(a);

	s->loop = loop;
	s->listener.handle.data = NULL;
	if (s->is_pipe) {
		uv_pipe_init(loop, &s->listener.pipe, 0);
		must(uv_pipe_bind(&s->listener.pipe, s->path) == 0);
	} else {
		uv_tcp_init(loop, &s->listener.tcp);
		must(uv_ip4_addr("127.0.0.1", s->port, &a) == 0);
		must(uv_tcp_bind(&s->listener.tcp, (struct sockaddr *)&a, 0) == 0);
	}
	s->listener.handle.data = s;
	must(uv_listen(&s->listener.stream, 16, stand_in_on_connection) == 0);
	s->listening = true;
	if (!s->is_pipe) {
		must(uv_tcp_getsockname(&s->listener.tcp, (struct sockaddr *)&a, &n) == 0);
		s->port = ntohs(a.sin_port);
	}
}

static void
stand_in_on_shut(uv_handle_t *h)
{
	struct stand_in *s = h->data;

	s->listening = false;
}

static void
stand_in_close(struct stand_in *s)
{
	if (s->listening && !uv_is_closing(&s->listener.handle))
		uv_close(&s->listener.handle, stand_in_on_shut);
	for (struct stand_in_conn *c = s->conns; c < s->conns + STAND_IN_CONNS; c++)
		if (c->open && !uv_is_closing(&c->s.handle))
			uv_close(&c->s.handle, stand_in_on_gone);
	while (s->listening)
		uv_run(s->loop, UV_RUN_ONCE);
}
