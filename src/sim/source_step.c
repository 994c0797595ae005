/* SPDX-License-Identifier: MIT */
/*
 * An engine that batches by steps, as vLLM does: a token budget for each step, what runs goes first, prompts are cut into
 * chunks that fill the rest, a waiting request enters when its whole prompt fits the KV cache, and when a block is missing
 * the youngest running request is put back and computed anew.
 */
#include <stdlib.h>
#include "base/list.h"
#include "sim/source.h"
#include "sim/step_time.h"

#define BLOCK_TOK 16

struct step_seq {
	struct list link; /* on running or waiting */
	struct sim_seq *seq;
	uint64_t computed; /* tokens whose KV is in the cache */
	uint64_t blocks;
	unsigned scheduled; /* tokens in the step that runs now */
};

struct step_source {
	struct sim_source base;
	struct sim_step_options o;
	struct list running, waiting; /* waiting: in order of arrival, or by priority first */
	unsigned n_running, n_waiting;
	uint64_t free_blocks, preemptions;
	uint64_t step_ends_us; /* UINT64_MAX: no step runs */
};

static struct step_source *
source_of(const struct sim_source *src)
{
	return container_of((uintptr_t)src, struct step_source, base);
}

static struct step_seq *
entry(struct list *link)
{
	return list_entry(link, struct step_seq, link);
}

/* Tokens that the sequence consists of so far. */
static uint64_t
known_tok(const struct step_seq *q)
{
	return q->seq->prompt->n + q->seq->made;
}

static uint64_t
blocks_for(uint64_t tokens)
{
	return (tokens + BLOCK_TOK - 1) / BLOCK_TOK;
}

static bool
take_blocks(struct step_source *s, struct step_seq *q, uint64_t tokens)
{
	uint64_t need = blocks_for(tokens);

	if (need <= q->blocks)
		return true;
	if (need - q->blocks > s->free_blocks)
		return false;
	s->free_blocks -= need - q->blocks;
	q->blocks = need;
	return true;
}

static void
give_blocks(struct step_source *s, struct step_seq *q)
{
	s->free_blocks += q->blocks;
	q->blocks = 0;
	q->computed = 0;
	q->scheduled = 0;
}

/* Behind those that arrived before; with priorities, behind those that are as urgent or more. */
static void
enqueue(struct step_source *s, struct step_seq *q, bool preempted)
{
	struct list *at = preempted ? s->waiting.next : &s->waiting;

	if (s->o.by_priority && !preempted)
		while (at->prev != &s->waiting && entry(at->prev)->seq->priority > q->seq->priority)
			at = at->prev;
	list_insert_before(at, &q->link);
	s->n_waiting++;
}

/* The request that gives its place up: the least urgent, and of those the youngest. */
static struct step_seq *
choose_victim(struct step_source *s)
{
	struct step_seq *victim = entry(s->running.prev);

	if (!s->o.by_priority)
		return victim;
	for (struct list *it = s->running.prev; it != &s->running; it = it->prev)
		if (entry(it)->seq->priority > victim->seq->priority)
			victim = entry(it);
	return victim;
}

static void
preempt(struct step_source *s, struct step_seq *q)
{
	list_del(&q->link);
	s->n_running--;
	give_blocks(s, q);
	enqueue(s, q, true);
	s->preemptions++;
}

static void
add_to_load(struct step_load *l, const struct step_seq *q)
{
	double n = q->scheduled, computed = (double)q->computed;

	l->tokens += q->scheduled;
	if (q->scheduled == 1 && q->computed + 1 == known_tok(q) && q->seq->made > 0) {
		l->rows++;
		l->context += computed;
		l->context_sq += computed * computed;
	} else {
		l->prefill = true;
		l->pairs += n * (computed + n / 2);
	}
}

/* Running requests first, in their order.  True when one had to be put back. */
static bool
schedule_running(struct step_source *s, unsigned *budget)
{
	bool preempted = false;

	for (struct list *it = s->running.next; it != &s->running && *budget > 0;) {
		struct step_seq *q = entry(it);
		unsigned n = (unsigned)MIN(known_tok(q) - q->computed, (uint64_t)*budget);

		if (!take_blocks(s, q, q->computed + n)) {
			struct step_seq *victim = choose_victim(s);

			preempted = true;
			*budget += victim->scheduled;
			if (victim == q)
				it = it->next;
			preempt(s, victim);
			if (victim == q)
				break;
			continue;
		}
		q->scheduled = n;
		*budget -= n;
		it = it->next;
	}
	return preempted;
}

