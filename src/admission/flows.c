/* SPDX-License-Identifier: MIT */
/* Flows and the shares that they belong to: who stands where in the order of an engine. */
#include <math.h>

#include "admission/admission_impl.h"

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
	f->share = share ? share : &f->own;
	f->share->flows.less = a->ops->flow_less; /* of an empty share it may be an older policy's */
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
place_share(struct engine *e, struct admission_share *s)
{
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

void
admission_share_set_weight(struct admission *a, unsigned engine, struct admission_share *s, double weight)
{
	must(weight > 0);
	if (s->queued)
		engine_at(a, engine)->weight_queued += weight - s->weight;
	s->weight = weight;
}

void
flow_leave(struct admission *a, struct admission_flow *f)
{
	struct engine *e = &a->engines[f->engine];

	if (f->place == FLOW_ELIGIBLE) {
		heap_remove(&f->share->flows, &f->node);
		f->share->weight_queued = f->share->flows.len ? f->share->weight_queued - f->weight : 0;
		place_share(e, f->share);
		e->eligible -= (unsigned)f->requests.len;
	} else if (f->place == FLOW_HELD) {
		heap_remove(&e->held, &f->node);
	}
	f->place = FLOW_IDLE;
}

void
flow_enter(struct admission *a, struct admission_flow *f)
{
	struct engine *e = &a->engines[f->engine];

	f->vtime = fmax(f->vtime, f->share->vnow);
	if (!f->share->queued)
		f->share->vtime = fmax(f->share->vtime, e->vnow);
	heap_push(&f->share->flows, &f->node);
	f->share->weight_queued += f->weight;
	f->place = FLOW_ELIGIBLE;
	e->eligible += (unsigned)f->requests.len;
	place_share(e, f->share);
}

void
flow_moved(struct admission *a, struct admission_flow *f)
{
	if (f->place == FLOW_ELIGIBLE) {
		heap_update(&f->share->flows, &f->node);
		place_share(&a->engines[f->engine], f->share);
	}
}

void
admission_flow_update(struct admission *a, struct admission_flow *f, double weight,
		      struct admission_share *share)
{
	struct admission_share *to = share ? share : &f->own;
	bool eligible = f->place == FLOW_ELIGIBLE;

	must(weight > 0);
	if (eligible)
		flow_leave(a, f);
	f->weight = f->own.weight = weight;
	to->flows.less = a->ops->flow_less; /* of an empty share it may be an older policy's */
	if (to != f->share) /* virtual times of two shares have nothing to do with each other */
		f->vtime = to->vnow;
	f->share = to;
	if (eligible)
		flow_enter(a, f);
}

void
admission_flow_release(struct admission *a, struct admission_flow *f)
{
	if (f->place != FLOW_HELD)
		return;
	flow_leave(a, f);
	flow_enter(a, f);
}

void
flow_charge(struct admission *a, struct admission_flow *f, double cost)
{
	if (!a->ops->by_vtime)
		return;
	f->vtime += cost / f->weight;
	f->share->vtime += cost / f->share->weight;
	flow_moved(a, f);
	if (f->place != FLOW_ELIGIBLE && f->share->queued)
		place_share(&a->engines[f->engine], f->share);
}
