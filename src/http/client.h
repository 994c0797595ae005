/* SPDX-License-Identifier: MIT */
/*
 * client - HTTP/1.1 client side: a pool of connections to one engine, and calls over it.
 *
 * There is no bound on connections: a call goes out at once, on an idle connection (the one used last) or a new one.
 * A host name with several addresses is tried at each of them, the one that answered last first.
 * The engine's side is always read; there is no back-pressure.  A call that meets a connection which the engine closed
 * meanwhile is repeated once on a fresh one, provided that not one byte of an answer came.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <uv.h>
#include "base/diag.h"
#include "base/list.h"
#include "base/str.h"
#include "http/headers.h"
#include "http/http_params.h"
#include "http/url.h"

struct http_pool;
struct http_conn;

enum http_call_error {
	HTTP_CALL_RESOLVE, /* the host name has no address */
	HTTP_CALL_CONNECT, /* refused or unreachable */
	HTTP_CALL_CONNECT_TIMEOUT,
	HTTP_CALL_CLOSED,	/* the connection ended before the answer did */
	HTTP_CALL_BAD_RESPONSE, /* not HTTP, or over a limit */
	HTTP_CALL_TIMEOUT,	/* http_get() only */
};

struct http_call_ops {
	/* The head of the final answer (interim 1xx are skipped); slices are valid during the call. */
	void (*on_head)(void *ctx, unsigned status, const struct http_headers *headers);
	/* Decoded body bytes, valid during the call. */
	void (*on_data)(void *ctx, struct slice piece);
	/* All that one read brought has been given to on_data: a relay flushes its client here (http_flush), while the
	 * bytes are warm, instead of at the end of the turn.  Not called after on_end or on_error.  May be NULL. */
	void (*on_batch_end)(void *ctx);
	/* One of the two ends the call; it may be started anew in the callback. */
	void (*on_end)(void *ctx);
	void (*on_error)(void *ctx, enum http_call_error err, const char *detail);
	/* May the request be sent a second time?  NULL: yes. */
	bool (*may_retry)(void *ctx);
};

#define HTTP_CALL_BODY_PIECES 16

struct http_call_request {
	struct slice method;
	struct slice target; /* "/v1/chat/completions?x=y"; the pool adds the endpoint's base path */
	struct http_headers headers;		  /* without Host and framing */
	struct slice body[HTTP_CALL_BODY_PIECES]; /* alive until the call ends */
	unsigned body_pieces;			  /* 0: no body */
};

/* Memory of the caller.  Zero it before its first start. */
struct http_call {
	const struct http_call_ops *ops;
	void *ctx;
	struct http_conn *conn; /* NULL: not running, or waiting for the host's address */
	struct list link;	/* on the pool's waiting or failed calls */
	bool waiting, retried;
	bool head_method;		 /* the answer has no body, whatever its head says */
	unsigned address, addresses;	 /* first address tried, and how many were */
	enum http_call_error late_error; /* that on_error will get, from the loop */
	const char *late_detail;
	/* The head as it is sent, kept for a second try. */
	struct buf head;
	struct slice body[HTTP_CALL_BODY_PIECES];
	unsigned body_pieces;
	struct http_pool *pool;
};

struct http_pool *http_pool_create(uv_loop_t *loop, const struct http_endpoint *ep,
				   const struct http_client_limits *limits);
/* Ends all connections; running calls get on_error(CLOSED). */
void http_pool_close(struct http_pool *p, void (*done)(void *ctx), void *ctx);
void http_pool_destroy(struct http_pool *p);
unsigned http_pool_connections(const struct http_pool *p);

/* Sends the request.  Never fails at once: errors come by on_error, from the loop. */
void http_call_start(struct http_call *c, struct http_pool *p, const struct http_call_request *rq,
		     const struct http_call_ops *ops, void *ctx);
bool http_call_running(const struct http_call *c);
/* Nothing of the request is left to be sent, so that its body may go. */
bool http_call_sent(const struct http_call *c);
/* Closes the engine's connection in this very turn; no callback follows.  Harmless when nothing runs. */
void http_call_cancel(struct http_call *c);

/* A GET whose whole answer (at most @max_bytes) comes at once; for probes.  @status 0 means @err says why. */
typedef void (*http_get_fn)(void *ctx, unsigned status, struct slice body, const char *err);
struct http_get;
struct http_get *
http_get_start(struct http_pool *p, const char *target, const struct http_headers *headers,
	       size_t max_bytes, uint32_t timeout_ms, http_get_fn done, void *ctx);
void http_get_cancel(struct http_get *g);
