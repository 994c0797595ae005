/* SPDX-License-Identifier: MIT */
/* Planning a step and completing it. */
#include <string.h>
#include "sim/step_sched_impl.h"

/* What is left of the step that is being planned. */
struct plan {
	struct sched_batch *batch;
	uint32_t budget_tok;
	uint32_t longest_tok; /* chunk of a prompt; UINT32_MAX: no limit */
};

static void
plan_entry(struct plan *p, struct sched_request *q, uint32_t tok, bool entered)
{
	p->batch->entries[p->batch->n++] = (struct sched_entry){
		.q = q,
		.tok = tok,
		.computed = q->computed_tok,
		.entered = entered,
	};
	p->budget_tok -= tok;
}

/* A victim may have been planned already in this step; its tokens go back into the budget. */
static void
unplan(struct plan *p, const struct sched_request *q)
{
	struct sched_batch *b = p->batch;

	for (uint32_t i = 0; i < b->n; i++) {
		if (b->entries[i].q != q)
			continue;
		p->budget_tok += b->entries[i].tok;
		b->n--;
		memmove(&b->entries[i], &b->entries[i + 1], (b->n - i) * sizeof(b->entries[0]));
		return;
	}
}

/* All tokens that it may make are planned: another step could only be thrown away. */
static bool
is_planned_out(const struct sched_request *q)
{
	return q->placeholders > 0 && q->computed_tok + 2 - q->placeholders >= q->prompt_tok + q->max_tok;
}

static uint32_t
running_want(const struct sched *s, const struct plan *p, const struct sched_request *q)
{
	uint32_t want = sched_known_tok(q) + q->placeholders - q->computed_tok;
	uint32_t room =
		q->computed_tok + 1 < s->p.max_model_len ? s->p.max_model_len - q->computed_tok - 1 : 0;

	if (is_planned_out(q))
		return 0;
	want = MIN(want, p->longest_tok);
	want = MIN(want, p->budget_tok);
	return MIN(want, room);
}

/* The last to arrive of the least urgent, or simply the last in the list. */
static uint32_t
choose_victim(const struct sched *s)
{
	uint32_t victim = s->n_running - 1;

	if (!s->p.by_priority)
		return victim;
	for (uint32_t i = 0; i < s->n_running; i++) {
		const struct sched_request *a = s->running[i], *b = s->running[victim];

		if (a->priority > b->priority || (a->priority == b->priority && a->seq > b->seq))
			victim = i;
	}
	return victim;
}

static void
preempt(struct sched *s, struct plan *p, uint32_t index)
{
	struct sched_request *q = s->running[index];

	s->n_running--;
	memmove(&s->running[index], &s->running[index + 1],
		(s->n_running - index) * sizeof(struct sched_request *));
	unplan(p, q);
	sched_kv_release(s, q);
	q->state = SCHED_PREEMPTED;
	q->computed_tok = 0;
	q->placeholders = 0;
	q->stale_tok = q->in_flight_tok; /* still delivered, but counted no more */
	q->preemptions++;
	s->counters.preemptions++;
	s->preempted[s->n_preempted++] = q;
	sched_wait(s, q, true);
}

static void
plan_running(struct sched *s, struct plan *p)
{
	uint32_t i = 0;

	while (i < s->n_running && p->budget_tok > 0) {
		struct sched_request *q = s->running[i];
		uint32_t tok = running_want(s, p, q);

		while (tok > 0 && !sched_kv_extend(s, q, tok)) {
			uint32_t victim = choose_victim(s);

			preempt(s, p, victim);
			if (victim == i)
				return; /* there was nobody left to take from */
			if (victim < i)
				i--;
		}
		if (tok > 0)
			plan_entry(p, q, tok, false);
		i++;
	}
}

/* False when it must go on waiting, and all behind it. */
static bool
enter(struct sched *s, struct plan *p, struct sched_request *q)
{
	uint32_t hits = sched_kv_lookup(s, q), cached_tok = hits * s->p.block_tok;
	uint32_t tok = MIN(sched_known_tok(q) - cached_tok, p->longest_tok);

	tok = MIN(tok, p->budget_tok);
	if (!sched_kv_enter(s, q, hits, tok))
		return false;
	sched_unwait(s, q);
	q->state = SCHED_RUNNING;
	q->computed_tok = cached_tok;
	s->running[s->n_running++] = q;
	s->counters.cache_queries_tok += s->p.prefix_caching ? sched_known_tok(q) : 0;
	s->counters.cache_hits_tok += cached_tok;
	plan_entry(p, q, tok, true);
	return true;
}

static bool
has_room(const struct sched *s, const struct plan *p)
{
	return p->budget_tok > 0 && s->n_running < s->p.max_seqs;
}

