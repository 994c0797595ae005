/* SPDX-License-Identifier: MIT */
/*
 * map - string to pointer; open addressing, seeded hash (SipHash-2-4), so that peers cannot choose collisions.
 *
 * Keys are not copied: the caller keeps them alive while they are in the map.  Grows by doubling at 3/4 full;
 * map_reserve() at set-up makes later puts free of allocation.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/str.h"

struct map_slot {
	struct slice key; /* key.p NULL: free; value NULL with a key: removed */
	uint64_t hash;
	void *value;
};

struct map {
	struct map_slot *slots;
	size_t cap, len, used; /* used counts removed slots too */
	uint64_t seed[2];
};

/* @seed makes the hash unpredictable; tests pass a constant. */
void map_init(struct map *m, uint64_t seed);
void map_finish(struct map *m);
void map_reserve(struct map *m, size_t n);
void *map_get(const struct map *m, struct slice key);
/* Adds or replaces; @value must not be NULL.  Returns the value replaced, or NULL. */
void *map_put(struct map *m, struct slice key, void *value);
/* Returns the value removed, or NULL. */
void *map_del(struct map *m, struct slice key);

/* SipHash-2-4 of Aumasson and Bernstein (2012). */
uint64_t hash_sip(const void *p, size_t n, const uint64_t seed[2]);
