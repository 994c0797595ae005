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

/* The address of an endpoint that needs no look-up. */
static void
numeric_address(struct http_pool *p)
{
	struct http_address *a = &p->addresses[0];
	struct sockaddr_un *un = (struct sockaddr_un *)&a->ss;
	struct sockaddr_in *in = (struct sockaddr_in *)&a->ss;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&a->ss;

	if (p->ep.is_unix) {
		un->sun_family = AF_UNIX;
		memcpy(un->sun_path, p->ep.host, MIN(strlen(p->ep.host), sizeof(un->sun_path) - 1));
		a->len = sizeof(*un);
	} else if (inet_pton(AF_INET, p->ep.host, &in->sin_addr) == 1) {
		in->sin_family = AF_INET;
		in->sin_port = htons(p->ep.port);
		a->len = sizeof(*in);
	} else if (inet_pton(AF_INET6, p->ep.host, &in6->sin6_addr) == 1) {
		in6->sin6_family = AF_INET6;
		in6->sin6_port = htons(p->ep.port);
		a->len = sizeof(*in6);
	}
	p->is_name = a->len == 0;
	p->n_addresses = !p->is_name;
}

static void
add_timer(struct http_pool *p, uv_timer_t *t)
{
	uv_timer_init(p->loop, t);
	t->data = p;
	p->n_handles++;
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
	list_init(&p->failed);
	numeric_address(p);
	add_timer(p, &p->tick);
	add_timer(p, &p->soon);
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
		if (err) {
			struct http_call *call = call_detach(c);

			client_destroy(c);
			pool_connect_failed(c->pool, call, strerror(err));
		} else {
			c->pool->address = c->address;
			c->pool->stale = false;
			call_connected(c);
		}
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
deliver_failures(struct http_pool *p)
{
	struct list *it;

	while ((it = list_pop_front(&p->failed)) != NULL) {
		struct http_call *call = list_entry(it, struct http_call, link);

		call->waiting = false;
		call_fail_unattached(call, call->late_error, call->late_detail);
	}
}

static void
on_soon(uv_timer_t *t)
{
	deliver_failures(t->data);
}

/* http_call_start() never fails at once. */
static void
fail_later(struct http_pool *p, struct http_call *call, enum http_call_error err, const char *detail)
{
	call->late_error = err;
	call->late_detail = detail;
	call->waiting = true;
	list_push_back(&p->failed, &call->link);
	if (!p->closing) /* else the end of the pool tells */
		uv_timer_start(&p->soon, on_soon, 0, 0);
}

static void
open_connection(struct http_pool *p, struct http_call *call)
{
	unsigned address = (call->address + call->addresses) % p->n_addresses;
	const struct http_address *to = &p->addresses[address];
	int fd = socket(to->ss.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), one = 1, rc;
	struct http_conn *c;

	if (fd < 0) {
		pool_connect_failed(p, call, strerror(errno));
		return;
	}
	if (!p->ep.is_unix)
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	rc = connect(fd, (const struct sockaddr *)&to->ss, to->len);
	if (rc < 0 && errno != EINPROGRESS) {
		int err = errno;

		close(fd);
		pool_connect_failed(p, call, strerror(err));
		return;
	}
	c = must_calloc(1, sizeof(*c));
	c->pool = p;
	c->fd = fd;
	c->address = address;
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

void
pool_connect_failed(struct http_pool *p, struct http_call *call, const char *detail)
{
	if (++call->addresses < p->n_addresses && !p->closing) {
		open_connection(p, call);
		return;
	}
	p->stale = p->is_name; /* the next call looks the name up anew */
	fail_later(p, call, HTTP_CALL_CONNECT, detail);
}

/* The first try of a call, or its only second one. */
static void
connect_anew(struct http_pool *p, struct http_call *call)
{
	call->address = p->address;
	call->addresses = 0;
	open_connection(p, call);
}

static void
on_resolved(uv_getaddrinfo_t *req, int status, struct addrinfo *res)
{
	struct http_pool *p = req->data;
	struct list *it;

	p->resolving = p->stale = false;
	p->n_addresses = p->address = 0;
	for (struct addrinfo *a = status == 0 ? res : NULL; a; a = a->ai_next)
		if (p->n_addresses < HTTP_CLIENT_ADDRESSES &&
		    a->ai_addrlen <= sizeof(p->addresses[0].ss)) {
			struct http_address *to = &p->addresses[p->n_addresses++];

			memcpy(&to->ss, a->ai_addr, a->ai_addrlen);
			to->len = a->ai_addrlen;
		}
	uv_freeaddrinfo(res);
	while ((it = list_pop_front(&p->waiting)) != NULL) {
		struct http_call *call = list_entry(it, struct http_call, link);

		call->waiting = false;
		if (p->closing)
			call_fail_unattached(call, HTTP_CALL_CLOSED, "the pool is closing");
		else if (p->n_addresses)
			connect_anew(p, call);
		else
			fail_later(p, call, HTTP_CALL_RESOLVE,
				   status ? uv_strerror(status) : "no address");
	}
	maybe_closed(p);
}

static void
resolve(struct http_pool *p)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
	char port[8];
	struct list *it;
	int rc;

	snprintf(port, sizeof(port), "%u", p->ep.port);
	p->resolver.data = p;
	rc = uv_getaddrinfo(p->loop, &p->resolver, on_resolved, p->ep.host, port, &hints);
	p->resolving = rc == 0;
	while (rc != 0 && (it = list_pop_front(&p->waiting)) != NULL) /* not even a name */
		fail_later(p, list_entry(it, struct http_call, link), HTTP_CALL_RESOLVE,
			   uv_strerror(rc));
}

void
pool_assign(struct http_pool *p, struct http_call *call, bool fresh)
{
	must(p->n_handles > 0);
	if (p->closing) {
		fail_later(p, call, HTTP_CALL_CLOSED, "the pool is closing");
		return;
	}
	if (!fresh && !list_empty(&p->idle)) {
		struct http_conn *c = list_entry(p->idle.prev, struct http_conn, link);

		call_attach(c, call);
		call_connected(c);
		return;
	}
	if (p->n_addresses && !p->stale) {
		connect_anew(p, call);
		return;
	}
	call->waiting = true;
	list_push_back(&p->waiting, &call->link);
	if (!p->resolving)
		resolve(p);
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
	if (p->n_handles == 0 && p->n_conns == 0 && !p->resolving && p->on_closed) {
		void (*done)(void *) = p->on_closed;

		p->on_closed = NULL;
		done(p->closed_ctx);
	}
}

static void
on_timer_closed(uv_handle_t *h)
{
	struct http_pool *p = h->data;

	if (h == (uv_handle_t *)&p->soon)
		deliver_failures(p);
	p->n_handles--;
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
	uv_close((uv_handle_t *)&p->tick, on_timer_closed);
	uv_close((uv_handle_t *)&p->soon, on_timer_closed);
}

void
http_pool_destroy(struct http_pool *p)
{
	if (!p)
		return;
	must(p->n_conns == 0 && p->n_handles == 0 && !p->resolving);
	free(p);
}
