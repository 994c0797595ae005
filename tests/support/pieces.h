/* SPDX-License-Identifier: MIT */
/*
 * pieces - takes the next piece of random length off an input, as a copy of its exact size, so that
 * the address sanitizer sees a read past it.  @seed 0 gives all at once; otherwise its low bits
 * bound the length.
 */
#pragma once
#include <stdlib.h>
#include "base/rng.h"
#include "base/str.h"

static inline struct slice
pieces_take(struct slice *rest, struct rng *r, uint8_t seed)
{
	size_t n = (size_t)rng_below(r, 1 + seed % 16) + 1;
	char *copy;

	n = seed ? MIN(n, rest->n) : rest->n;
	copy = must_malloc(n);
	memcpy(copy, rest->p, n);
	*rest = (struct slice){ rest->p + n, rest->n - n };
	return (struct slice){ copy, n };
}

static inline void
pieces_free(struct slice piece)
{
	free((char *)(uintptr_t)piece.p);
}
