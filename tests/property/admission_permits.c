/* SPDX-License-Identifier: MIT */
/*
 * A permit is taken once and comes back once, whatever happens to its request and in whatever order.
 *
 * Random requests arrive, are granted, finish, are aborted or expire, while engines come and go, the configuration
 * changes (policy, cap, bounds, windows, lags, weights, organisations), and the gate holds tenants back.  A plain count
 * beside it says what must be true after each step.
 * KW_SEED=N repeats a run.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "admission/admission.h"
#include "base/rng.h"

#define ENGINES 3
#define FLOWS 12     /* four tenants at each engine */
#define REQUESTS 200 /* alive at once */
#define STEPS 20000
#define RUNS 12
#define LAG_US 5000

struct world {
	struct rng rng;
	struct admission *a;
	struct admission_params p;
	struct admission_share organisation[ENGINES];
	struct admission_flow flows[FLOWS];
	struct admission_request r[REQUESTS];
	bool ready[ENGINES];
	bool gate_open;
	bool in_organisation[FLOWS];
	uint64_t now_us;
	/* the plain count */
	unsigned queued[FLOWS], granted[FLOWS];
	uint64_t grants, returns, arrivals, rejections, ends;
};

static bool
gate(void *ctx, struct admission_request *r, uint64_t now_us, uint64_t *retry_us)
{
	struct world *w = ctx;

	if (w->gate_open || r->flow != &w->flows[0])
		return true;
	*retry_us = now_us + 3000;
	return false;
}

static unsigned
flow_of(const struct world *w, const struct admission_request *r)
{
	return (unsigned)(r->flow - w->flows);
}

static bool
is_free(const struct admission_request *r)
{
	return r->state == ADMISSION_NEW || r->state == ADMISSION_DONE;
}

static struct world *
world_create(uint64_t seed)
{
	struct world *w = calloc(1, sizeof(*w));

	assert_non_null(w);
	rng_init(&w->rng, seed);
	w->p = (struct admission_params){
		.policy = (enum admission_policy)rng_below(&w->rng, ADMISSION_POLICIES),
		.max_concurrent = rng_below(&w->rng, 2) ? 9 : 0,
		.queue_requests = rng_below(&w->rng, 2) ? 60 : 0,
		.abort_lag_us = rng_below(&w->rng, 2) ? LAG_US : 0,
	};
	w->gate_open = true;
	w->a = admission_create(&w->p, gate, w);
	for (unsigned e = 0; e < ENGINES; e++) {
		admission_set_window(w->a, e, 4);
		admission_engine_ready(w->a, e, true);
		w->ready[e] = true;
		admission_share_init(&w->organisation[e], 2);
	}
	for (unsigned i = 0; i < FLOWS; i++) {
		struct admission_flow *f = &w->flows[i];

		f->weight = 1 + (double)(i % 3);
		f->priority = (int)(i % 5);
		f->max_requests = 20;
		f->max_bytes = 40000;
		f->max_age_us = i % 4 == 3 ? 0 : 50000;
		w->in_organisation[i] = i % 2;
		admission_flow_init(w->a, f, i % ENGINES, i % 2 ? &w->organisation[i % ENGINES] : NULL);
	}
	return w;
}

static unsigned
taken_of(const struct world *w, unsigned engine)
{
	struct admission_engine_stats s;

	admission_engine_stats(w->a, engine, &s);
	return s.granted + s.draining;
}

static bool
cap_has_room(const struct world *w)
{
	unsigned taken = 0;

	for (unsigned e = 0; e < ENGINES; e++)
		taken += taken_of(w, e);
	return !w->p.max_concurrent || taken < w->p.max_concurrent;
}

/* All grants were taken before, so whoever waits at an engine with room is held. */
static bool
engine_has_room(const struct world *w, unsigned engine)
{
	struct admission_engine_stats s;

	admission_engine_stats(w->a, engine, &s);
	return w->ready[engine] && (!s.window || s.granted + s.draining < s.window) && cap_has_room(w);
}

static void
arrive(struct world *w)
{
	struct admission_request *r = &w->r[rng_below(&w->rng, REQUESTS)];
	uint64_t wait_us = 0;
	bool room;

	if (!is_free(r))
		return;
	memset(r, 0, sizeof(*r));
	r->flow = &w->flows[rng_below(&w->rng, FLOWS)];
	r->bytes = (uint32_t)rng_below(&w->rng, 4000);
	r->max_tokens = (int64_t)rng_below(&w->rng, 500) - 1;
	r->cost = admission_cost(r->bytes, r->max_tokens) + 1;
	room = engine_has_room(w, r->flow->engine) && flow_of(w, r) != 0; /* 0 may be held */
	w->arrivals++;
	if (admission_arrive(w->a, r, w->now_us, &wait_us) == ADMISSION_OK) {
		assert_int_equal(r->state, ADMISSION_QUEUED);
		w->queued[flow_of(w, r)]++;
	} else {
		assert_int_equal(r->state, ADMISSION_DONE);
		assert_false(room); /* who can go at once is not refused */
		w->rejections++;
	}
}