static void
plan_fifo(struct sched *s, struct plan *p)
{
	for (struct list *it = s->fifo.next, *next; it != &s->fifo && has_room(s, p); it = next) {
		struct sched_request *q = list_entry(it, struct sched_request, link);

		next = it->next;
		/* While tokens of before its preemption are on their way it keeps its place, and others pass. */
		if (q->stale_tok == 0 && !enter(s, p, q))
			return;
	}
}

static void
plan_urgent(struct sched *s, struct plan *p)
{
	struct list passed;
	struct heap_node *top;
	struct list *it;

	list_init(&passed);
	while (has_room(s, p) && (top = heap_peek(&s->urgent))) {
		struct sched_request *q = container_of(top, struct sched_request, node);

		if (q->stale_tok > 0) {
			heap_pop(&s->urgent);
			list_push_back(&passed, &q->link);
		} else if (!enter(s, p, q)) {
			break;
		}
	}
	while ((it = list_pop_front(&passed)))
		heap_push(&s->urgent, &list_entry(it, struct sched_request, link)->node);
}

/* Counts the planned tokens as computed, so that the next step can be planned before this one is over. */
static void
commit(struct sched *s, struct sched_batch *b)
{
	for (uint32_t i = 0; i < b->n; i++) {
		struct sched_entry *e = &b->entries[i];
		struct sched_request *q = e->q;

		q->computed_tok += e->tok;
		q->in_flight_tok += e->tok;
		q->batches++;
		e->samples = q->computed_tok >= sched_known_tok(q) + q->placeholders;
		if (e->samples && s->p.async)
			q->placeholders++;
		b->tok += e->tok;
	}
}

const struct sched_batch *
sched_schedule(struct sched *s)
{
	struct sched_batch *b = &s->batches[(s->first_batch + s->n_batches) % SCHED_BATCHES];
	struct plan p = { .batch = b, .budget_tok = s->p.budget_tok, .longest_tok = UINT32_MAX };

	must(s->n_batches < SCHED_BATCHES);
	s->n_batches++;
	b->n = 0;
	b->tok = 0;
	s->n_preempted = 0;
	if (s->p.long_prefill_tok > 0 && s->n_running + s->n_waiting > 1)
		p.longest_tok = s->p.long_prefill_tok;
	plan_running(s, &p);
	if (s->n_preempted == 0 && s->p.by_priority)
		plan_urgent(s, &p);
	else if (s->n_preempted == 0)
		plan_fifo(s, &p);
	commit(s, b);
	s->farewell = false;
	return b;
}

/* True when that was its last token. */
static bool
add_token(struct sched *s, struct sched_request *q, bool stale)
{
	q->made_tok++;
	s->counters.generated_tok++;
	if (q->made_tok == 1)
		s->counters.prompt_tok += q->prompt_tok;
	if (s->p.async) {
		if (!stale)
			q->placeholders--;
		if (q->state == SCHED_RUNNING)
			sched_kv_share(s, q, q->computed_tok - q->placeholders);
	}
	return q->made_tok >= q->max_tok || sched_known_tok(q) >= s->p.max_model_len;
}

static void
end_request(struct sched *s, struct sched_request *q)
{
	if (q->state != SCHED_RUNNING)
		sched_unwait(s, q);
	sched_kv_release(s, q);
	q->state = SCHED_OVER;
	s->farewell = true;
}

static void
sweep_running(struct sched *s)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < s->n_running; i++)
		if (s->running[i]->state == SCHED_RUNNING)
			s->running[kept++] = s->running[i];
	s->n_running = kept;
}

void
sched_update(struct sched *s, sched_token_fn fn, void *ctx)
{
	struct sched_batch *b = &s->batches[s->first_batch];
	bool ended = false;

	must(s->n_batches > 0);
	for (uint32_t i = 0; i < b->n; i++) {
		struct sched_entry *e = &b->entries[i];
		struct sched_request *q = e->q;
		bool stale = q->stale_tok > 0, finished;

		q->batches--;
		if (q->state == SCHED_OVER)
			continue;
		q->in_flight_tok -= e->tok;
		if (stale)
			q->stale_tok -= e->tok;
		if (!e->samples)
			continue;
		finished = add_token(s, q, stale);
		if (finished) {
			end_request(s, q);
			ended = true;
		}
		fn(ctx, q, finished);
	}
	if (ended)
		sweep_running(s);
	for (uint32_t i = 0; i < b->n; i++)
		sched_drop_if_unused(b->entries[i].q);
	b->n = 0;
	s->first_batch = (s->first_batch + 1) % SCHED_BATCHES;
	s->n_batches--;
}
