/* SPDX-License-Identifier: MIT */
#include "base/heap.h"

#include "base/must.h"

void
heap_init(struct heap *h, heap_less_fn less)
{
	*h = (struct heap){ .less = less };
}

/* Makes the later of two roots the first child of the earlier one. */
static struct heap_node *
meld(struct heap *h, struct heap_node *a, struct heap_node *b)
{
	if (!a)
		return b;
	if (!b)
		return a;
	if (h->less(b, a)) {
		struct heap_node *t = a;

		a = b;
		b = t;
	}
	b->prev = a;
	b->next = a->child;
	if (a->child)
		a->child->prev = b;
	a->child = b;
	a->next = a->prev = NULL;
	return a;
}

/* Melds a list of siblings in two passes: in pairs from the left, then all from the right. */
static struct heap_node *
meld_siblings(struct heap *h, struct heap_node *first)
{
	struct heap_node *pairs = NULL, *root = NULL;

	while (first) {
		struct heap_node *a = first, *b = a->next, *rest = b ? b->next : NULL, *m;

		a->next = a->prev = NULL;
		if (b)
			b->next = b->prev = NULL;
		m = meld(h, a, b);
		m->next = pairs; /* a stack through next */
		pairs = m;
		first = rest;
	}
	while (pairs) {
		struct heap_node *rest = pairs->next;

		pairs->next = NULL;
		root = meld(h, root, pairs);
		pairs = rest;
	}
	return root;
}

void
heap_push(struct heap *h, struct heap_node *n)
{
	*n = (struct heap_node){ 0 };
	h->root = meld(h, h->root, n);
	h->len++;
}

struct heap_node *
heap_pop(struct heap *h)
{
	struct heap_node *n = h->root;

	if (n)
		heap_remove(h, n);
	return n;
}

void
heap_remove(struct heap *h, struct heap_node *n)
{
	must(h->len > 0);
	if (n == h->root) {
		h->root = meld_siblings(h, n->child);
	} else {
		if (n->prev->child == n)
			n->prev->child = n->next;
		else
			n->prev->next = n->next;
		if (n->next)
			n->next->prev = n->prev;
		h->root = meld(h, h->root, meld_siblings(h, n->child));
	}
	*n = (struct heap_node){ 0 };
	h->len--;
}

void
heap_update(struct heap *h, struct heap_node *n)
{
	heap_remove(h, n);
	heap_push(h, n);
}