/* With the permit that was just taken. */
static void
check_fits(const struct world *w, unsigned engine)
{
	struct admission_engine_stats s;
	unsigned all = 0;

	admission_engine_stats(w->a, engine, &s);
	assert_true(!s.window || s.granted + s.draining <= s.window);
	for (unsigned e = 0; e < ENGINES; e++)
		all += taken_of(w, e);
	assert_true(!w->p.max_concurrent || all <= w->p.max_concurrent);
}

static void
take_grants(struct world *w)
{
	struct admission_request *r;

	while ((r = admission_next_grant(w->a, w->now_us)) != NULL) {
		unsigned i = flow_of(w, r);

		assert_int_equal(r->state, ADMISSION_GRANTED);
		assert_true(w->ready[r->flow->engine]);
		assert_true(w->queued[i] > 0);
		check_fits(w, r->flow->engine);
		w->queued[i]--;
		w->granted[i]++;
		w->grants++;
	}
}

/* One at random; mostly one that holds a permit, so that permits come back as fast as they are taken. */
static struct admission_request *
some_request(struct world *w, bool granted)
{
	size_t from = rng_below(&w->rng, REQUESTS);

	for (size_t i = 0; granted && i < REQUESTS; i++)
		if (w->r[(from + i) % REQUESTS].state == ADMISSION_GRANTED)
			return &w->r[(from + i) % REQUESTS];
	return &w->r[from];
}

/* Ends a random request in one of the ways it can end; an abort may come in any state, twice too. */
static void
end_one(struct world *w)
{
	struct admission_request *r = some_request(w, rng_below(&w->rng, 3) > 0);
	double used = rng_below(&w->rng, 3) ? (double)rng_below(&w->rng, 2000) : -1;
	enum admission_state was = r->state;

	if (was == ADMISSION_GRANTED && rng_below(&w->rng, 2)) {
		admission_first_token(w->a, r, w->now_us);
		admission_progress(w->a, r, 3, w->now_us);
		admission_finish(w->a, r, used, w->now_us);
	} else if (was != ADMISSION_QUEUED || rng_below(&w->rng, 4) == 0) {
		admission_abort(w->a, r, used, w->now_us);
		admission_abort(w->a, r, used, w->now_us);
	} else {
		return;
	}
	if (was == ADMISSION_GRANTED) {
		w->granted[flow_of(w, r)]--;
		w->returns++;
	} else if (was == ADMISSION_QUEUED) {
		w->queued[flow_of(w, r)]--;
		w->ends++;
	}
	assert_true(is_free(r));
}

static void
let_time_pass(struct world *w)
{
	struct admission_request *r;

	w->now_us += rng_below(&w->rng, 2000);
	admission_tick(w->a, w->now_us);
	while ((r = admission_next_expired(w->a, w->now_us)) != NULL) {
		assert_int_equal(r->state, ADMISSION_DONE);
		assert_true(w->now_us >= r->deadline_us);
		w->queued[flow_of(w, r)]--;
		w->ends++;
	}
}

static void
reconfigure(struct world *w)
{
	w->p.policy = (enum admission_policy)rng_below(&w->rng, ADMISSION_POLICIES);
	w->p.max_concurrent = rng_below(&w->rng, 2) ? 1 + (unsigned)rng_below(&w->rng, 12) : 0;
	w->p.queue_requests = rng_below(&w->rng, 2) ? 1 + (unsigned)rng_below(&w->rng, 80) : 0;
	w->p.no_queue = rng_below(&w->rng, 6) == 0;
	w->p.abort_lag_us = rng_below(&w->rng, 2) ? LAG_US : 0;
	admission_configure(w->a, &w->p, w->now_us);
}

static void
change_a_flow(struct world *w)
{
	unsigned i = (unsigned)rng_below(&w->rng, FLOWS);
	struct admission_flow *f = &w->flows[i];

	w->in_organisation[i] = rng_below(&w->rng, 2);
	f->max_requests = (unsigned)rng_below(&w->rng, 30);
	f->max_age_us = rng_below(&w->rng, 4) ? 50000 : 0;
	admission_flow_update(w->a, f, 0.5 + (double)rng_below(&w->rng, 4),
			      w->in_organisation[i] ? &w->organisation[f->engine] : NULL);
}

