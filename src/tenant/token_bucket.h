/* SPDX-License-Identifier: MIT */
/*
 * token_bucket - a bucket that fills at a constant rate up to its capacity.
 *
 * Starts full.  A bucket may be overdrawn by settling a reservation upwards; it then fills from below zero.  A rate of 0
 * means that there is no limit.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#define TOKEN_BUCKET_WAIT_MAX_US 1000000000000000ull /* thirty years */

struct token_bucket {
	double rate_per_s; /* 0: unlimited */
	double capacity;
	double level;	/* may be negative after a settlement */
	uint64_t at_us; /* level is of that time */
};

void token_bucket_init(struct token_bucket *b, double rate_per_s, double capacity, uint64_t now_us);
/* A new rate and capacity for a living bucket: what is in it stays, cut to the new capacity. */
void token_bucket_change(struct token_bucket *b, double rate_per_s, double capacity, uint64_t now_us);
/* The level at @now_us; times that run backwards count as no time. */
double token_bucket_level(struct token_bucket *b, uint64_t now_us);
/* True when @need (capped at the capacity) is in it, but for a rounding error: who comes back after
 * token_bucket_wait_us() finds what it waited for. */
bool token_bucket_has(struct token_bucket *b, double need, uint64_t now_us);
/* Microseconds until token_bucket_has(); 0 when it is so, TOKEN_BUCKET_WAIT_MAX_US when that is ages away. */
uint64_t token_bucket_wait_us(struct token_bucket *b, double need, uint64_t now_us);
/* Takes (or, when negative, gives back) tokens; may overdraw. */
void token_bucket_take(struct token_bucket *b, double tokens, uint64_t now_us);
static inline bool
token_bucket_unlimited(const struct token_bucket *b)
{
	return b->rate_per_s <= 0;
}
