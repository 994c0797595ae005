/* SPDX-License-Identifier: MIT */
/* client_impl - what client_pool.c (connections) and client_call.c (requests and answers on them) share. */
#pragma once
#include <llhttp.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <uv.h>
#include "http/client.h"

#define HTTP_CLIENT_READ_BYTES (64 << 10)
#define HTTP_CLIENT_TICK_MS 250
#define HTTP_CLIENT_ADDRESSES 8 /* of one host name */

enum client_state {
	CLIENT_CONNECTING,
	CLIENT_IDLE,
	CLIENT_BUSY,
	CLIENT_DEAD
};

struct http_address {
	struct sockaddr_storage ss;
	socklen_t len;
};

struct http_conn {
	struct http_pool *pool;
	struct list link; /* on one of the pool's lists, by state */
	uv_poll_t poll;
	int fd, poll_events;
	enum client_state state;
	uint64_t since_us;
	unsigned address; /* which of the pool's */
	struct http_call *call;
	bool used_before; /* an earlier call ended well on it */

	/* request */
	struct buf out; /* the head */
	struct slice body[HTTP_CALL_BODY_PIECES];
	unsigned body_pieces;
	size_t sent, total; /* bytes of head and body together */

	/* answer */
	llhttp_t parser;
	struct buf head; /* names and values of the fields, one after the other */
	struct {
		uint32_t name, name_n, value, value_n;
	} fields[HTTP_HEADERS_MAX];
	unsigned n_fields;
	bool in_value, head_done, done, keep_alive;
	size_t bytes_in; /* of this call's answer */
	const char *error;
};

struct http_pool {
	uv_loop_t *loop;
	struct http_endpoint ep;
	struct http_client_limits limits;
	struct list connecting, idle, busy;
	struct list waiting; /* calls until the address is known */
	struct list failed;  /* calls that get on_error at the next turn */
	struct http_address addresses[HTTP_CLIENT_ADDRESSES];
	unsigned n_addresses, address; /* 0: not known yet; the one that answered last */
	uv_getaddrinfo_t resolver;
	bool is_name, stale, resolving, closing;
	unsigned n_conns, n_idle, n_handles;
	uv_timer_t tick, soon;
	void (*on_closed)(void *ctx);
	void *closed_ctx;
	char read_buf[HTTP_CLIENT_READ_BYTES];
};

static inline uint64_t
pool_now_us(const struct http_pool *p)
{
	return uv_now(p->loop) * 1000u;
}

/* client_pool.c */
void client_set_state(struct http_conn *c, enum client_state st);
void client_poll(struct http_conn *c, int events);
/* Closes @c; its call, if any, must have been taken away. */
void client_destroy(struct http_conn *c);
/* Its connection could not be made: the next address, or the end of the call by on_error, from the loop. */
void pool_connect_failed(struct http_pool *p, struct http_call *call, const char *detail);
/* Puts @call on a connection: an idle one unless @fresh, else a new one. */
void pool_assign(struct http_pool *p, struct http_call *call, bool fresh);

/* client_call.c */
struct http_call *call_detach(struct http_conn *c);
void call_attach(struct http_conn *c, struct http_call *call); /* from now on @c works for @call */
void call_connected(struct http_conn *c);
void call_readable(struct http_conn *c);
void call_writable(struct http_conn *c);
void call_fail(struct http_conn *c, enum http_call_error err, const char *detail);
/* Ends a call that has no connection. */
void call_fail_unattached(struct http_call *call, enum http_call_error err, const char *detail);
