/* SPDX-License-Identifier: MIT */
/*
 * The host's CPU around an engine: a source that stands before another one.
 *
 * One API server does one job after the other: each request costs it time on the way in, each output chunk on the way out.  While
 * the chunk of a sequence waits for its turn there, further tokens of that sequence join it: they come out together.  Behind the API
 * server a request is on its way for a while, and longer when it has to wake the engine.
 */
#include <math.h>
#include <stdlib.h>
#include "base/rng.h"
#include "sim/host_cpu.h"
#include "sim/source.h"

#define JOBS_MIN 64 /* a power of two */
#define NO_JOB UINT64_MAX

/* A sequence on both sides. */
struct guest {
	struct sim_seq inner; /* its node is in `inbound` until the engine has it; due_us: when that is */
	struct sim_seq *outer;
	uint64_t order;
	uint64_t job; /* number of its last chunk */
	bool in_engine, made_all;
};

/* An output chunk at the API server. */
struct job {
	struct guest *guest; /* NULL: aborted, the time is spent all the same */
	double starts_us, ends_us;
	unsigned n; /* tokens in it */
	bool last;  /* of the sequence */
};

struct host_source {
	struct sim_source base;
	const struct host_cpu *host;
	struct sim_source *engine;
	struct rng rng;
	struct heap inbound;
	double free_us; /* when the API server has done all that waits for it */
	/* jobs that are not done, oldest first: numbers first_job to end_job - 1, at their number modulo cap */
	struct job *jobs;
	uint64_t first_job, end_job, cap;
	uint64_t order, now_us;
};

static struct host_source *
source_of(const struct sim_source *src)
{
	return container_of((uintptr_t)src, struct host_source, base);
}

static struct guest *
guest_at(const struct heap_node *n)
{
	return container_of((uintptr_t)n, struct guest, inner.node);
}

static bool
sooner(const struct heap_node *a, const struct heap_node *b)
{
	const struct guest *x = guest_at(a), *y = guest_at(b);

	return x->inner.due_us != y->inner.due_us ? x->inner.due_us < y->inner.due_us
						  : x->order < y->order;
}

static struct job *
job_at(const struct host_source *s, uint64_t number)
{
	return &s->jobs[number & (s->cap - 1)];
}

static double
work(struct host_source *s, uint64_t now_us, double cost_ms)
{
	s->free_us = fmax(s->free_us, (double)now_us) + cost_ms * 1000;
	return s->free_us;
}

static void
grow(struct host_source *s)
{
	struct job *more = must_calloc(s->cap * 2, sizeof(*more));

	for (uint64_t i = s->first_job; i < s->end_job; i++)
		more[i & (s->cap * 2 - 1)] = *job_at(s, i);
	free(s->jobs);
	s->jobs = more;
	s->cap *= 2;
}

static void
start(struct sim_source *src, struct sim_seq *seq, uint64_t now_us)
{
	struct host_source *s = source_of(src);
	struct guest *g = must_calloc(1, sizeof(*g));
	double through_us = work(s, now_us, s->host->request_ms);
	double in_ms = fmax(0, s->host->in_ms + s->host->in_sd_ms * rng_normal(&s->rng));

	if (s->engine->ops->next_us(s->engine) == UINT64_MAX)
		in_ms += rng_exp(&s->rng, s->host->wake_ms);
	seq->made = 0;
	seq->impl = g;
	*g = (struct guest){
		.inner = { .prompt = seq->prompt,
			   .out_tok = seq->out_tok,
			   .priority = seq->priority,
			   .due_us = (uint64_t)(through_us + in_ms * 1000) },
		.outer = seq,
		.order = s->order++,
		.job = NO_JOB,
	};
	heap_push(&s->inbound, &g->inner.node);
}

static void
give_up(struct sim_source *src, struct sim_seq *seq, uint64_t now_us)
{
	struct host_source *s = source_of(src);
	struct guest *g = seq->impl;

	if (!g->in_engine)
		heap_remove(&s->inbound, &g->inner.node);
	else if (!g->made_all)
		s->engine->ops->abort(s->engine, &g->inner, now_us);
	for (uint64_t i = s->first_job; i < s->end_job; i++)
		if (job_at(s, i)->guest == g)
			job_at(s, i)->guest = NULL;
	seq->impl = NULL;
	free(g);
}

