/* SPDX-License-Identifier: MIT */
/*
 * server - HTTP/1.1 server side: listeners, connections, and exchanges (one request and its answer).
 *
 * The user gets an exchange when its head is complete and correct, its body in pieces as it arrives, and word in the
 * very loop turn in which the client leaves.  Heads are parsed strictly; what could be read in two ways is refused
 * with 400 and the connection closed, and never reaches the user.
 *
 * Answers are written through the exchange.  What is written during one turn goes out in one system call at the end of
 * the turn, or at http_flush().  An exchange lives until on_close, which comes from the loop and never from within a
 * function called on the exchange; after that callback its pointer is dead.  All on the loop's thread.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>
#include <uv.h>
#include "base/diag.h"
#include "base/str.h"
#include "http/headers.h"
#include "http/http_params.h"

struct http_server;
struct http_exchange;

/* Why an exchange ended; HTTP_CLOSE_DONE is the good one. */
enum http_close {
	HTTP_CLOSE_DONE,    /* the whole answer is in the kernel's hands */
	HTTP_CLOSE_LEFT,    /* the client closed or reset (a half-close counts as leaving) */
	HTTP_CLOSE_SLOW,    /* the client did not read its answer (slow_* limits) */
	HTTP_CLOSE_TIMEOUT, /* the body did not arrive in time; 408 was sent */
	HTTP_CLOSE_BAD,	    /* the body broke the grammar or a limit, or too much was read ahead */
	HTTP_CLOSE_ABORTED, /* http_abort() or the end of the server */
};

/* What the http layer refuses by itself; the user renders the error's body. */
enum http_refusal {
	HTTP_REFUSE_BAD_REQUEST, /* 400 */
	HTTP_REFUSE_TIMEOUT,	 /* 408 */
	HTTP_REFUSE_LENGTH,	 /* 411: a body by HTTP/1.0 without Content-Length */
	HTTP_REFUSE_BODY_SIZE,	 /* 413 */
	HTTP_REFUSE_URI_SIZE,	 /* 414 */
	HTTP_REFUSE_EXPECT,	 /* 417 */
	HTTP_REFUSE_HEAD_SIZE,	 /* 431 */
	HTTP_REFUSE_VERSION,	 /* 505 */
	HTTP_REFUSE_OVERLOAD,	 /* 503: the body would pass buffered_bytes */
	HTTP_REFUSALS
};

struct http_refused {
	enum http_refusal what;
	unsigned status;    /* that HTTP has for it */
	struct slice path;  /* of the target; empty when the head did not get so far */
	const char *detail; /* in words */
};

struct http_server_ops {
	/* The head is complete.  The user either answers, or calls http_accept_body(); until then no body byte is read
	 * and no 100 Continue is sent.  A request without a body gets on_body_end() after http_accept_body() too. */
	void (*on_head)(void *ctx, struct http_exchange *x);
	/* A piece of the decoded body, valid during the call. */
	void (*on_body)(void *ctx, struct http_exchange *x, struct slice piece);
	void (*on_body_end)(void *ctx, struct http_exchange *x);
	/* The exchange is over; @x and all slices of its head are dead after this call.  Called once for each on_head. */
	void (*on_close)(void *ctx, struct http_exchange *x, enum http_close why);
	/* Fills @body with the error in the API's own shape (JSON); returns the status to send, @why->status or another. */
	unsigned (*render_refusal)(void *ctx, const struct http_refused *why, struct buf *body);
};

struct http_server_stats {
	uint64_t accepted; /* connections */
	uint64_t requests; /* exchanges */
	uint64_t refused[HTTP_REFUSALS];
	uint64_t slow_aborted, readahead_aborted;
	uint64_t bytes_in, bytes_out;
	unsigned connections;  /* open now */
	size_t buffered_bytes; /* now: unsent answers, and what the user noted */
};

struct http_server *http_server_create(uv_loop_t *loop, const struct http_limits *limits,
				       const struct http_server_ops *ops, void *ctx);
/* Listens on @host:@port (0: any free port) or on a Unix socket; @tag comes back by http_listener_tag().  The port in
 * use goes to *@ret_port.  0, or a negative errno with @d filled. */
