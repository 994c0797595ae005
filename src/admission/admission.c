/* SPDX-License-Identifier: MIT */
#include "admission/admission.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "admission/policy.h"

#define DRAIN_SLOTS 16		 /* an abort's permit comes back within lag * (1 + 1/16) */
#define RATE_HALF_LIFE_US 10e6	 /* memory of the service rate */
#define WAIT_UNKNOWN_US 1000000u /* predicted while no rate is known */
#define WAIT_MIN_US 50000u
#define WAIT_MAX_US 600000000u

struct engine {
	bool ready;
	unsigned window_set, granted, queued;
	struct heap shares; /* with an eligible flow */
	struct heap held;   /* flows that the gate turned away, by held_until_us */
	struct list flows;
	double vnow;	      /* virtual time of the share served last */
	double weight_queued; /* sum of weights of shares in the heap */
	/* permits of aborted requests, by the time when they come free */
	unsigned draining, drain[DRAIN_SLOTS];
	uint64_t drain_slot; /* number of the oldest slot not yet freed */
	/* cost finished per second: sums that decay */
	double rate_cost, rate_time_s;
	uint64_t rate_at_us;
	uint64_t admitted, rejected, expired, aborted;
};

struct admission {
	struct admission_params p;
	const struct admission_policy_ops *ops;
	admission_gate_fn gate;
	void *ctx;
	unsigned n_engines, granted, queued, draining, turn;
	uint64_t seq;
	struct heap deadlines;
	struct engine engines[ADMISSION_ENGINES_MAX];
};

static bool
deadline_less(const struct heap_node *a, const struct heap_node *b)
{
	const struct admission_request *x =
		container_of((uintptr_t)a, const struct admission_request, deadline);
	const struct admission_request *y =
		container_of((uintptr_t)b, const struct admission_request, deadline);

	return x->deadline_us != y->deadline_us ? x->deadline_us < y->deadline_us : x->seq < y->seq;
}

static bool
held_less(const struct heap_node *a, const struct heap_node *b)
{
	return container_of((uintptr_t)a, const struct admission_flow, node)->held_until_us <
	       container_of((uintptr_t)b, const struct admission_flow, node)->held_until_us;
}

struct admission *
admission_create(const struct admission_params *p, admission_gate_fn gate, void *ctx)
{
	struct admission *a = must_calloc(1, sizeof(*a));

	a->p = *p;
	a->ops = &admission_policies[p->policy];
	a->gate = gate;
	a->ctx = ctx;
	heap_init(&a->deadlines, deadline_less);
	for (unsigned i = 0; i < ADMISSION_ENGINES_MAX; i++) {
		struct engine *e = &a->engines[i];

		heap_init(&e->shares, a->ops->share_less);
		heap_init(&e->held, held_less);
		list_init(&e->flows);
	}
	return a;
}

void
admission_destroy(struct admission *a)
{
	free(a);
}

static struct engine *
engine_at(struct admission *a, unsigned i)
{
	must(i < ADMISSION_ENGINES_MAX);
	a->n_engines = MAX(a->n_engines, i + 1);
	return &a->engines[i];
}

void
admission_set_window(struct admission *a, unsigned engine, unsigned window)
{
	engine_at(a, engine)->window_set = window;
}

void
admission_engine_ready(struct admission *a, unsigned engine, bool ready)
{
	engine_at(a, engine)->ready = ready;
}

double
admission_cost(uint64_t prompt_bytes, int64_t max_tokens)
{
	int64_t out = max_tokens < 0 ? ADMISSION_OUTPUT_TOK_ASSUMED
				     : MIN(max_tokens, ADMISSION_OUTPUT_TOK_ASSUMED);

	return fmax(1.0, (double)prompt_bytes / 4.0 + 2.0 * (double)out);
}

double
admission_cost_used(int64_t prompt_tok, int64_t completion_tok)
{
	return fmax(1.0, (double)prompt_tok + 2.0 * (double)completion_tok);
}

/* flows and shares ------------------------------------------------------------------------------------------- */

void
admission_share_init(struct admission_share *s, double weight)
{
	*s = (struct admission_share){ .weight = weight };
}

void
admission_flow_init(struct admission *a, struct admission_flow *f, unsigned engine,
		    struct admission_share *share)
{
	struct engine *e = engine_at(a, engine);

