/* SPDX-License-Identifier: MIT */
/*
 * rng - a small deterministic generator: the same seed gives the same numbers on every machine.
 *
 * xoshiro256** seeded by splitmix64 (Blackman and Vigna 2018).  Not for secrets: those come from OpenSSL.
 */
#pragma once
#include <stdint.h>

struct rng {
	uint64_t s[4];
};

void rng_init(struct rng *r, uint64_t seed);
/* A generator of its own for stream @index of @seed, independent of the others. */
void rng_init_stream(struct rng *r, uint64_t seed, uint64_t index);
uint64_t rng_u64(struct rng *r);
/* Uniform in [0, n), n > 0. */
uint64_t rng_below(struct rng *r, uint64_t n);
/* Uniform in [0, 1). */
double rng_unit(struct rng *r);
/* Exponential with mean @mean. */
double rng_exp(struct rng *r, double mean);
/* Standard normal (Box-Muller, one number a call). */
double rng_normal(struct rng *r);
