/* SPDX-License-Identifier: MIT */
/*
 * The engine that batches by steps: vLLM's scheduler (step_sched) with a preset's step times.
 *
 * Scheduling is asynchronous, as vLLM's is by default: while one step runs the next is planned already, so that a request that comes
 * into a busy engine waits for one step and a part of another.
 */
#include <stdlib.h>
#include "sim/source.h"
#include "sim/step_sched.h"
#include "sim/step_time.h"

#define BLOCK_TOK 16

struct step_source {
	struct sim_source base;
	const struct step_preset *preset;
	struct sched sched;
	uint64_t ends_us[SCHED_BATCHES]; /* of the steps in flight, oldest first */
	uint64_t steps, step_rows;
	uint64_t prompts; /* started so far: one without token ids is like no other */
	sim_tokens_fn fn; /* of the advance() that runs */
	void *ctx;
};

static struct step_source *
source_of(const struct sim_source *src)
{
	return container_of((uintptr_t)src, struct step_source, base);
}

static void
add_to_load(struct step_load *l, const struct sched_entry *e)
{
	double n = e->tok, computed = e->computed;

	l->tokens += e->tok;
	if (e->samples && e->tok == 1 && e->computed >= e->q->prompt_tok) {
		l->rows++;
		l->context += computed;
		l->context_sq += computed * computed;
	} else {
		l->prefill = true;
		l->pairs += n * (computed + n / 2);
	}
}

static uint64_t
step_us(struct step_source *s, const struct sched_batch *b, uint64_t starts_us, bool was_idle)
{
	struct step_load load = { .was_idle = was_idle };

	s->steps++;
	s->step_rows += b->n;

	for (uint32_t i = 0; i < b->n; i++) {
		struct sim_seq *seq = b->entries[i].q->owner;

		add_to_load(&load, &b->entries[i]);
		if (b->entries[i].entered && b->entries[i].q->preemptions == 0) {
			seq->cached_tok = b->entries[i].computed;
			seq->entered_us = starts_us;
		}
	}
	return (uint64_t)(step_time_ms(s->preset, &load) * 1000);
}

/* Plans as many steps as may be in flight; one with nothing in it, after the last request, ends at once. */
static void
plan(struct step_source *s, uint64_t now_us, bool was_idle)
{
	while (s->sched.n_batches < SCHED_BATCHES && sched_has_work(&s->sched)) {
		unsigned i = s->sched.n_batches;
		uint64_t starts_us = i > 0 ? s->ends_us[i - 1] : now_us;
		const struct sched_batch *b = sched_schedule(&s->sched);

		s->ends_us[i] =
			starts_us + (b->n > 0 ? step_us(s, b, starts_us, i == 0 && was_idle) : 0);
		if (b->n == 0)
			return; /* nothing to do before the oldest is over */
	}
}

static void
give_token(void *ctx, struct sched_request *q, bool finished)
{
	struct step_source *s = ctx;
	struct sim_seq *seq = q->owner;

	seq->made++;
	if (finished)
		seq->impl = NULL;
	s->fn(s->ctx, seq, 1, finished);
}

/* the interface ---------------------------------------------------------------------------------------------------------- */
static void
start(struct sim_source *src, struct sim_seq *seq, uint64_t now_us)
{
	struct step_source *s = source_of(src);
	struct sched_segment prompt = {
		.tokens = seq->prompt->n > 0 ? seq->prompt->tokens : NULL,
		.seed = s->prompts++,
		.n = MAX(seq->prompt->n, 1u), /* an empty prompt still has its beginning-of-text token */
	};

	seq->made = 0;
	seq->impl = sched_add(&s->sched, &prompt, 1, (uint32_t)seq->out_tok, seq->priority, seq);
	if (s->sched.n_batches == 0)
		plan(s, now_us, true);
}

static void
give_up(struct sim_source *src, struct sim_seq *seq, uint64_t now_us)
{
	(void)now_us; /* the steps in flight take their time all the same */
	sched_abort(&source_of(src)->sched, seq->impl);
	seq->impl = NULL;
}

static uint64_t
next_us(const struct sim_source *src)
{
	const struct step_source *s = source_of(src);

	return s->sched.n_batches > 0 ? s->ends_us[0] : UINT64_MAX;
}

static void
advance(struct sim_source *src, uint64_t now_us, sim_tokens_fn fn, void *ctx)
{
	struct step_source *s = source_of(src);

	s->fn = fn;
	s->ctx = ctx;
	while (s->sched.n_batches > 0 && s->ends_us[0] <= now_us) {
		uint64_t at = s->ends_us[0];

		sched_update(&s->sched, give_token, s);
		s->ends_us[0] = s->ends_us[1];
		plan(s, at, false);
	}
}

static void
stats(const struct sim_source *src, struct sim_face_stats *ret)
{
	const struct step_source *s = source_of(src);
	uint32_t blocks = s->sched.kv.n - 1;

	ret->running = s->sched.n_running;
	ret->waiting = s->sched.n_waiting;
	ret->preemptions = s->sched.counters.preemptions;
	ret->steps = s->steps;
	ret->step_rows = s->step_rows;
	ret->kv_tokens = (uint64_t)blocks * BLOCK_TOK;
	ret->kv_usage = 1 - (double)s->sched.kv.n_free / blocks;
}

static void
destroy(struct sim_source *src)
{
	struct step_source *s = source_of(src);

	sched_finish(&s->sched);
	free(s);
}

struct sim_source *
sim_source_step(const struct sim_step_options *o)
{
	static const struct sim_source_ops ops = {
		.start = start,
		.abort = give_up,
		.next_us = next_us,
		.advance = advance,
		.stats = stats,
		.destroy = destroy,
	};
	struct step_source *s = must_calloc(1, sizeof(*s));
	struct sched_params p = {
		.budget_tok = o->budget_tok ? o->budget_tok : o->preset->budget_tok,
		.max_seqs = o->max_seqs ? o->max_seqs : o->preset->max_seqs,
		.block_tok = BLOCK_TOK,
		.blocks = (o->kv_blocks ? o->kv_blocks : o->preset->kv_blocks) + 1,
		.max_model_len = (uint32_t)MIN(sim_source_step_max_tok(o), (uint64_t)INT32_MAX) + 1,
		.prefix_caching = true,
		.by_priority = o->by_priority,
		.async = true,
	};

	p.budget_tok = MAX(p.budget_tok, p.max_seqs);
	s->base.ops = &ops;
	s->preset = o->preset;
	sched_init(&s->sched, &p);
	return &s->base;
}

uint64_t
sim_source_step_max_tok(const struct sim_step_options *o)
{
	return (uint64_t)(o->kv_blocks ? o->kv_blocks : o->preset->kv_blocks) * BLOCK_TOK;
}