	must(f->weight > 0);
	f->engine = engine;
	admission_share_init(&f->own, f->weight);
	heap_init(&f->own.flows, a->ops->flow_less);
	f->share = share ? share : &f->own;
	if (share && !share->flows.less)
		heap_init(&share->flows, a->ops->flow_less);
	heap_init(&f->requests, admission_request_less);
	f->place = FLOW_IDLE;
	list_push_back(&e->flows, &f->link);
}

void
admission_flow_finish(struct admission *a, struct admission_flow *f)
{
	(void)a;
	must(f->queued == 0 && f->granted == 0 && f->place == FLOW_IDLE);
	list_del(&f->link);
}

/* Puts the share where its flows say that it belongs. */
static void
place_share(struct admission *a, struct engine *e, struct admission_share *s)
{
	(void)a;
	if (s->queued) {
		heap_remove(&e->shares, &s->node);
		e->weight_queued -= s->weight;
		s->queued = false;
	}
	if (s->flows.len) {
		heap_push(&e->shares, &s->node);
		e->weight_queued += s->weight;
		s->queued = true;
	}
	if (!e->shares.len)
		e->weight_queued = 0; /* no rounding left behind */
}

/* Where the virtual times of a share's flows stand: the least of those that wait. */
static double
share_vnow(const struct admission_share *s, double fallback)
{
	struct heap_node *n = heap_peek(&s->flows);

	return n ? container_of(n, struct admission_flow, node)->vtime : fallback;
}

static void
flow_leave(struct admission *a, struct admission_flow *f)
{
	struct engine *e = &a->engines[f->engine];

	if (f->place == FLOW_ELIGIBLE) {
		heap_remove(&f->share->flows, &f->node);
		place_share(a, e, f->share);
	} else if (f->place == FLOW_HELD) {
		heap_remove(&e->held, &f->node);
	}
	f->place = FLOW_IDLE;
}

/* A flow with requests becomes eligible.  @wakes: it had none before, so it is lifted: idling earns nothing. */
static void
flow_enter(struct admission *a, struct admission_flow *f, bool wakes)
{
	struct engine *e = &a->engines[f->engine];

	if (wakes) {
		f->vtime = fmax(f->vtime, share_vnow(f->share, f->vtime));
		if (!f->share->queued)
			f->share->vtime = fmax(f->share->vtime, e->vnow);
	}
	heap_push(&f->share->flows, &f->node);
	f->place = FLOW_ELIGIBLE;
	place_share(a, e, f->share);
}

/* The head or the service of an eligible flow has changed. */
static void
flow_moved(struct admission *a, struct admission_flow *f)
{
	if (f->place == FLOW_ELIGIBLE) {
		heap_update(&f->share->flows, &f->node);
		place_share(a, &a->engines[f->engine], f->share);
	}
}

void
admission_flow_update(struct admission *a, struct admission_flow *f, double weight,
		      struct admission_share *share)
{
	bool eligible = f->place == FLOW_ELIGIBLE;

	must(weight > 0);
	if (eligible)
		flow_leave(a, f);
	f->weight = f->own.weight = weight;
	if (share && !share->flows.less)
		heap_init(&share->flows, a->ops->flow_less);
	f->share = share ? share : &f->own;
	if (eligible)
		flow_enter(a, f, false);
}

void
admission_share_set_weight(struct admission *a, unsigned engine, struct admission_share *s, double weight)
{
	must(weight > 0);
	if (s->queued)
		engine_at(a, engine)->weight_queued += weight - s->weight;
	s->weight = weight;
}

void
admission_flow_release(struct admission *a, struct admission_flow *f)
{
	if (f->place != FLOW_HELD)
		return;
	flow_leave(a, f);
	flow_enter(a, f, false);
}

static void
charge(struct admission *a, struct admission_flow *f, double cost)
{
	if (!a->ops->by_vtime)
		return;
	f->vtime += cost / f->weight;
	f->share->vtime += cost / f->share->weight;
	flow_moved(a, f);
	if (f->place != FLOW_ELIGIBLE && f->share->queued)
		place_share(a, &a->engines[f->engine], f->share);
}

/* the queue -------------------------------------------------------------------------------------------------- */