static void
schedule_waiting(struct step_source *s, unsigned *budget)
{
	struct list *first;

	while (*budget > 0 && s->n_running < s->o.max_seqs && (first = list_first(&s->waiting))) {
		struct step_seq *q = entry(first);

		if (!take_blocks(s, q, known_tok(q)))
			return; /* nobody overtakes the first one */
		list_del(&q->link);
		s->n_waiting--;
		list_push_back(&s->running, &q->link);
		s->n_running++;
		q->scheduled = (unsigned)MIN(known_tok(q), (uint64_t)*budget);
		*budget -= q->scheduled;
	}
}

static void
begin_step(struct step_source *s, uint64_t now_us, bool was_idle)
{
	struct step_load load = { .was_idle = was_idle };
	unsigned budget = s->o.budget_tok;

	s->step_ends_us = UINT64_MAX;
	list_for_each(it, &s->running) {
		entry(it)->scheduled = 0;
	}
	if (!schedule_running(s, &budget))
		schedule_waiting(s, &budget);
	list_for_each(it, &s->running) {
		if (entry(it)->scheduled > 0)
			add_to_load(&load, entry(it));
	}
	if (load.tokens > 0)
		s->step_ends_us = now_us + (uint64_t)(step_time_ms(s->o.preset, &load) * 1000);
}

static void
forget(struct step_source *s, struct step_seq *q)
{
	give_blocks(s, q);
	list_del(&q->link);
	q->seq->impl = NULL;
	free(q);
}

static void
end_step(struct step_source *s, sim_tokens_fn fn, void *ctx)
{
	list_for_each_safe(it, &s->running) {
		struct step_seq *q = entry(it);
		struct sim_seq *seq = q->seq;
		bool finished;

		q->computed += q->scheduled;
		if (q->scheduled == 0 || q->computed < known_tok(q))
			continue;
		finished = ++seq->made == seq->out_tok;
		if (finished) {
			s->n_running--;
			forget(s, q);
		}
		fn(ctx, seq, 1, finished);
	}
}

/* the interface ---------------------------------------------------------------------------------------------------------- */
static void
start(struct sim_source *src, struct sim_seq *seq, uint64_t now_us)
{
	struct step_source *s = source_of(src);
	struct step_seq *q = must_calloc(1, sizeof(*q));

	q->seq = seq;
	seq->made = 0;
	seq->impl = q;
	list_init(&q->link);
	enqueue(s, q, false);
	if (s->step_ends_us == UINT64_MAX)
		begin_step(s, now_us, true);
}

static void
give_up(struct sim_source *src, struct sim_seq *seq, uint64_t now_us)
{
	struct step_source *s = source_of(src);
	struct step_seq *q = seq->impl;
	bool ran = q->blocks > 0;

	(void)now_us;
	if (ran)
		s->n_running--;
	else
		s->n_waiting--;
	forget(s, q); /* the step that runs takes its time all the same */
}

static uint64_t
next_us(const struct sim_source *src)
{
	return source_of(src)->step_ends_us;
}

static void
advance(struct sim_source *src, uint64_t now_us, sim_tokens_fn fn, void *ctx)
{
	struct step_source *s = source_of(src);

	while (s->step_ends_us <= now_us) {
		uint64_t at = s->step_ends_us;

		end_step(s, fn, ctx);
		begin_step(s, at, false);
	}
}

static void
stats(const struct sim_source *src, struct sim_face_stats *ret)
{
	const struct step_source *s = source_of(src);

	ret->running = s->n_running;
	ret->waiting = s->n_waiting;
	ret->preemptions = s->preemptions;
	ret->kv_tokens = (uint64_t)s->o.kv_blocks * BLOCK_TOK;
	ret->kv_usage = 1 - (double)s->free_blocks / s->o.kv_blocks;
}

static void
destroy(struct sim_source *src)
{
	struct step_source *s = source_of(src);
	struct list *it;

	while ((it = list_first(&s->running)) || (it = list_first(&s->waiting)))
		forget(s, entry(it));
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

	s->base.ops = &ops;
	s->o = *o;
	s->o.budget_tok = o->budget_tok ? o->budget_tok : o->preset->budget_tok;
	s->o.max_seqs = o->max_seqs ? o->max_seqs : o->preset->max_seqs;
	s->o.kv_blocks = o->kv_blocks ? o->kv_blocks : o->preset->kv_blocks;
	s->free_blocks = s->o.kv_blocks;
	s->step_ends_us = UINT64_MAX;
	list_init(&s->running);
	list_init(&s->waiting);
	return &s->base;
}

uint64_t
sim_source_step_max_tok(const struct sim_step_options *o)
{
	return (uint64_t)(o->kv_blocks ? o->kv_blocks : o->preset->kv_blocks) * BLOCK_TOK;
}
