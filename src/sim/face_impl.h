/* SPDX-License-Identifier: MIT */
/*
 * face_impl - what the files of the HTTP face share: http_face.c listens, routes and keeps time, face_answer.c leads one
 * generation from the request to its end, face_emit.c turns its tokens into events, face_reply.c writes them (properly or not), face_pages.c has the small pages,
 * face_record.c the record of requests.
 */
#pragma once
#include <uv.h>
#include "base/list.h"
#include "http/server.h"
#include "sim/http_face.h"

#define SIM_ID_LEN 40
#define SIM_CREATED_S                                                                              \
	1767225600 /* 2026-01-01: answers count on from here, so that each run gives the same bytes */

/* Writes one answer; some faults need a framing that no proper server would produce. */
struct sim_reply {
	struct http_exchange *x; /* NULL once the client is gone */
	const struct sim_faults *faults;
	const struct sim_personality *who;
	bool raw; /* framed here, byte by byte, and the connection closes after it */
	bool chunked, started, ended;
};

/* One choice of an answer: a sequence in the engine. */
struct sim_line {
	struct sim_seq seq; /* first, so that a line is found by its sequence */
	struct sim_gen *gen;
	unsigned index;
	uint64_t sent;		    /* tokens whose text is out (or in text, without stream) */
	uint64_t ready;		    /* tokens made and not out yet */
	uint64_t first_us, last_us; /* when its first and latest ones came out of the engine */
	bool in_source, made_all, role_sent, finished;
	struct buf text; /* without stream: the answer so far */
};

/* One exchange with a body: from its head to its close. */
struct sim_gen {
	struct list link; /* on face->gens */
	struct sim_face *face;
	struct http_exchange *x; /* NULL after its close */
	bool chat;
	struct buf body;
	struct sim_faults faults;
	struct sim_ask ask;
	struct sim_reply reply;
	struct sim_answer_head head;
	char id[SIM_ID_LEN], model[SIM_MODEL_NAME_MAX + 1];
	struct sim_line *lines;
	unsigned n_lines, n_finished;
	const char *finish; /* how its lines end when they come to their full length */
	uint64_t arrived_us, prompt_tok;
	bool running; /* its lines were started and it is not ended */
	bool held;    /* a stall or hang: tokens wait */
	bool doomed;  /* ended while the source was advancing: its lines are still in there */
	bool first_out, blank_first, stalled;
	unsigned n_events;     /* for what changes from event to event */
	unsigned n_timers;     /* open */
	uv_timer_t wake, beat; /* end of a stall or the early role; keep-alive comments */
	bool wake_open, beat_open, closing;
	struct buf prepared; /* with same_words: the event of one token, made once */
};

struct sim_face {
	uv_loop_t *loop;
	struct sim_face_options o;
	struct sim_source *source;
	struct http_server *server;
	struct list gens;
	unsigned n_gens, n_running;
	bool advancing, some_doomed;
	uint64_t advance_us; /* simulated time of the latest advance */
	uint64_t t0_us, created_s, n_ids;
	uint64_t ready_at_us; /* real time at which loading is over */
	int timer_fd;
	uv_poll_t timer;
	bool timer_open, server_open;
	uint64_t armed_us; /* simulated time that the timer is set to; UINT64_MAX: off */
	uv_timer_t startup;
	bool startup_open;
	int held_fd;		       /* holds the port while connections are refused; -1: none */
	char host[64], unix_path[108]; /* what is to be listened on when the startup timer fires */
	uint16_t port;
	struct diag failure;
	bool failed;
	int record_fd; /* -1: none */
	struct sim_face_stats stats;
	struct buf out; /* events of one write */
	unsigned closing_handles;
	void (*closed)(void *ctx);
	void *closed_ctx;
};

/* http_face.c */
uint64_t face_now_us(const struct sim_face *f); /* simulated */
bool face_is_ready(const struct sim_face *f);
/* Lets the source come to now, and sets the timer for what it does next. */
void face_advance(struct sim_face *f);
void face_arm(struct sim_face *f);
void face_gen_gone(struct sim_face *f);

/* face_reply.c */
void reply_whole(struct sim_reply *r, unsigned status, const char *type,
		 const struct http_header *extra, struct slice body);
void reply_begin_stream(struct sim_reply *r, const char *type);
void reply_data(struct sim_reply *r, struct slice data);
void reply_end(struct sim_reply *r);
/* An error in the personality's words. */
void reply_error(struct sim_reply *r, const struct sim_error *e, int64_t retry_after_s);

/* face_answer.c */
struct sim_gen *gen_create(struct sim_face *f, struct http_exchange *x, bool chat);
/* The whole body is in gen->body. */
void gen_start(struct sim_gen *g);
/* @s made @n more tokens. */
void gen_on_tokens(void *face, struct sim_seq *s, unsigned n, bool finished);
/* The exchange is over. */
void gen_on_close(struct sim_gen *g);
/* Gives up what is still in the source and resets its connection. */
void gen_reset(struct sim_gen *g);
/* Takes the lines of an ended generation out of the source. */
void gen_abort_lines(struct sim_gen *g);
/* Holds its tokens back for @ms. */
void gen_stall(struct sim_gen *g, uint64_t ms);
/* face_emit.c: writes out what is ready, and ends the generation when that was all. */
void gen_emit(struct sim_gen *g);
/* The generation is over, well or not. */
void gen_end(struct sim_gen *g);
void gen_send_role(struct sim_gen *g, struct sim_line *l, struct buf *out);
const char *gen_line_end(struct sim_gen *g);

/* The request carries the engine's key, or none is asked for. */
bool face_key_fits(const struct sim_face *f, struct http_exchange *x);

/* face_pages.c: true when the path is one of its pages, which then was answered. */
bool face_answer_page(struct sim_face *f, struct http_exchange *x);

/* 404 or 405; @allow: the method that is served, or NULL. */
void
face_answer_unknown(struct sim_face *f, struct http_exchange *x, unsigned status, const char *allow);

/* face_record.c */
void face_record(struct sim_face *f, struct http_exchange *x, struct slice body);