static void
enqueue(struct admission *a, struct admission_request *r)
{
	struct admission_flow *f = r->flow;
	bool wakes = f->requests.len == 0;

	r->rank = a->ops->rank(f, r);
	heap_push(&f->requests, &r->node);
	if (wakes)
		flow_enter(a, f, true);
	else
		flow_moved(a, f);
}

static void
dequeue(struct admission *a, struct admission_request *r)
{
	struct admission_flow *f = r->flow;

	must(f);
	heap_remove(&a->deadlines, &r->deadline);
	if (f->requests.len == 1)
		flow_leave(a, f);
	heap_remove(&f->requests, &r->node);
	flow_moved(a, f);
	f->queued--;
	f->queued_bytes -= r->bytes;
	f->queued_cost -= r->cost;
	if (f->queued == 0)
		f->queued_cost = 0;
	a->engines[f->engine].queued--;
	a->queued--;
}

static unsigned
window_of(const struct admission *a, const struct engine *e)
{
	return e->window_set ? e->window_set : a->ops->window_auto;
}

static bool
has_room(const struct admission *a, const struct engine *e)
{
	unsigned window = window_of(a, e);

	return e->ready && (!window || e->granted + e->draining < window) &&
	       (!a->p.max_concurrent || a->granted + a->draining < a->p.max_concurrent);
}

enum admission_reason
admission_arrive(struct admission *a, struct admission_request *r, uint64_t now_us, uint64_t *ret_wait_us)
{
	struct admission_flow *f = r->flow;
	struct engine *e = &a->engines[f->engine];
	enum admission_reason why = ADMISSION_OK;
	bool must_wait = e->queued > 0 || !has_room(a, e);

	must(r->state == ADMISSION_NEW && r->cost > 0);
	if (must_wait && a->p.queue_requests && a->queued >= a->p.queue_requests)
		why = ADMISSION_QUEUE_GLOBAL;
	else if (must_wait && f->max_age_us == 0)
		why = ADMISSION_QUEUE_AGE;
	else if (f->queued >= f->max_requests && must_wait)
		why = ADMISSION_QUEUE_REQUESTS;
	else if (f->queued && f->queued_bytes + r->bytes > f->max_bytes)
		why = ADMISSION_QUEUE_BYTES;
	if (why != ADMISSION_OK) {
		r->state = ADMISSION_DONE;
		e->rejected++;
		*ret_wait_us = admission_predict_wait(a, f, r->cost, now_us);
		return why;
	}
	r->state = ADMISSION_QUEUED;
	r->arrived_us = now_us;
	r->deadline_us = now_us + (f->max_age_us ? f->max_age_us : 1);
	r->seq = a->seq++;
	enqueue(a, r);
	heap_push(&a->deadlines, &r->deadline);
	f->queued++;
	f->queued_bytes += r->bytes;
	f->queued_cost += r->cost;
	e->queued++;
	a->queued++;
	return ADMISSION_OK;
}

/* The next request of one engine that its gate lets pass. */
static struct admission_request *
next_of(struct admission *a, struct engine *e, uint64_t now_us)
{
	struct heap_node *top;

	while ((top = heap_peek(&e->shares)) != NULL) {
		struct admission_share *s = container_of(top, struct admission_share, node);
		struct admission_flow *f =
			container_of(heap_peek(&s->flows), struct admission_flow, node);
		struct admission_request *r =
			container_of(heap_peek(&f->requests), struct admission_request, node);
		uint64_t retry_us = UINT64_MAX;

		if (!a->gate || a->gate(a->ctx, r, now_us, &retry_us)) {
			e->vnow = fmax(e->vnow, s->vtime);
			return r;
		}
		flow_leave(a, f);
		f->held_until_us = MAX(retry_us, now_us + 1);
		heap_push(&e->held, &f->node);
		f->place = FLOW_HELD;
	}
	return NULL;
}

struct admission_request *
admission_next_grant(struct admission *a, uint64_t now_us)
{
	for (unsigned i = 0; i < a->n_engines; i++) {
		struct engine *e = &a->engines[(a->turn + i) % a->n_engines];
		struct admission_request *r;

		if (!e->queued || !has_room(a, e))
			continue;
		r = next_of(a, e, now_us);
		if (!r)
			continue;
		/* Under the cap over all engines, each has its turn: a slow model cannot take every permit. */
		a->turn = (a->turn + i + 1) % a->n_engines;
		dequeue(a, r);
		r->state = ADMISSION_GRANTED;
		r->granted_us = now_us;
		r->flow->granted++;
		e->granted++;
		e->admitted++;
		a->granted++;
		r->charged = r->cost;
		charge(a, r->flow, r->cost);
		return r;
	}
	return NULL;
}

