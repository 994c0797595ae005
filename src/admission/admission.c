/* SPDX-License-Identifier: MIT */
#include "admission/admission.h"

#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "admission/admission_impl.h"

#define RATE_HALF_LIFE_US 10e6 /* memory of the service rate */

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

static uint64_t
lag_of(const struct admission *a, const struct engine *e)
{
	return e->has_lag ? e->lag_us : a->p.abort_lag_us;
}

static uint64_t
drain_slot_us(const struct admission *a, const struct engine *e)
{
	return MAX((lag_of(a, e) + DRAIN_PARTS - 1) / DRAIN_PARTS, 1);
}

/* Slots mean another time now, so what drains is freed. */
static void
restart_drain(struct admission *a, struct engine *e)
{
	a->draining -= e->draining;
	e->draining = 0;
	e->drain_slot = 0;
	memset(e->drain, 0, sizeof(e->drain));
}

void
admission_set_window(struct admission *a, unsigned engine, unsigned window)
{
	engine_at(a, engine)->window_set = window;
}

void
admission_set_abort_lag(struct admission *a, unsigned engine, uint64_t lag_us)
{
	struct engine *e = engine_at(a, engine);

	if (lag_us != lag_of(a, e))
		restart_drain(a, e);
	e->has_lag = true;
	e->lag_us = lag_us;
}

void
admission_engine_ready(struct admission *a, unsigned engine, bool ready)
{
	engine_at(a, engine)->ready = ready;
}

/* the queue -------------------------------------------------------------------------------------------------- */

static void
enqueue(struct admission *a, struct admission_request *r)
{
	struct admission_flow *f = r->flow;
	bool wakes = f->requests.len == 0;

	r->rank = a->ops->rank(f, r);
	heap_push(&f->requests, &r->node);
	if (wakes) {
		flow_enter(a, f);
	} else if (f->place == FLOW_ELIGIBLE) {
		a->engines[f->engine].eligible++;
		flow_moved(a, f);
	}
}

static void
dequeue(struct admission *a, struct admission_request *r)
{
	struct admission_flow *f = r->flow;
	struct engine *e;

	must(f);
	e = &a->engines[f->engine];
	heap_remove(&a->deadlines, &r->deadline);
	if (f->requests.len == 1)
		flow_leave(a, f);
	else if (f->place == FLOW_ELIGIBLE)
		a->engines[f->engine].eligible--;
	heap_remove(&f->requests, &r->node);
	flow_moved(a, f);
	f->queued--;
	f->queued_bytes -= r->bytes;
	f->queued_cost = f->queued ? f->queued_cost - r->cost : 0; /* no rounding left behind */
	e->queued--;
	e->queued_cost = e->queued ? e->queued_cost - r->cost : 0;
	a->queued--;
}

static bool
has_room(const struct admission *a, const struct engine *e)
{
	unsigned window = window_of(a, e);

	return e->ready && (!window || e->granted + e->draining < window) &&
	       (!a->p.max_concurrent || a->granted + a->draining < a->p.max_concurrent);
}

/* How many more requests that engine would take now; UINT_MAX: as many as come. */
static unsigned
room_of(const struct admission *a, const struct engine *e)
{
	unsigned window = window_of(a, e), taken = e->granted + e->draining;

	if (!e->ready)
		return 0;
	return !window ? UINT_MAX : window > taken ? window - taken : 0;
}

/* Must a newcomer wait?  Not when there is room beyond those that are about to go; held flows are not. */
static bool
must_wait(const struct admission *a, const struct admission_request *r)
{
	const struct engine *e = &a->engines[r->flow->engine];
	unsigned taken = a->granted + a->draining, going = 0;

	if (r->must_wait || r->flow->place == FLOW_HELD || e->eligible >= room_of(a, e))
		return true;
	if (!a->p.max_concurrent)
		return false;
	for (unsigned i = 0; i < a->n_engines; i++)
		going += MIN(a->engines[i].eligible, room_of(a, &a->engines[i]));
	return taken + going >= a->p.max_concurrent;
}

