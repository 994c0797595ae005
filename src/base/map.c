/* SPDX-License-Identifier: MIT */
#include "base/map.h"

#include <stdlib.h>

static uint64_t
rotl(uint64_t x, int k)
{
	return (x << k) | (x >> (64 - k));
}

static void
sip_round(uint64_t v[4])
{
	v[0] += v[1], v[1] = rotl(v[1], 13), v[1] ^= v[0], v[0] = rotl(v[0], 32);
	v[2] += v[3], v[3] = rotl(v[3], 16), v[3] ^= v[2];
	v[0] += v[3], v[3] = rotl(v[3], 21), v[3] ^= v[0];
	v[2] += v[1], v[1] = rotl(v[1], 17), v[1] ^= v[2], v[2] = rotl(v[2], 32);
}

static uint64_t
load_le64(const unsigned char *p, size_t n)
{
	uint64_t x = 0;

	for (size_t i = 0; i < n; i++)
		x |= (uint64_t)p[i] << (8 * i);
	return x;
}

uint64_t
hash_sip(const void *data, size_t n, const uint64_t seed[2])
{
	const unsigned char *p = data;
	uint64_t v[4] = { seed[0] ^ 0x736f6d6570736575u, seed[1] ^ 0x646f72616e646f6du,
			  seed[0] ^ 0x6c7967656e657261u, seed[1] ^ 0x7465646279746573u };
	size_t left = n;

	for (;;) {
		uint64_t w = left >= 8 ? load_le64(p, 8) : load_le64(p, left) | (uint64_t)n << 56;

		v[3] ^= w;
		sip_round(v);
		sip_round(v);
		v[0] ^= w;
		if (left < 8)
			break;
		p += 8, left -= 8;
	}
	v[2] ^= 0xff;
	for (int i = 0; i < 4; i++)
		sip_round(v);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}

void
map_init(struct map *m, uint64_t seed)
{
	*m = (struct map){ .seed = { seed, seed ^ 0x5bd1e995c6a4a793u } };
}

void
map_finish(struct map *m)
{
	free(m->slots);
	m->slots = NULL;
	m->cap = m->len = m->used = 0;
}

/* The slot that holds @key, or NULL; *@ret_free gets the slot where it would be put. */
static struct map_slot *
find(const struct map *m, struct slice key, uint64_t hash, struct map_slot **ret_free)
{
	struct map_slot *gap = NULL;

	if (m->cap) {
		for (size_t i = hash & (m->cap - 1);; i = (i + 1) & (m->cap - 1)) {
			struct map_slot *s = &m->slots[i];

			if (!s->key.p) {
				gap = gap ? gap : s;
				break;
			}
			if (!s->value)
				gap = gap ? gap : s;
			else if (s->hash == hash && slice_eq(s->key, key))
				return s;
		}
	}
	if (ret_free)
		*ret_free = gap;
	return NULL;
}

static void
resize(struct map *m, size_t cap)
{
	struct map_slot *old = m->slots;
	size_t old_cap = m->cap;

	m->slots = must_calloc(cap, sizeof(*m->slots));
	m->cap = cap;
	m->used = m->len;
	for (size_t i = 0; i < old_cap; i++) {
		struct map_slot *to;

		if (!old[i].key.p || !old[i].value)
			continue;
		find(m, old[i].key, old[i].hash, &to);
		*to = old[i];
	}
	free(old);
}

void
map_reserve(struct map *m, size_t n)
{
	size_t cap = 16;

	while (cap / 4 * 3 < n)
		cap *= 2;
	if (cap > m->cap)
		resize(m, cap);
}

void *
map_get(const struct map *m, struct slice key)
{
	struct map_slot *s = find(m, key, hash_sip(key.p, key.n, m->seed), NULL);

	return s ? s->value : NULL;
}

void *
map_put(struct map *m, struct slice key, void *value)
{
	uint64_t hash = hash_sip(key.p, key.n, m->seed);
	struct map_slot *gap, *s = find(m, key, hash, &gap);

	must(value && key.p);
	if (s) {
		void *old = s->value;

		s->value = value;
		s->key = key;
		return old;
	}
	if ((m->used + 1) * 4 > m->cap * 3) {
		resize(m, m->len * 2 >= m->cap ? MAX(m->cap * 2, 16) : m->cap);
		find(m, key, hash, &gap);
	}
	m->used += !gap->key.p;
	*gap = (struct map_slot){ key, hash, value };
	m->len++;
	return NULL;
}

void *
map_del(struct map *m, struct slice key)
{
	struct map_slot *s = find(m, key, hash_sip(key.p, key.n, m->seed), NULL);
	void *old = NULL;

	if (s) {
		old = s->value;
		s->value = NULL;
		s->key = SLICE(""); /* not the caller's key any more, but not free either */
		m->len--;
	}
	return old;
}
