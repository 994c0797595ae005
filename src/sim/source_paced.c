/* SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include "sim/source.h"

struct paced {
	struct sim_source base;
	uint64_t interval_us;
	struct heap due; /* sequences by the time of their next token */
};

static struct sim_seq *
seq_of(struct heap_node *n)
{
	return container_of(n, struct sim_seq, node);
}

static bool
due_before(const struct heap_node *a, const struct heap_node *b)
{
	return container_of((uintptr_t)a, const struct sim_seq, node)->due_us <
	       container_of((uintptr_t)b, const struct sim_seq, node)->due_us;
}

static struct paced *
paced_of(struct sim_source *src)
{
	return container_of(src, struct paced, base);
}

static void
start(struct sim_source *src, struct sim_seq *s, uint64_t now_us)
{
	s->due_us = s->entered_us = now_us;
	s->made = 0;
	heap_push(&paced_of(src)->due, &s->node);
}

static void
give_up(struct sim_source *src, struct sim_seq *s, uint64_t now_us)
{
	(void)now_us;
	heap_remove(&paced_of(src)->due, &s->node);
}

static uint64_t
next_us(const struct sim_source *src)
{
	const struct paced *p = container_of((uintptr_t)src, const struct paced, base);
	struct heap_node *n = heap_peek(&p->due);

	return n ? seq_of(n)->due_us : UINT64_MAX;
}

/* A caller that comes late finds several tokens of a sequence due: they are reported one by one, since nothing merged them. */
static void
advance(struct sim_source *src, uint64_t now_us, sim_tokens_fn fn, void *ctx)
{
	struct paced *p = paced_of(src);
	struct heap_node *n;

	while ((n = heap_peek(&p->due)) && seq_of(n)->due_us <= now_us) {
		struct sim_seq *s = seq_of(n);
		bool finished = ++s->made == s->out_tok;

		s->due_us += p->interval_us;
		if (finished)
			heap_remove(&p->due, n);
		else if (p->interval_us)
			heap_update(&p->due, n);
		fn(ctx, s, 1, finished);
	}
}

static void
stats(const struct sim_source *src, struct sim_face_stats *ret)
{
	const struct paced *p = container_of((uintptr_t)src, const struct paced, base);

	ret->running = (unsigned)p->due.len;
	ret->waiting = 0;
}

static void
destroy(struct sim_source *src)
{
	free(paced_of(src));
}

struct sim_source *
sim_source_paced(uint64_t interval_us)
{
	static const struct sim_source_ops ops = {
		.start = start,
		.abort = give_up,
		.next_us = next_us,
		.advance = advance,
		.stats = stats,
		.destroy = destroy,
	};
	struct paced *p = must_calloc(1, sizeof(*p));

	p->base.ops = &ops;
	p->interval_us = interval_us;
	heap_init(&p->due, due_before);
	return &p->base;
}
