/* SPDX-License-Identifier: MIT */
/*
 * list - intrusive doubly linked list; the head is a list too.
 *
 * A node that is on no list points to itself, so list_del() on it is harmless and list_linked() tells.
 */
#pragma once
#include <stdbool.h>
#include "base/must.h"

struct list {
	struct list *next, *prev;
};

static inline void
list_init(struct list *l)
{
	l->next = l->prev = l;
}

static inline bool
list_empty(const struct list *head)
{
	return head->next == head;
}

static inline bool
list_linked(const struct list *node)
{
	return node->next != node;
}

static inline void
list_insert_before(struct list *at, struct list *node)
{
	node->prev = at->prev;
	node->next = at;
	at->prev->next = node;
	at->prev = node;
}

static inline void
list_push_back(struct list *head, struct list *node)
{
	list_insert_before(head, node);
}

static inline void
list_push_front(struct list *head, struct list *node)
{
	list_insert_before(head->next, node);
}

static inline void
list_del(struct list *node)
{
	node->prev->next = node->next;
	node->next->prev = node->prev;
	list_init(node);
}

static inline struct list *
list_first(const struct list *head)
{
	return list_empty(head) ? NULL : head->next;
}

static inline struct list *
list_pop_front(struct list *head)
{
	struct list *node = list_first(head);

	if (node)
		list_del(node);
	return node;
}

#define list_entry(node, type, member) container_of(node, type, member)

/* Walks the nodes; _safe allows @it to be removed (and only @it). */
#define list_for_each(it, head) for (struct list *it = (head)->next; it != (head); it = it->next)
#define list_for_each_safe(it, head)                                                               \
	for (struct list *it = (head)->next, *it##_next = it->next; it != (head);                  \
	     it = it##_next, it##_next = it->next)
