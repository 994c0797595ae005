/* SPDX-License-Identifier: MIT */
/*
 * admission - decides when a request may enter an engine.
 *
 * Every request waits here and nowhere else.  Each engine has a window (how many requests it may hold), each tenant a flow
 * per engine (its queue there), and a policy says which flow goes next:
 *   fifo    in order of arrival; no window unless one is set
 *   drr     the original's score, (active * 10 + priority) * 100 + length bucket, frozen at arrival; lower first
 *   window  start-time fair queueing over organisations and, inside each, over tenants, by weight: the one that has received
 *           the least cost per unit of weight goes next (Goyal et al., SFQ, SIGCOMM 1996; Jin et al., SFQ(D), 2004);
 *           inside a tenant short answers first, by the original's length buckets
 *
 * The caller reports what happens (arrival, first token, progress, end, abort, engine lost or back, time passing) and takes
 * grants with admission_next_grant() until there is none.  A grant is a permit: it is held until finish or abort, once.
 * After an abort the permit stays taken until the engine has had the time to give the request up (abort_lag_us).
 *
 * Pure and clockless: no I/O, no locks, no allocation after admission_create().  Requests, flows and organisations are
 * memory of the caller.  Times are microseconds, costs are in units of the cost function (admission_cost).
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "admission/admission_params.h"
#include "base/heap.h"
#include "base/list.h"
#include "base/must.h"

enum admission_policy {
	ADMISSION_FIFO,
	ADMISSION_DRR,
	ADMISSION_WINDOW,
	ADMISSION_POLICIES
};

/* "fifo", "drr", "window"; "fair" is the window's other name until there is more to it.  -EINVAL for another. */
MUST_CHECK int admission_policy_parse(const char *name, enum admission_policy *ret);
const char *admission_policy_name(enum admission_policy p);

enum admission_state {
	ADMISSION_NEW, /* not known here */
	ADMISSION_QUEUED,
	ADMISSION_GRANTED, /* holds a permit */
	ADMISSION_DONE,	   /* finished, aborted, expired or rejected */
};

enum admission_reason {
	ADMISSION_OK,
	ADMISSION_QUEUE_REQUESTS, /* the tenant's queue has as many requests as it may */
	ADMISSION_QUEUE_BYTES,	  /* or as many bytes */
	ADMISSION_QUEUE_AGE,	  /* it waited as long as it may */
	ADMISSION_QUEUE_GLOBAL,	  /* all queues together are full */
};
const char *admission_reason_name(enum admission_reason r);

/* An organisation at one engine, or a tenant that has none: what shares the engine at the top level. */
struct admission_share {
	struct heap_node node; /* in the engine's heap while it has an eligible flow */
	struct heap flows;     /* eligible flows with requests */
	double vtime;	       /* cost received / weight */
	double weight;	       /* > 0 */
	double vnow;	       /* virtual time of its flow served last */
	double weight_queued;  /* sum of weights of the flows in its heap */
	bool queued;	       /* in the engine's heap */
};

/* One tenant's queue at one engine.  Zero it, then admission_flow_init(). */
struct admission_flow {
	unsigned engine;
	double weight;	       /* > 0, inside its organisation */
	int priority;	       /* for drr; lower first */
	unsigned max_requests; /* bounds of this queue */
	uint64_t max_bytes;
	uint64_t max_age_us; /* 0: a request that cannot go at once is rejected */
	/* read-only for others */
	unsigned queued, granted;
	uint64_t queued_bytes;
	/* private */
	struct admission_share own, *share;
	struct heap requests;
	struct heap_node node; /* in share->flows, or in the engine's heap of held flows */
	struct list link;      /* all flows of the engine */
	double vtime, queued_cost;
	uint64_t held_until_us;
	enum {
		FLOW_IDLE,
		FLOW_ELIGIBLE,
		FLOW_HELD
	} place;
};

/* One request.  Zero it and fill the first block before admission_arrive(). */
struct admission_request {
	struct admission_flow *flow;
	double cost;	    /* estimate, > 0 */
	uint32_t bytes;	    /* of its body, for the bound of the queue */
	int64_t max_tokens; /* -1: not said */
	unsigned active; /* of its tenant over all engines, this one included, for drr; 0: those of its flow */
	bool must_wait; /* its gate is known to be shut now: the bounds of the queue hold for it in any case */
	void *user;
	/* read-only for others */
	enum admission_state state;
	uint64_t arrived_us, granted_us, deadline_us;
	/* private */
	struct heap_node node, deadline;
	int64_t rank;
	uint64_t seq;
	double charged;
};