enum admission_reason
admission_arrive(struct admission *a, struct admission_request *r, uint64_t now_us, uint64_t *ret_wait_us)
{
	struct admission_flow *f = r->flow;
	struct engine *e = &a->engines[f->engine];
	enum admission_reason why = ADMISSION_OK;
	bool waits = must_wait(a, r);

	must(r->state == ADMISSION_NEW && r->cost > 0);
	if (waits && (a->p.no_queue || (a->p.queue_requests && a->queued >= a->p.queue_requests)))
		why = ADMISSION_QUEUE_GLOBAL;
	else if (waits && f->max_age_us == 0)
		why = ADMISSION_QUEUE_AGE;
	else if (waits && f->queued >= f->max_requests)
		why = ADMISSION_QUEUE_REQUESTS;
	else if (waits && f->queued && f->queued_bytes + r->bytes > f->max_bytes)
		why = ADMISSION_QUEUE_BYTES;
	if (why != ADMISSION_OK) {
		r->state = ADMISSION_DONE;
		e->rejected++;
		*ret_wait_us = admission_predict_wait(a, f, r->cost, now_us);
		return why;
	}
	r->state = ADMISSION_QUEUED;
	r->arrived_us = now_us;
	r->deadline_us = now_us + MIN(MAX(f->max_age_us, 1), UINT64_MAX - now_us);
	r->seq = a->seq++;
	enqueue(a, r);
	heap_push(&a->deadlines, &r->deadline);
	f->queued++;
	f->queued_bytes += r->bytes;
	f->queued_cost += r->cost;
	e->queued++;
	e->queued_cost += r->cost;
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
			s->vnow = fmax(s->vnow, f->vtime);
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
		if (e->granted++ == 0)
			e->rate_at_us = now_us; /* it had nothing to do: no measure of its speed */
		e->admitted++;
		a->granted++;
		r->charged = r->cost;
		flow_charge(a, r->flow, r->cost);
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
	double dt_us = now_us > e->rate_at_us ? (double)(now_us - e->rate_at_us) : 0;
	double keep = exp2(-dt_us / RATE_HALF_LIFE_US);

	e->rate_cost = e->rate_cost * keep + cost;
	e->rate_time_s = e->rate_time_s * keep + dt_us * 1e-6;
	e->rate_at_us = now_us;
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
		flow_charge(a, f, used - r->charged);
	note_rate(e, used >= 0 ? used : r->charged, now_us);
}

void
admission_finish(struct admission *a, struct admission_request *r, double used, uint64_t now_us)
{
	permit_back(a, r, used, now_us);
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
		if (lag_of(a, e)) {
			uint64_t slot = now_us / drain_slot_us(a, e);

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
	uint64_t now_slot = now_us / drain_slot_us(a, e);
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
			flow_enter(a, f);
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
			at = MIN(at, (slot + DRAIN_SLOTS) * drain_slot_us(a, e));
		}
	}
	return at;
}

static bool
older(const struct heap_node *a, const struct heap_node *b)
{
	return container_of((uintptr_t)a, const struct admission_request, node)->seq <
	       container_of((uintptr_t)b, const struct admission_request, node)->seq;
}

/* Ranks a flow's requests as if they arrived now, in the order in which they did. */
static void
rank_anew(struct admission *a, struct admission_flow *f)
{
	struct heap by_age;
	struct heap_node *n;
	unsigned queued = f->queued;

	heap_init(&by_age, older);
	while ((n = heap_pop(&f->requests)) != NULL)
		heap_push(&by_age, n);
	f->queued = 0;
	while ((n = heap_pop(&by_age)) != NULL) {
		struct admission_request *r = container_of(n, struct admission_request, node);

		r->rank = a->ops->rank(f, r);
		heap_push(&f->requests, n);
		f->queued++;
	}
	must(f->queued == queued);
}

static void
reorder(struct admission *a, struct engine *e)
{
	list_for_each(it, &e->flows)
		flow_leave(a, list_entry(it, struct admission_flow, link));
	e->shares.less = a->ops->share_less;
	list_for_each(it, &e->flows) {
		struct admission_flow *f = list_entry(it, struct admission_flow, link);

		f->own.flows.less = f->share->flows.less = a->ops->flow_less;
		rank_anew(a, f);
		if (f->requests.len)
			flow_enter(a, f);
	}
}

void
admission_configure(struct admission *a, const struct admission_params *p, uint64_t now_us)
{
	bool policy_changes = p->policy != a->p.policy;
	bool lag_changes = p->abort_lag_us != a->p.abort_lag_us;

	(void)now_us;
	a->p = *p;
	a->ops = &admission_policies[p->policy];
	for (unsigned i = 0; i < ADMISSION_ENGINES_MAX; i++) {
		if (lag_changes && !a->engines[i].has_lag)
			restart_drain(a, &a->engines[i]);
		if (policy_changes)
			reorder(a, &a->engines[i]);
	}
}
