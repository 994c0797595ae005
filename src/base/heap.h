/* SPDX-License-Identifier: MIT */
/*
 * heap - intrusive pairing heap: no allocation, O(1) push, O(log n) amortised pop and remove.
 *
 * Two nodes that compare equal come out in an unspecified order; callers that need one add a sequence number
 * to their comparison.  See Fredman et al., "The pairing heap", Algorithmica 1986.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>

struct heap_node {
	struct heap_node *child, *next, *prev; /* prev: left sibling, or the parent of a first child */
};

/* True when @a comes out before @b. */
typedef bool (*heap_less_fn)(const struct heap_node *a, const struct heap_node *b);

struct heap {
	struct heap_node *root;
	heap_less_fn less;
	size_t len;
};

void heap_init(struct heap *h, heap_less_fn less);
void heap_push(struct heap *h, struct heap_node *n);
/* The node that pop would give, or NULL. */
static inline struct heap_node *
heap_peek(const struct heap *h)
{
	return h->root;
}
struct heap_node *heap_pop(struct heap *h);
/* Takes @n, which must be in @h, out of it. */
void heap_remove(struct heap *h, struct heap_node *n);
/* Restores the order after the key of @n, which is in @h, has changed either way. */
void heap_update(struct heap *h, struct heap_node *n);