/* A token leaves the engine: it joins the chunk that waits, or makes one. */
static void
on_made(void *ctx, struct sim_seq *inner, unsigned n, bool finished)
{
	struct host_source *s = ctx;
	struct guest *g = container_of(inner, struct guest, inner);
	bool waits = g->job != NO_JOB && g->job >= s->first_job &&
		     job_at(s, g->job)->starts_us > (double)s->now_us;
	struct job *j;

	g->made_all = finished;
	if (!waits) {
		if (s->end_job - s->first_job == s->cap)
			grow(s);
		g->job = s->end_job++;
		j = job_at(s, g->job);
		*j = (struct job){ .guest = g, .starts_us = fmax(s->free_us, (double)s->now_us) };
		j->ends_us = work(s, s->now_us, s->host->chunk_ms);
	}
	j = job_at(s, g->job);
	j->n += n;
	j->last = finished;
}

static void
deliver(struct host_source *s, sim_tokens_fn fn, void *ctx)
{
	struct job j = *job_at(s, s->first_job++);
	struct sim_seq *outer;

	if (!j.guest)
		return;
	outer = j.guest->outer;
	outer->made += j.n;
	outer->cached_tok = j.guest->inner.cached_tok;
	outer->entered_us = j.guest->inner.entered_us;
	if (j.last) {
		free(j.guest);
		outer->impl = NULL;
	}
	fn(ctx, outer, j.n, j.last);
}

static uint64_t
delivery_us(const struct host_source *s)
{
	return s->first_job < s->end_job ? (uint64_t)ceil(job_at(s, s->first_job)->ends_us) : UINT64_MAX;
}

static uint64_t
inbound_us(const struct host_source *s)
{
	struct heap_node *first = heap_peek(&s->inbound);

	return first ? guest_at(first)->inner.due_us : UINT64_MAX;
}

static uint64_t
next_us(const struct sim_source *src)
{
	const struct host_source *s = source_of(src);
	uint64_t next = s->engine->ops->next_us(s->engine);

	return MIN(next, MIN(delivery_us(s), inbound_us(s)));
}

static void
advance(struct sim_source *src, uint64_t now_us, sim_tokens_fn fn, void *ctx)
{
	struct host_source *s = source_of(src);
	uint64_t at;

	while ((at = next_us(src)) <= now_us && at != UINT64_MAX) {
		s->now_us = at;
		if (s->engine->ops->next_us(s->engine) == at) {
			s->engine->ops->advance(s->engine, at, on_made, s);
		} else if (inbound_us(s) == at) {
			struct guest *g = guest_at(heap_pop(&s->inbound));

			g->in_engine = true;
			s->engine->ops->start(s->engine, &g->inner, at);
		} else {
			deliver(s, fn, ctx);
		}
	}
}

static void
stats(const struct sim_source *src, struct sim_face_stats *ret)
{
	const struct host_source *s = source_of(src);

	s->engine->ops->stats(s->engine, ret);
}

static void
destroy(struct sim_source *src)
{
	struct host_source *s = source_of(src);
	struct heap_node *n;

	while ((n = heap_pop(&s->inbound)))
		free(guest_at(n));
	s->engine->ops->destroy(s->engine);
	free(s->jobs);
	free(s);
}

struct sim_source *
sim_source_host(const struct host_cpu *host, struct sim_source *engine, uint64_t seed)
{
	static const struct sim_source_ops ops = {
		.start = start,
		.abort = give_up,
		.next_us = next_us,
		.advance = advance,
		.stats = stats,
		.destroy = destroy,
	};
	struct host_source *s = must_calloc(1, sizeof(*s));

	s->base.ops = &ops;
	s->host = host;
	s->engine = engine;
	s->cap = JOBS_MIN;
	s->jobs = must_calloc(s->cap, sizeof(*s->jobs));
	rng_init(&s->rng, seed);
	heap_init(&s->inbound, sooner);
	return &s->base;
}