static void
change_something(struct world *w)
{
	unsigned e = (unsigned)rng_below(&w->rng, ENGINES);

	switch (rng_below(&w->rng, 8)) {
	case 0:
		w->ready[e] = !w->ready[e];
		admission_engine_ready(w->a, e, w->ready[e]);
		break;
	case 1:
		reconfigure(w);
		break;
	case 2:
		w->gate_open = !w->gate_open;
		break;
	case 3:
		admission_flow_release(w->a, &w->flows[rng_below(&w->rng, FLOWS)]);
		break;
	case 4:
		admission_set_window(w->a, e, (unsigned)rng_below(&w->rng, 8));
		break;
	case 5:
		admission_set_abort_lag(w->a, e, rng_below(&w->rng, 2 * LAG_US));
		break;
	case 6:
		change_a_flow(w);
		break;
	case 7:
		admission_share_set_weight(w->a, e, &w->organisation[e],
					   1 + (double)rng_below(&w->rng, 5));
		break;
	}
}

static void
check_counts(const struct world *w)
{
	unsigned queued = 0, granted = 0;

	for (unsigned e = 0; e < ENGINES; e++) {
		struct admission_engine_stats s;
		unsigned q = 0, g = 0;

		for (unsigned i = e; i < FLOWS; i += ENGINES) {
			assert_int_equal(w->flows[i].queued, w->queued[i]);
			assert_int_equal(w->flows[i].granted, w->granted[i]);
			q += w->queued[i];
			g += w->granted[i];
		}
		admission_engine_stats(w->a, e, &s);
		assert_int_equal(s.queued, q);
		assert_int_equal(s.granted, g);
		queued += q;
		granted += g;
	}
	assert_int_equal(admission_queued(w->a), queued);
	assert_int_equal(admission_granted(w->a), granted);
	assert_int_equal(w->grants - w->returns, granted);
	assert_int_equal(w->arrivals - w->rejections - w->ends - w->grants, queued);
}

/* After the last grant, who still waits does so for a reason: its engine, the cap, or the gate. */
static void
check_nobody_waits_for_nothing(const struct world *w)
{
	for (unsigned i = 1; i < FLOWS; i++)
		if (engine_has_room(w, w->flows[i].engine))
			assert_int_equal(w->queued[i], 0);
}

static void
finish_everything(struct world *w)
{
	for (unsigned i = 0; i < REQUESTS; i++)
		if (!is_free(&w->r[i])) {
			unsigned f = flow_of(w, &w->r[i]);

			if (w->r[i].state == ADMISSION_GRANTED) {
				w->granted[f]--;
				w->returns++;
			} else {
				w->queued[f]--;
				w->ends++;
			}
			admission_abort(w->a, &w->r[i], -1, w->now_us);
		}
	w->now_us += 10 * LAG_US;
	admission_tick(w->a, w->now_us);
	check_counts(w);
	for (unsigned e = 0; e < ENGINES; e++) {
		struct admission_engine_stats s;

		admission_engine_stats(w->a, e, &s);
		assert_int_equal(s.granted + s.draining + s.queued, 0);
	}
	for (unsigned i = 0; i < FLOWS; i++)
		admission_flow_finish(w->a, &w->flows[i]);
}

static void
run_once(uint64_t seed)
{
	struct world *w = world_create(seed);

	for (unsigned step = 0; step < STEPS; step++) {
		uint64_t what = rng_below(&w->rng, 100);

		if (what < 45)
			arrive(w);
		else if (what < 80)
			end_one(w);
		else if (what < 97)
			let_time_pass(w);
		else
			change_something(w);
		take_grants(w);
		check_counts(w);
		check_nobody_waits_for_nothing(w);
	}
	finish_everything(w);
	/* The run saw what it is about. */
	assert_true(w->grants > STEPS / 20 && w->rejections > 0 && w->ends > 0);
	admission_destroy(w->a);
	free(w);
}

static void
a_permit_comes_back_exactly_once(void **state)
{
	const char *fixed = getenv("KW_SEED");
	uint64_t seed = fixed ? strtoull(fixed, NULL, 10) : 1;

	(void)state;
	for (unsigned i = 0; i < (fixed ? 1 : RUNS); i++) {
		printf("KW_SEED=%llu\n", (unsigned long long)(seed + i));
		run_once(seed + i);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_permit_comes_back_exactly_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