/* after the grant -------------------------------------------------------------------------------------------- */

void
admission_first_token(struct admission *a, struct admission_request *r, uint64_t now_us)
{
	(void)a, (void)now_us;
	must(r->state == ADMISSION_GRANTED);
}

void
admission_progress(struct admission *a, struct admission_request *r, unsigned tokens, uint64_t now_us)
{
	(void)a, (void)tokens, (void)now_us;
	must(r->state == ADMISSION_GRANTED);
}

/* Sums of cost and of time that decay alike: their quotient is the rate of the last seconds. */
static void
note_rate(struct engine *e, double cost, uint64_t now_us)
{
	double dt_us = e->rate_at_us && now_us > e->rate_at_us ? (double)(now_us - e->rate_at_us) : 0;
	double keep = exp2(-dt_us / RATE_HALF_LIFE_US);

	e->rate_cost = e->rate_cost * keep + cost;
	e->rate_time_s = e->rate_time_s * keep + dt_us * 1e-6;
	e->rate_at_us = now_us;
}

static double
rate_of(const struct engine *e)
{
	return e->rate_time_s > 0.1 ? e->rate_cost / e->rate_time_s : 0;
}

static void
permit_back(struct admission *a, struct admission_request *r, double used, uint64_t now_us)
{
	struct admission_flow *f = r->flow;
	struct engine *e;

	must(f);
	e = &a->engines[f->engine];
	must(r->state == ADMISSION_GRANTED && e->granted > 0 && f->granted > 0);
	r->state = ADMISSION_DONE;
	f->granted--;
	e->granted--;
	a->granted--;
	if (used >= 0)
		charge(a, f, used - r->charged);
	note_rate(e, used >= 0 ? used : r->charged, now_us);
}

void
admission_finish(struct admission *a, struct admission_request *r, double used, uint64_t now_us)
{
	permit_back(a, r, used, now_us);
}

static uint64_t
drain_slot_us(const struct admission *a)
{
	return MAX(a->p.abort_lag_us / DRAIN_SLOTS, 1);
}

void
admission_abort(struct admission *a, struct admission_request *r, double used, uint64_t now_us)
{
	struct engine *e = r->flow ? &a->engines[r->flow->engine] : NULL;

	if (r->state == ADMISSION_QUEUED) {
		dequeue(a, r);
		r->state = ADMISSION_DONE;
		e->aborted++;
	} else if (r->state == ADMISSION_GRANTED) {
		permit_back(a, r, used, now_us);
		e->aborted++;
		if (a->p.abort_lag_us) {
			uint64_t slot = now_us / drain_slot_us(a);

			admission_tick(a, now_us); /* so that the ring begins at this slot */
			e->drain[slot % DRAIN_SLOTS]++;
			e->draining++;
			a->draining++;
		}
	}
}

struct admission_request *
admission_next_expired(struct admission *a, uint64_t now_us)
{
	struct heap_node *n = heap_peek(&a->deadlines);
	struct admission_request *r;

	if (!n)
		return NULL;
	r = container_of(n, struct admission_request, deadline);
	if (r->deadline_us > now_us)
		return NULL;
	dequeue(a, r);
	r->state = ADMISSION_DONE;
	a->engines[r->flow->engine].expired++;
	return r;
}

static void
free_drained(struct admission *a, struct engine *e, uint64_t now_us)
{
	uint64_t now_slot = now_us / drain_slot_us(a);
	uint64_t first = now_slot >= DRAIN_SLOTS ? now_slot - DRAIN_SLOTS + 1 : 0;

	/* Slots before `first` are at least one lag old. */
	if (e->draining && first > e->drain_slot) {
		uint64_t n = MIN(first - e->drain_slot, DRAIN_SLOTS);

		for (uint64_t i = 0; i < n; i++) {
			unsigned *k = &e->drain[(e->drain_slot + i) % DRAIN_SLOTS];

			e->draining -= *k;
			a->draining -= *k;
			*k = 0;
		}
	}
	e->drain_slot = MAX(e->drain_slot, first);
}