struct admission_params {
	enum admission_policy policy;
	unsigned max_concurrent; /* permits over all engines; 0: no bound */
	unsigned queue_requests; /* queued requests over all engines; 0: no bound */
	bool no_queue;		 /* nobody waits: what cannot go at once is rejected */
	uint64_t abort_lag_us;	 /* of engines that have none of their own */
};

/* Asked before each grant: may @r enter now?  When not, its flow is passed over until *@retry_us (absolute), or until
 * admission_flow_release().  NULL: every request may. */
typedef bool (*admission_gate_fn)(void *ctx, struct admission_request *r, uint64_t now_us,
				  uint64_t *retry_us);

struct admission;

struct admission *admission_create(const struct admission_params *p, admission_gate_fn gate, void *ctx);
void admission_destroy(struct admission *a);
/* New parameters for a living object; what is queued is ordered anew when the policy changes. */
void admission_configure(struct admission *a, const struct admission_params *p, uint64_t now_us);

/* @window: requests that the engine may hold; 0: the policy's own (64 for window, else no bound). */
void admission_set_window(struct admission *a, unsigned engine, unsigned window);
/* How long that engine works on a request after it was aborted; permits that drain there come free at once. */
void admission_set_abort_lag(struct admission *a, unsigned engine, uint64_t lag_us);
/* An engine that is not ready gets nothing; what it holds stays held until finished or aborted. */
void admission_engine_ready(struct admission *a, unsigned engine, bool ready);

void admission_share_init(struct admission_share *s, double weight);
/* @share: the organisation's share at that engine, or NULL for a tenant of its own. */
void admission_flow_init(struct admission *a, struct admission_flow *f, unsigned engine,
			 struct admission_share *share);
/* Takes an idle flow (no request queued or granted) out. */
void admission_flow_finish(struct admission *a, struct admission_flow *f);
/* A new weight, or another organisation (NULL: none), for a living flow: what is queued moves with it.  The other
 * bounds of a flow are plain fields that the caller may change. */
void admission_flow_update(struct admission *a, struct admission_flow *f, double weight,
			   struct admission_share *share);
void admission_share_set_weight(struct admission *a, unsigned engine, struct admission_share *s,
				double weight);
/* A held flow may try again at once. */
void admission_flow_release(struct admission *a, struct admission_flow *f);

/* cost of a request until the engine's own cost is learned: bytes / 4 + 2 * min(max_tokens, 256). */
double admission_cost(uint64_t prompt_bytes, int64_t max_tokens);
/* The same of what it really used. */
double admission_cost_used(int64_t prompt_tok, int64_t completion_tok);

/* Queues @r, or rejects it; then *@ret_wait_us is the predicted wait of such a request.  Bounds of queues hold only for
 * one that must wait: who can go at once is never rejected, whoever else is held. */
enum admission_reason admission_arrive(struct admission *a, struct admission_request *r,
				       uint64_t now_us, uint64_t *ret_wait_us);
/* The next request that may enter its engine, or NULL.  Its permit is taken. */
struct admission_request *admission_next_grant(struct admission *a, uint64_t now_us);
void admission_first_token(struct admission *a, struct admission_request *r, uint64_t now_us);
void
admission_progress(struct admission *a, struct admission_request *r, unsigned tokens, uint64_t now_us);
/* The engine is done with it.  @used < 0: not known, the estimate stands. */
void admission_finish(struct admission *a, struct admission_request *r, double used, uint64_t now_us);
/* Gives up @r in whatever state it is; harmless when it is done already. */
void admission_abort(struct admission *a, struct admission_request *r, double used, uint64_t now_us);
/* A request that has waited as long as it may, now DONE; NULL when there is none. */
struct admission_request *admission_next_expired(struct admission *a, uint64_t now_us);
/* Time has passed: permits of aborted requests come free, held flows try again. */
void admission_tick(struct admission *a, uint64_t now_us);
/* When admission_tick() or admission_next_expired() has something to do next; UINT64_MAX: never. */
uint64_t admission_next_deadline(struct admission *a);

/* How long @f's tenant waits for one more request of that cost: the work before it over its share of the engine's rate.
 * The rate is of the time in which the engine had work, lately. */
uint64_t admission_predict_wait(struct admission *a, const struct admission_flow *f, double cost,
				uint64_t now_us);

struct admission_engine_stats {
	unsigned window; /* in force; 0: no bound */
	unsigned granted, draining, queued;
	uint64_t admitted, rejected, expired, aborted;
	double cost_rate; /* cost finished per second, lately */
};
void
admission_engine_stats(const struct admission *a, unsigned engine, struct admission_engine_stats *ret);
/* Over all engines. */
unsigned admission_queued(const struct admission *a);
unsigned admission_granted(const struct admission *a);
