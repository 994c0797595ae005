/* SPDX-License-Identifier: MIT */
/*
 * kv_blocks - the pool of KV cache blocks with its prefix cache, by the rules of vLLM's block pool.
 *
 * Free blocks form a queue; the next one taken is its front.  A block that holds a full block of tokens carries the hash of
 * those tokens and all before them; it stays findable after its release, until it is taken again.  Released blocks without a
 * hash go to the front, those with one to the back, the last block of a request first: what was used longest ago and
 * deepest goes first.  Several blocks may carry one hash; the one that got it first is found.
 *
 * Block 0 is never handed out (it heads the queue, and means "none").  No allocation after init.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

struct kv_block {
	uint64_t hash;
	uint32_t prev, next;	       /* in the free queue, while refs is 0 */
	uint32_t same_prev, same_next; /* in the bucket of its hash, while hashed; 0 ends */
	uint32_t refs;
	bool hashed;
};

struct kv_blocks {
	struct kv_block *b;
	struct {
		uint32_t first, last;
	} * buckets;
	uint32_t mask; /* number of buckets less 1 */
	uint32_t n, n_free;
};

/* @n blocks, the one that is never handed out included; at least 2. */
void kv_blocks_init(struct kv_blocks *k, uint32_t n);
void kv_blocks_finish(struct kv_blocks *k);
/* The block that carries @hash, or 0. */
uint32_t kv_blocks_find(const struct kv_blocks *k, uint64_t hash);
/* One more user of a block that was found; takes it out of the free queue. */
void kv_blocks_touch(struct kv_blocks *k, uint32_t id);
/* Takes the front of the free queue, which must not be empty; what it held is no longer findable. */
uint32_t kv_blocks_take(struct kv_blocks *k);
/* Makes a block that is in use, and carries no hash yet, findable. */
void kv_blocks_set_hash(struct kv_blocks *k, uint32_t id, uint64_t hash);
/* Ends one use of each of a request's blocks, given in the order of its tokens. */
void kv_blocks_release(struct kv_blocks *k, const uint32_t *ids, uint32_t n);