MUST_CHECK int http_server_listen(struct http_server *s, const char *host, uint16_t port, int tag,
				  uint16_t *ret_port, struct diag *d);
MUST_CHECK int
http_server_listen_unix(struct http_server *s, const char *path, int tag, struct diag *d);
/* New limits for all later heads and bodies. */
void http_server_set_limits(struct http_server *s, const struct http_limits *limits);
/* Closes connections that are idle after an exchange, and lets each other one end with its current answer.  New ones
 * are still taken, and those whose first request is on its way stay, so that the user can tell them that this server is
 * going away. */
void http_server_drain(struct http_server *s);
/* Exchanges that have not ended. */
unsigned http_server_active(const struct http_server *s);
const struct http_server_stats *http_server_stats(const struct http_server *s);
/* Closes all at once (on_close comes for each exchange); @done is called when no handle is left. */
void http_server_close(struct http_server *s, void (*done)(void *ctx), void *ctx);
void http_server_destroy(struct http_server *s);

/* the request ------------------------------------------------------------------------------------------------ */
void http_exchange_set_user(struct http_exchange *x, void *user);
void *http_exchange_user(const struct http_exchange *x);
struct slice http_method(const struct http_exchange *x);
/* The path of the target, as sent, and the query without '?' (empty when there is none). */
struct slice http_path(const struct http_exchange *x);
struct slice http_query(const struct http_exchange *x);
const struct http_headers *http_request_headers(const struct http_exchange *x);
/* UINT64_MAX when the body is chunked. */
uint64_t http_content_length(const struct http_exchange *x);
int http_listener_tag(const struct http_exchange *x);
/* "127.0.0.1:4711", "[::1]:4711" or "unix". */
const char *http_peer(const struct http_exchange *x);
/* The peer is this machine: a loopback address or a Unix socket. */
bool http_peer_is_local(const struct http_exchange *x);
/* Lets the body come (and sends 100 Continue when the client waits for it).  Its callbacks come from the loop, never from
 * within this call. */
void http_accept_body(struct http_exchange *x);

/* the answer ------------------------------------------------------------------------------------------------- */
enum http_framing {
	HTTP_LENGTH,
	HTTP_STREAM,
	HTTP_CHUNKED
};

/* A whole answer; Content-Length is added, and no body goes out for HEAD.  When the request's body was not read to
 * its end, the connection closes after the answer. */
void http_respond(struct http_exchange *x, unsigned status, const struct http_headers *headers,
		  struct slice body);
/* The head alone.  HTTP_LENGTH: exactly @length bytes follow; HTTP_STREAM: chunked, or until close for HTTP/1.0;
 * HTTP_CHUNKED: the same on the wire, for a whole answer whose length is not known: limits.slow_hard_bytes, which is a
 * bound for streams, does not count. */
void http_respond_head(struct http_exchange *x, unsigned status, const struct http_headers *headers,
		       enum http_framing framing, uint64_t length);
/* Body bytes.  They are copied only when the socket does not take them at once. */
void http_respond_data(struct http_exchange *x, const struct slice *pieces, unsigned n);
void http_respond_end(struct http_exchange *x);
/* Bytes of an answer, head and framing included, exactly as they are; http_respond_end() then closes the connection
 * without a word.  For a server that misbehaves on purpose. */
void http_respond_raw(struct http_exchange *x, struct slice bytes);
/* Writes at once what waits for the end of the turn.  A relay calls it after each batch of its source. */
void http_flush(struct http_exchange *x);
bool http_head_sent(const struct http_exchange *x);
/* Bytes that the client has not taken yet. */
size_t http_pending_bytes(const struct http_exchange *x);
uint64_t http_bytes_out(const struct http_exchange *x);
/* Cuts the connection without a proper end, so that the client sees a truncated answer. */
void http_abort(struct http_exchange *x);
/* The user holds @delta more (or fewer) bytes for requests; they count against limits.buffered_bytes.  False when
 * that bound is passed: then nothing is noted. */
bool http_server_note_buffered(struct http_server *s, int64_t delta);
