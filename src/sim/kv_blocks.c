/* SPDX-License-Identifier: MIT */
#include "sim/kv_blocks.h"
#include <stdlib.h>
#include "base/must.h"

#define BUCKETS_MIN 16

static void
queue_insert(struct kv_blocks *k, uint32_t before, uint32_t id)
{
	uint32_t prev = k->b[before].prev;

	k->b[id].prev = prev;
	k->b[id].next = before;
	k->b[prev].next = id;
	k->b[before].prev = id;
	k->n_free++;
}

static void
queue_remove(struct kv_blocks *k, uint32_t id)
{
	k->b[k->b[id].prev].next = k->b[id].next;
	k->b[k->b[id].next].prev = k->b[id].prev;
	k->n_free--;
}

void
kv_blocks_init(struct kv_blocks *k, uint32_t n)
{
	uint32_t buckets = BUCKETS_MIN;

	must(n >= 2);
	while (buckets < n && buckets < (uint32_t)1 << 31)
		buckets *= 2;
	*k = (struct kv_blocks){ .n = n, .mask = buckets - 1 };
	k->b = must_calloc(n, sizeof(*k->b));
	k->buckets = must_calloc(buckets, sizeof(*k->buckets));
	for (uint32_t id = 1; id < n; id++)
		queue_insert(k, 0, id);
}

void
kv_blocks_finish(struct kv_blocks *k)
{
	free(k->b);
	free(k->buckets);
	*k = (struct kv_blocks){ 0 };
}

uint32_t
kv_blocks_find(const struct kv_blocks *k, uint64_t hash)
{
	uint32_t id = k->buckets[hash & k->mask].first;

	while (id != 0 && k->b[id].hash != hash)
		id = k->b[id].same_next;
	return id;
}

void
kv_blocks_touch(struct kv_blocks *k, uint32_t id)
{
	if (k->b[id].refs++ == 0)
		queue_remove(k, id);
}

void
kv_blocks_set_hash(struct kv_blocks *k, uint32_t id, uint64_t hash)
{
	struct kv_block *b = &k->b[id];
	uint32_t last = k->buckets[hash & k->mask].last;

	must(b->refs > 0 && !b->hashed);
	b->hashed = true;
	b->hash = hash;
	b->same_prev = last;
	b->same_next = 0;
	if (last != 0)
		k->b[last].same_next = id;
	else
		k->buckets[hash & k->mask].first = id;
	k->buckets[hash & k->mask].last = id;
}

static void
forget_hash(struct kv_blocks *k, struct kv_block *b)
{
	if (b->same_prev != 0)
		k->b[b->same_prev].same_next = b->same_next;
	else
		k->buckets[b->hash & k->mask].first = b->same_next;
	if (b->same_next != 0)
		k->b[b->same_next].same_prev = b->same_prev;
	else
		k->buckets[b->hash & k->mask].last = b->same_prev;
	b->hashed = false;
}

uint32_t
kv_blocks_take(struct kv_blocks *k)
{
	uint32_t id = k->b[0].next;

	must(id != 0);
	queue_remove(k, id);
	if (k->b[id].hashed)
		forget_hash(k, &k->b[id]);
	k->b[id].refs = 1;
	return id;
}

void
kv_blocks_release(struct kv_blocks *k, const uint32_t *ids, uint32_t n)
{
	for (uint32_t i = n; i-- > 0;) {
		struct kv_block *b = &k->b[ids[i]];

		must(b->refs > 0);
		if (--b->refs == 0 && b->hashed)
			queue_insert(k, 0, ids[i]);
	}
	/* Forward, so that the last block comes to stand in front. */
	for (uint32_t i = 0; i < n; i++)
		if (k->b[ids[i]].refs == 0 && !k->b[ids[i]].hashed)
			queue_insert(k, k->b[0].next, ids[i]);
}
