/* SPDX-License-Identifier: MIT */
#include "sim/step_sched.h"
#include <stdlib.h>
#include <string.h>
#include "sim/step_sched_impl.h"

static struct sched_request *
by_node(const struct heap_node *n)
{
	return container_of((uintptr_t)n, struct sched_request, node);
}

static bool
more_urgent(const struct heap_node *a, const struct heap_node *b)
{
	const struct sched_request *x = by_node(a), *y = by_node(b);

	return x->priority != y->priority ? x->priority < y->priority : x->seq < y->seq;
}

void
sched_wait(struct sched *s, struct sched_request *q, bool in_front)
{
	if (s->p.by_priority)
		heap_push(&s->urgent, &q->node);
	else if (in_front)
		list_push_front(&s->fifo, &q->link);
	else
		list_push_back(&s->fifo, &q->link);
	s->n_waiting++;
}

void
sched_unwait(struct sched *s, struct sched_request *q)
{
	if (s->p.by_priority)
		heap_remove(&s->urgent, &q->node);
	else
		list_del(&q->link);
	s->n_waiting--;
}

void
sched_init(struct sched *s, const struct sched_params *p)
{
	must(p->block_tok > 0 && p->max_seqs > 0 && p->budget_tok >= p->max_seqs);
	*s = (struct sched){ .p = *p };
	kv_blocks_init(&s->kv, p->blocks);
	list_init(&s->fifo);
	heap_init(&s->urgent, more_urgent);
	s->running = must_calloc(p->max_seqs, sizeof(*s->running));
	s->preempted = must_calloc(p->max_seqs, sizeof(*s->preempted));
	for (unsigned i = 0; i < SCHED_BATCHES; i++)
		s->batches[i].entries = must_calloc(p->max_seqs, sizeof(struct sched_entry));
}

static struct sched_request *
any_waiting(const struct sched *s)
{
	struct list *first = list_first(&s->fifo);
	struct heap_node *top = heap_peek(&s->urgent);

	if (s->p.by_priority)
		return top ? by_node(top) : NULL;
	return first ? list_entry(first, struct sched_request, link) : NULL;
}

static void
drop_token(void *ctx, struct sched_request *q, bool finished)
{
	(void)ctx;
	(void)q;
	(void)finished;
}

void
sched_finish(struct sched *s)
{
	struct sched_request *q;

	while ((q = any_waiting(s)))
		sched_abort(s, q);
	while (s->n_running > 0)
		sched_abort(s, s->running[s->n_running - 1]);
	while (s->n_batches > 0)
		sched_update(s, drop_token, NULL);
	for (unsigned i = 0; i < SCHED_BATCHES; i++)
		free(s->batches[i].entries);
	free(s->running);
	free(s->preempted);
	kv_blocks_finish(&s->kv);
}

bool
sched_fits(const struct sched *s, uint64_t prompt_tok, uint64_t max_tok)
{
	uint64_t room = (uint64_t)(s->kv.n - 1) * s->p.block_tok;

	return prompt_tok > 0 && max_tok > 0 && prompt_tok < s->p.max_model_len &&
	       MIN(prompt_tok + max_tok, s->p.max_model_len) <= room;
}

struct sched_request *
sched_add(struct sched *s, const struct sched_segment *segments, uint32_t n, uint32_t max_tok,
	  int64_t priority, void *owner)
{
	uint64_t prompt_tok = 0;
	uint32_t total_tok;
	struct sched_request *q;

	for (uint32_t i = 0; i < n; i++)
		prompt_tok += segments[i].n;
	must(sched_fits(s, prompt_tok, max_tok));
	total_tok = (uint32_t)MIN(prompt_tok + max_tok, s->p.max_model_len);
	q = must_malloc(sizeof(*q) + sched_kv_bytes(s, n, total_tok));
	*q = (struct sched_request){
		.owner = owner,
		.seq = s->next_seq++,
		.priority = priority,
		.prompt_tok = (uint32_t)prompt_tok,
		.max_tok = max_tok,
		.n_segments = n,
	};
	list_init(&q->link);
	sched_kv_place(s, q, total_tok);
	memcpy(q->segments, segments, n * sizeof(*segments));
	sched_wait(s, q, false);
	return q;
}

void
sched_drop_if_unused(struct sched_request *q)
{
	if (q->state == SCHED_OVER && q->batches == 0)
		free(q);
}

static void
remove_running(struct sched *s, const struct sched_request *q)
{
	uint32_t i = 0;

	while (s->running[i] != q)
		i++;
	s->n_running--;
	memmove(&s->running[i], &s->running[i + 1], (s->n_running - i) * sizeof(*s->running));
}

void
sched_abort(struct sched *s, struct sched_request *q)
{
	must(q->state != SCHED_OVER);
	if (q->state == SCHED_RUNNING)
		remove_running(s, q);
	else
		sched_unwait(s, q);
	sched_kv_release(s, q);
	q->state = SCHED_OVER;
	s->farewell = true;
	sched_drop_if_unused(q);
}

bool
sched_has_work(const struct sched *s)
{
	return s->n_running + s->n_waiting > 0 || s->farewell;
}
