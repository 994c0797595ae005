/* SPDX-License-Identifier: MIT */
/* Connections to one engine: opened without bound, reused last in first out, closed before the engine would. */
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "http/client_impl.h"

static void on_tick(uv_timer_t *t);
static void maybe_closed(struct http_pool *p);

static bool
numeric_address(struct http_pool *p)
{
	struct sockaddr_un *un = (struct sockaddr_un *)&p->addr;
	struct sockaddr_in *in = (struct sockaddr_in *)&p->addr;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&p->addr;

	if (p->ep.is_unix) {
		un->sun_family = AF_UNIX;
		memcpy(un->sun_path, p->ep.host, MIN(strlen(p->ep.host), sizeof(un->sun_path) - 1));
		p->addr_len = sizeof(*un);
	} else if (inet_pton(AF_INET, p->ep.host, &in->sin_addr) == 1) {
		in->sin_family = AF_INET;
		in->sin_port = htons(p->ep.port);
		p->addr_len = sizeof(*in);
	} else if (inet_pton(AF_INET6, p->ep.host, &in6->sin6_addr) == 1) {
		in6->sin6_family = AF_INET6;
		in6->sin6_port = htons(p->ep.port);
		p->addr_len = sizeof(*in6);
	}
	return p->addr_len != 0;
}

struct http_pool *
http_pool_create(uv_loop_t *loop, const struct http_endpoint *ep, const struct http_client_limits *limits)
{
	struct http_pool *p = must_calloc(1, sizeof(*p));

	p->loop = loop;
	p->ep = *ep;
	p->limits = *limits;
	list_init(&p->connecting);
	list_init(&p->idle);
	list_init(&p->busy);
	list_init(&p->waiting);
	numeric_address(p);
	uv_timer_init(loop, &p->tick);
	p->tick.data = p;
	uv_timer_start(&p->tick, on_tick, HTTP_CLIENT_TICK_MS, HTTP_CLIENT_TICK_MS);
	return p;
}

unsigned
http_pool_connections(const struct http_pool *p)
{
	return p->n_conns;
}

void
client_set_state(struct http_conn *c, enum client_state st)
{
	struct http_pool *p = c->pool;

	if (c->state == CLIENT_IDLE)
		p->n_idle--;
	list_del(&c->link);
	c->state = st;
	c->since_us = pool_now_us(p);
	switch (st) {
	case CLIENT_CONNECTING:
		list_push_back(&p->connecting, &c->link);
		break;
	case CLIENT_IDLE:
		list_push_back(&p->idle, &c->link);
		p->n_idle++;
		break;
	case CLIENT_BUSY:
		list_push_back(&p->busy, &c->link);
		break;
	case CLIENT_DEAD:
		break;
	}
}

static void
on_poll(uv_poll_t *h, int status, int events)
{
	struct http_conn *c = h->data;

	if (c->state == CLIENT_DEAD)
		return;
	if (c->state == CLIENT_CONNECTING) {
		int err = 0;
		socklen_t len = sizeof(err);

		if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &err, &len) < 0)
			err = errno;
		if (status < 0 && !err)
			err = -status;
		if (err)
			call_fail(c, HTTP_CALL_CONNECT, strerror(err));
		else
			call_connected(c);
		return;
	}
	if (c->state == CLIENT_IDLE) {
		client_destroy(c); /* the engine closed it, or talks out of turn */
		return;
	}
	if (events & UV_WRITABLE)
		call_writable(c);
	if (c->state == CLIENT_BUSY && ((events & UV_READABLE) || status < 0))
		call_readable(c);
}

void
client_poll(struct http_conn *c, int events)
{
	if (events == c->poll_events)
		return;
	c->poll_events = events;
	uv_poll_start(&c->poll, events, on_poll);
}

static void
on_handle_closed(uv_handle_t *h)
{
	struct http_conn *c = h->data;
	struct http_pool *p = c->pool;

	buf_finish(&c->head);
	free(c);
	p->n_conns--;
	maybe_closed(p);
}

void
client_destroy(struct http_conn *c)
{
	if (c->state == CLIENT_DEAD)
		return;
	must(!c->call);
	client_set_state(c, CLIENT_DEAD);
	uv_poll_stop(&c->poll);
	uv_close((uv_handle_t *)&c->poll, on_handle_closed);
	close(c->fd);
}

