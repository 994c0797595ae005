/* SPDX-License-Identifier: MIT */
/*
 * request - one request's life.  Start reading here; each step is one file, in this order:
 *
 *   request.c    the head: which endpoint, whose tenant (identity.c), may it come at all; then the body, read through
 *                the incremental scanner; then the model.  Ends in queue_enter().
 *   queue.c      the tenant's contract, the admission queue, and the pump that takes grants from it.
 *   upstream.c   a granted request goes to its engine: what is sent, and the engine's head, end or failure.
 *   stream.c     event by event to the client: first token, usage, the error inside a stream.
 *   answer.c     what the gateway says itself: refusals, the early head, comments.
 *   settle.c     the end: permit back, tokens settled, metrics, access log.  Exactly once, whatever happened.
 *   deadlines.c  everything that happens because time has passed.
 *
 * A request is allocated when its head is accepted and freed when the server says that the exchange is over (on_close).
 * It is in exactly one state (states.def) and on that state's list; request_move() alone moves it.
 *
 *   what it holds                             from                to
 *   a place in the tenant's table (pin)       identity            freed
 *   body bytes                                the first piece     the engine's answer has begun, or the end
 *   a ticket of the tenant's contract         queue_enter         settle
 *   a place in the queue, then a permit       queue_enter, grant  settle
 *   a connection to the engine (call)         grant               the engine's last byte, or the client leaves
 *
 * The client leaves (on_close before TAIL): request_left() gives all of these back in that very turn of the loop.
 */
#pragma once
#include "admission/admission.h"
#include "http/client.h"
#include "http/server.h"
#include "metrics/registry.h"
#include "tenant/tenant.h"
#include "wire/chunk_facts.h"
#include "wire/request_edit.h"
#include "wire/sse.h"

struct gateway;
struct model_flow;
struct served_model;
struct route;

enum request_state {
#define X(NAME, name, successors, what) REQUEST_##NAME,
#include "router/states.def"
#undef X
	REQUEST_STATES
};

#define REQUEST_ID_LEN 128
#define REQUEST_REASON_LEN 96 /* of the word in the access log, with NUL */
#define REQUEST_ENGINE_ERROR_MAX                                                                   \
	(64u << 10) /* of an engine's error body that is kept for the log, or to be told inside a stream */
#define REQUEST_BODY_FIRST                                                                         \
	(64u << 10) /* room made before a body comes, whatever length it promises */

/* How the request's engine part ended, for metrics. */
enum request_outcome {
	OUTCOME_OK,
	OUTCOME_ERROR,	 /* the engine said so, or failed */
	OUTCOME_TIMEOUT, /* a time-out of ours */
	OUTCOME_LEFT,	 /* the client left */
};

struct request {
	struct gateway *g;
	struct http_exchange *x;
	enum request_state state;
	struct list link;    /* on the gateway's list of its state */
	uint64_t entered_us; /* into its state */
	uint64_t number;     /* of this process, for the decision log */
	char id[REQUEST_ID_LEN + 1];

	/* who and what, from the head */
	const struct route *route;
	enum wire_dialect dialect;
	struct tenant *tenant; /* pinned */
	uint64_t wall_us, head_us;
	int64_t client_retry_count; /* -1: not said */

	/* what the body says */
	struct buf body;
	size_t body_noted;	     /* counted against http.buffered_bytes */
	uint64_t body_bytes;	     /* of the whole body, for the log */
	struct request_facts *facts; /* while the body is read, and until it is edited */
	struct request_edit edit;
	struct slice pieces[HTTP_CALL_BODY_PIECES]; /* the body as it goes out */
	unsigned n_pieces;
	struct served_model *model;
	bool stream, hides_usage; /* hides_usage: usage was asked for by us, not by the client */
	int64_t max_tokens;	  /* -1: not said */
	double prompt_tok, reserve_tok; /* estimates */

	/* contract, queue, permit */
	struct tenant_ticket ticket;
	bool without_ticket; /* queued, and a limit is asked again before the grant */
	struct admission_request adm;
	struct model_flow *loading; /* it counts there while its model is not there yet */
	uint64_t queued_us, granted_us, overhead_us;
	struct list total_link; /* granted requests by grant, for timeouts.total_s */

