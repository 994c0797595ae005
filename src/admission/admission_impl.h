/* SPDX-License-Identifier: MIT */
/* admission_impl - what the files of src/admission share.  Not for anybody else. */
#pragma once
#include "admission/admission.h"
#include "admission/policy.h"

#define DRAIN_PARTS 16 /* an abort's permit comes back after lag to lag * (1 + 1/16) */
#define DRAIN_SLOTS (DRAIN_PARTS + 1)

struct engine {
	bool ready;
	unsigned window_set, granted, queued;
	unsigned eligible;  /* of the queued: those whose flow is not held */
	struct heap shares; /* with an eligible flow */
	struct heap held;   /* flows that the gate turned away, by held_until_us */
	struct list flows;
	double vnow;	      /* virtual time of the share served last */
	double weight_queued; /* sum of weights of shares in the heap */
	/* permits of aborted requests, by the time when they come free */
	bool has_lag;
	uint64_t lag_us;
	unsigned draining, drain[DRAIN_SLOTS];
	uint64_t drain_slot; /* number of the oldest slot not yet freed */
	double queued_cost;
	/* cost finished per second in which there was work: sums that decay */
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

static inline unsigned
window_of(const struct admission *a, const struct engine *e)
{
	return e->window_set ? e->window_set : a->ops->window_auto;
}

static inline struct engine *
engine_at(struct admission *a, unsigned i)
{
	must(i < ADMISSION_ENGINES_MAX);
	a->n_engines = MAX(a->n_engines, i + 1);
	return &a->engines[i];
}

/* flows.c: a flow with requests is ELIGIBLE, in its share's heap, or HELD by the gate; one without is IDLE. */
void flow_leave(struct admission *a, struct admission_flow *f);
/* A flow with requests becomes eligible.  It is lifted to where the others are: neither idling nor being held back earns
 * anything.  Nobody who waits stands below the virtual time, so it does not lose its place by that either. */
void flow_enter(struct admission *a, struct admission_flow *f);
/* The head or the service of an eligible flow has changed. */
void flow_moved(struct admission *a, struct admission_flow *f);
/* Service received; negative when an estimate was too high. */
void flow_charge(struct admission *a, struct admission_flow *f, double cost);