static void
open_connection(struct http_pool *p, struct http_call *call)
{
	int fd = socket(p->addr.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), one = 1, rc;
	struct http_conn *c;

	if (fd < 0) {
		call_fail_unattached(call, HTTP_CALL_CONNECT, strerror(errno));
		return;
	}
	if (!p->ep.is_unix)
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	rc = connect(fd, (struct sockaddr *)&p->addr, p->addr_len);
	if (rc < 0 && errno != EINPROGRESS) {
		int err = errno;

		close(fd);
		call_fail_unattached(call, HTTP_CALL_CONNECT, strerror(err));
		return;
	}
	c = must_calloc(1, sizeof(*c));
	c->pool = p;
	c->fd = fd;
	list_init(&c->link);
	buf_init(&c->head, p->limits.head_bytes);
	uv_poll_init(p->loop, &c->poll, fd);
	c->poll.data = c;
	c->state = CLIENT_CONNECTING;
	p->n_conns++;
	client_set_state(c, CLIENT_CONNECTING);
	call_attach(c, call);
	if (rc == 0)
		call_connected(c);
	else
		client_poll(c, UV_WRITABLE);
}

static void
on_resolved(uv_getaddrinfo_t *req, int status, struct addrinfo *res)
{
	struct http_pool *p = req->data;
	struct list *it;

	p->resolving = false;
	if (status == 0 && res && res->ai_addrlen <= sizeof(p->addr)) {
		memcpy(&p->addr, res->ai_addr, res->ai_addrlen);
		p->addr_len = res->ai_addrlen;
	}
	uv_freeaddrinfo(res);
	while ((it = list_pop_front(&p->waiting)) != NULL) {
		struct http_call *call = list_entry(it, struct http_call, link);

		call->waiting = false;
		if (p->closing)
			call_fail_unattached(call, HTTP_CALL_CLOSED, "the pool is closing");
		else if (p->addr_len)
			open_connection(p, call);
		else
			call_fail_unattached(call, HTTP_CALL_RESOLVE,
					     status ? uv_strerror(status) : "no address");
	}
	maybe_closed(p);
}

void
pool_assign(struct http_pool *p, struct http_call *call, bool fresh)
{
	if (!fresh && !list_empty(&p->idle)) {
		struct http_conn *c = list_entry(p->idle.prev, struct http_conn, link);

		call_attach(c, call);
		call_connected(c);
		return;
	}
	if (p->addr_len) {
		open_connection(p, call);
		return;
	}
	call->waiting = true;
	list_push_back(&p->waiting, &call->link);
	if (!p->resolving) {
		struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
		char port[8];

		snprintf(port, sizeof(port), "%u", p->ep.port);
		p->resolver.data = p;
		p->resolving = uv_getaddrinfo(p->loop, &p->resolver, on_resolved, p->ep.host, port,
					      &hints) == 0;
		must(p->resolving);
	}
}

static void
on_tick(uv_timer_t *t)
{
	struct http_pool *p = t->data;
	uint64_t now = pool_now_us(p);
	struct list *it;

	while ((it = list_first(&p->idle)) != NULL) {
		struct http_conn *c = list_entry(it, struct http_conn, link);

		if (now - c->since_us < (uint64_t)p->limits.idle_ms * 1000u &&
		    p->n_idle <= p->limits.idle_connections)
			break;
		client_destroy(c);
	}
	while ((it = list_first(&p->connecting)) != NULL) {
		struct http_conn *c = list_entry(it, struct http_conn, link);

		if (now - c->since_us < (uint64_t)p->limits.connect_ms * 1000u)
			break;
		call_fail(c, HTTP_CALL_CONNECT_TIMEOUT, "no connection in time");
	}
}

static void
maybe_closed(struct http_pool *p)
{
	if (p->closed && p->n_conns == 0 && !p->resolving && p->on_closed) {
		void (*done)(void *) = p->on_closed;

		p->on_closed = NULL;
		done(p->closed_ctx);
	}
}

static void
on_tick_closed(uv_handle_t *h)
{
	struct http_pool *p = h->data;

	p->closed = true;
	maybe_closed(p);
}

void
http_pool_close(struct http_pool *p, void (*done)(void *ctx), void *ctx)
{
	struct list *lists[] = { &p->connecting, &p->busy };

	p->closing = true;
	p->on_closed = done;
	p->closed_ctx = ctx;
	for (size_t i = 0; i < ARRAY_LEN(lists); i++)
		while (!list_empty(lists[i]))
			call_fail(list_entry(list_first(lists[i]), struct http_conn, link),
				  HTTP_CALL_CLOSED, "the pool is closing");
	while (!list_empty(&p->idle))
		client_destroy(list_entry(list_first(&p->idle), struct http_conn, link));
	if (p->resolving)
		uv_cancel((uv_req_t *)&p->resolver);
	uv_close((uv_handle_t *)&p->tick, on_tick_closed);
}

void
http_pool_destroy(struct http_pool *p)
{
	if (!p)
		return;
	must(p->n_conns == 0 && !p->resolving);
	free(p);
}
