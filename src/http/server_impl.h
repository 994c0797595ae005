/* SPDX-License-Identifier: MIT */
/*
 * server_impl - what the files of the HTTP server share: listener.c accepts and keeps time, server_conn.c reads,
 * server_parse.c parses, server_answer.c writes.  Not for anybody else.
 *
 * A connection carries one exchange at a time.  Its head is parsed in place: the bytes stay in conn->head until the
 * exchange ends, and every slice that the user gets points into them.  Body bytes are read into one buffer of the
 * server and handed on during the call, so that a connection which waits owns no read buffer at all.
 */
#pragma once
#include <llhttp.h>
#include <uv.h>
#include "base/list.h"
#include "http/server.h"

#define HTTP_READ_BYTES (64 << 10)     /* one read of a body */
#define HTTP_HEAD_READ_BYTES 4096      /* one read of a head */
#define HTTP_CORK_BYTES (16 << 10)     /* answers up to this size wait for the end of the turn */
#define HTTP_CHUNK_EXT_BYTES 4096      /* chunk extensions of one body, all together */
#define HTTP_FRAMING_BYTES (256 << 10) /* chunk framing beyond 16 times the body's bytes */
#define HTTP_PEER_LEN 64
#define HTTP_TICK_MS 100
#define HTTP_LINGER_MS 1000

/* Where a connection is; each state but CONN_WORK and CONN_DEAD has a list with a time-out of its own. */
enum conn_state {
	CONN_IDLE, /* between requests */
	CONN_HEAD, /* some bytes of a head are in */
	CONN_BODY, /* the body is due */
	CONN_WORK, /* request complete, or not wanted further; the answer is the user's business */
	CONN_LINGER, /* answered and shut down; what still comes is thrown away */
	CONN_DEAD,   /* closed; freed when libuv lets go of the handle */
	CONN_STATES
};

struct http_span {
	uint32_t off, n;
};

struct http_exchange {
	void *user;
	struct http_conn_server *conn;
	struct http_span target, names[HTTP_HEADERS_MAX], values[HTTP_HEADERS_MAX];
	struct http_header header_v[HTTP_HEADERS_MAX];
	struct http_headers headers;
	unsigned n_names;
	bool in_value;
};

struct http_conn_server {
	struct http_server *srv;
	uv_poll_t poll;
	int fd, tag, poll_events;
	enum conn_state state;
	struct list link;   /* on srv->conns[state] */
	struct list dirty;  /* on srv->dirty: output waits for the end of the turn */
	struct list resume; /* on srv->resume: its body is wanted, from the end of the turn on */
	uint64_t since_us;  /* came into its state, or its body moved last */
	char peer[HTTP_PEER_LEN];
	bool peer_local;

	/* reading */
	llhttp_t parser;
	struct buf head;	 /* head of the exchange, from its first byte */
	struct buf ahead;	 /* read ahead of a request in work */
	struct http_exchange *x; /* allocated with the first head, kept for the next ones */
	const char *parse_base;	 /* where the bytes in the parser begin: head.p, else NULL */
	uint64_t body_length;	 /* that the head promises; UINT64_MAX: chunked */
	uint64_t body_bytes, ext_bytes, trailer_bytes, body_raw_bytes;
	enum http_refusal refuse; /* reason of a parser callback's error */
	const char *refuse_text;
	bool in_exchange; /* on_head was called, on_close not yet */
	bool used;	  /* it has had an exchange */
	bool head_done, body_wanted, body_done, expects_continue;
	bool keep_alive, http10, head_method;
	bool linger; /* more may be on its way to us: close in two steps */

	/* writing */
	struct buf out;
	size_t out_off;		/* bytes of out that the kernel has */
	uint64_t slow_since_us; /* pending went over the soft limit; 0: it is under */
	uint64_t written_us;	/* the kernel took bytes last, or there was something to take */
	uint64_t answer_bytes;
	enum http_framing framing;
	uint64_t length_left;
	bool head_out, answer_done, chunked, aborting;
	bool bodyless; /* no answer of that status, or to that method, has a body */
};

struct http_listener {
	struct http_server *srv;
	struct list link;
	uv_poll_t poll;
	int fd, tag;
	bool is_unix;
	char path[108];
};

struct http_server {
	uv_loop_t *loop;
	struct http_limits limits;
	const struct http_server_ops *ops;
	void *ctx;
	struct list listeners;
	struct list conns[CONN_STATES];
	struct list dirty, resume;
	unsigned n_conns, n_active, n_handles;
	size_t noted; /* bytes that the user holds for requests */
	struct http_server_stats stats;
	uv_timer_t tick;
	uv_prepare_t flush;
	uint64_t date_s, slow_look_us;
	char date[40];
	bool draining, closing, accept_paused;
	void (*closed)(void *ctx);
	void *closed_ctx;
	char read_buf[HTTP_READ_BYTES];
};

static inline uint64_t
server_now_us(const struct http_server *s)
{
	return uv_now(s->loop) * 1000u;
}

/* listener.c */
void server_conn_closed(struct http_server *s); /* one connection fewer: accept again, or be closed */

/* server_parse.c */
extern const llhttp_settings_t conn_parser_settings;
/* What is wrong with the bytes of a head from @from on, or NULL. */
const char *conn_bad_head_bytes(const struct buf *head, size_t from);

/* server_conn.c */
void conn_create(struct http_listener *l, int fd);
void conn_set_state(struct http_conn_server *c, enum conn_state st);
void conn_poll(struct http_conn_server *c); /* arms what the state needs */
void conn_destroy(struct http_conn_server *c, enum http_close why);
void conn_resume(struct http_conn_server *c); /* goes on with the body that the user wants */
/* The exchange is answered to its last byte: the next one, or the end. */
void conn_exchange_done(struct http_conn_server *c);
/* Answers @what with the API's error and closes after it. */
void conn_refuse(struct http_conn_server *c, enum http_refusal what, const char *detail);
struct http_conn_server *conn_of(struct http_exchange *x);

/* server_answer.c */
void conn_mark_dirty(struct http_conn_server *c);
void conn_write_interim(struct http_conn_server *c, struct slice head); /* a 1xx */
/* Writes what it can; may end the exchange or the connection. */
void conn_flush(struct http_conn_server *c);
static inline size_t
conn_pending(const struct http_conn_server *c)
{
	return c->out.n - c->out_off;
}
