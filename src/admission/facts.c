/* SPDX-License-Identifier: MIT */
/* What admission tells: predicted waits and numbers for the status. */
#include <math.h>

#include "admission/admission_impl.h"

#define WAIT_UNKNOWN_US 1000000u /* predicted while no rate is known */
#define WAIT_MIN_US 50000u
#define WAIT_MAX_US 600000000u

static double
rate_of(const struct engine *e)
{
	return e->rate_time_s > 0.1 ? e->rate_cost / e->rate_time_s : 0;
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
		const struct admission_share *s = f->share;
		double shares = e->weight_queued + (s->queued ? 0 : s->weight);
		double flows = s->weight_queued + (f->place == FLOW_ELIGIBLE ? 0 : f->weight);

		share = s->weight / shares * f->weight / flows;
	} else {
		before = e->queued_cost; /* everybody's work stands before it */
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
