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