void
admission_tick(struct admission *a, uint64_t now_us)
{
	for (unsigned i = 0; i < a->n_engines; i++) {
		struct engine *e = &a->engines[i];
		struct heap_node *n;

		free_drained(a, e, now_us);
		while ((n = heap_peek(&e->held)) != NULL) {
			struct admission_flow *f = container_of(n, struct admission_flow, node);

			if (f->held_until_us > now_us)
				break;
			flow_leave(a, f);
			flow_enter(a, f, false);
		}
	}
}

uint64_t
admission_next_deadline(struct admission *a)
{
	struct heap_node *n = heap_peek(&a->deadlines);
	uint64_t at = n ? container_of(n, struct admission_request, deadline)->deadline_us : UINT64_MAX;

	for (unsigned i = 0; i < a->n_engines; i++) {
		struct engine *e = &a->engines[i];

		n = heap_peek(&e->held);
		if (n)
			at = MIN(at, container_of(n, struct admission_flow, node)->held_until_us);
		if (e->draining) {
			uint64_t slot = e->drain_slot;

			while (!e->drain[slot % DRAIN_SLOTS])
				slot++;
			at = MIN(at, (slot + DRAIN_SLOTS) * drain_slot_us(a));
		}
	}
	return at;
}

void
admission_configure(struct admission *a, const struct admission_params *p, uint64_t now_us)
{
	bool reorder = p->policy != a->p.policy;

	if (p->abort_lag_us != a->p.abort_lag_us) /* slots mean another time now: free what drains */
		admission_tick(a, now_us + a->p.abort_lag_us * 2);
	a->p = *p;
	a->ops = &admission_policies[p->policy];
	for (unsigned i = 0; i < a->n_engines && reorder; i++) {
		struct engine *e = &a->engines[i];

		list_for_each(it, &e->flows)
			flow_leave(a, list_entry(it, struct admission_flow, link));
		e->shares.less = a->ops->share_less;
		list_for_each(it, &e->flows) {
			struct admission_flow *f = list_entry(it, struct admission_flow, link);

			f->own.flows.less = f->share->flows.less = a->ops->flow_less;
			/* Ranks of the waiting are taken as they were: a new order holds for those who come. */
			if (f->requests.len)
				flow_enter(a, f, true);
		}
	}
}

uint64_t
admission_predict_wait(struct admission *a, const struct admission_flow *f, double cost, uint64_t now_us)
{
	const struct engine *e = &a->engines[f->engine];
	double rate = rate_of(e), before = f->queued_cost, share = 1.0, us;

	(void)now_us;
	if (rate <= 0)
		return WAIT_UNKNOWN_US;
	if (a->ops->by_vtime) {
		double others = e->weight_queued - (f->share->queued ? f->share->weight : 0);

		share = f->share->weight / (f->share->weight + others);
	} else {
		before = 0; /* everybody's work stands before it */
		list_for_each(it, &e->flows)
			before += list_entry(it, struct admission_flow, link)->queued_cost;
	}
	us = (before + cost) / (rate * share) * 1e6;
	return (uint64_t)fmin(fmax(us, WAIT_MIN_US), WAIT_MAX_US);
}

const char *
admission_reason_name(enum admission_reason r)
{
	static const char *const names[] = {
		[ADMISSION_OK] = "ok",
		[ADMISSION_QUEUE_REQUESTS] = "queue_requests",
		[ADMISSION_QUEUE_BYTES] = "queue_bytes",
		[ADMISSION_QUEUE_AGE] = "queue_age",
		[ADMISSION_QUEUE_GLOBAL] = "queue_full",
	};

	return names[r];
}

void
admission_engine_stats(const struct admission *a, unsigned engine, struct admission_engine_stats *ret)
{
	const struct engine *e = &a->engines[engine];

	*ret = (struct admission_engine_stats){
		.window = window_of(a, e),
		.granted = e->granted,
		.draining = e->draining,
		.queued = e->queued,
		.admitted = e->admitted,
		.rejected = e->rejected,
		.expired = e->expired,
		.aborted = e->aborted,
		.cost_rate = rate_of(e),
	};
}

unsigned
admission_queued(const struct admission *a)
{
	return a->queued;
}

unsigned
admission_granted(const struct admission *a)
{
	return a->granted;
}