	/* the engine's answer */
	struct http_call call;
	unsigned engine_status; /* 0: no head yet */
	struct buf engine_head; /* its fields that pass, name and value with NUL each */
	unsigned engine_fields;
	uint64_t engine_length; /* UINT64_MAX: not said */
	struct buf engine_error;
	bool is_events; /* an event stream */
	bool is_collected; /* a whole answer or an error that came after the early head: told as an event */
	bool saw_done, saw_finish, saw_error;
	bool in_oversize; /* the last event was a part of one that is too long to be looked into */
	bool at_end;	  /* what still stands in sse is made an event */
	bool counts_stream; /* in served_model.streaming */
	struct sse sse;
	struct answer_facts whole;
	struct wire_usage usage;
	uint64_t token_chunks, text_bytes;
	uint64_t first_token_us, last_token_us;

	/* the client's answer */
	unsigned status; /* sent; 0: none yet */
	bool early_head; /* 200 and comments went out before the engine spoke */
	bool ended;	 /* the whole answer is with the http layer */
	struct list wait_link; /* streams without a head, by the end of their body; then those with comments, by the last one */
	uint64_t wait_since_us; /* end of its body, or the last comment */

	enum request_outcome outcome;
	bool settled;
	char reason[REQUEST_REASON_LEN]; /* why it was refused or ended early; "" */
};

/* The one function that changes a state. */
void request_move(struct request *r, enum request_state to);
const char *request_state_name(enum request_state s);
/* The word for the access log; cut when it is too long. */
void request_set_reason(struct request *r, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* The callbacks of the server. */
extern const struct http_server_ops request_server_ops;

/* request.c: what must change in the body on its way; everything else goes out byte for byte.  False when that does not
 * fit.  Once, when the engine's name for the model is known; the facts are gone afterwards. */
bool request_edit_body(struct request *r);

/* queue.c ------------------------------------------------------------------------------------------------------- */
/* The model is known and the request whole: contract, then queue.  Answers it, or leaves it QUEUED or LOADING. */
void queue_enter(struct request *r);
/* Takes every grant there is, and arms the alarm.  Call it after anything that may have made room. */
void queue_pump(struct gateway *g);
/* Requests that waited as long as they may, permits of aborted ones, held flows. */
void queue_expire(struct gateway *g);
/* The tenant gave something back: its requests that a limit holds may try again. */
void queue_release_tenant(struct gateway *g, const struct tenant *t);
/* An engine's state has changed. */
void queue_model_changed(struct served_model *m);
/* A connection to the engine failed: those who wait are not sent after it until the engine shows that it lives. */
void queue_suspect(struct served_model *m);
/* It does. */
void queue_trust(struct served_model *m);
/* It does not wait for its model any more. */
void queue_loading_over(struct request *r);
/* It is not such a request any more. */
void queue_forget_ticketless(struct request *r);
bool queue_gate(void *ctx, struct admission_request *a, uint64_t now_us, uint64_t *retry_us);

/* upstream.c ---------------------------------------------------------------------------------------------------- */
void upstream_start(struct request *r);
/* The engine did not do what it should in time. */
void upstream_give_up(struct request *r, enum wire_error e, const char *why);

/* stream.c ------------------------------------------------------------------------------------------------------ */
void stream_event(void *request, const struct sse_event *ev);
/* The engine's stream is over: what is missing is said. */
void stream_end(struct request *r);

/* answer.c ------------------------------------------------------------------------------------------------------ */
/* Refuses: the error as an answer, or as an event when the head is out.  @message and @param may be NULL.  @retry_us 0:
 * no Retry-After.  The request is in TAIL afterwards, or (before it was accepted) answered and freed by on_close. */
void answer_refuse(struct request *r, enum wire_error e, enum metrics_label_REASON reason,
		   const char *message, const char *param, uint64_t retry_us);
/* The engine failed or timed out: the same, without counting a refusal. */
void answer_failure(struct request *r, enum wire_error e, const char *message);
/* The engine's head, as it is passed on. */
void answer_engine_head(struct request *r);
/* An error that the engine gave as the first event of a stream, as an answer with that status. */
void answer_engine_error(struct request *r, unsigned status, struct slice body);
/* 200 and a comment to a stream that waits. */
void answer_early_head(struct request *r);
void answer_comment(struct request *r);
/* The answer is complete. */
void answer_end(struct request *r);

/* settle.c ------------------------------------------------------------------------------------------------------ */
/* Gives back what the request holds, and counts.  Does nothing the second time. */
void settle(struct request *r, enum request_outcome outcome);
/* Never granted: the same for what was refused or left. */
void settle_log(struct request *r, enum http_close why);
