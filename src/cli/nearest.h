/* SPDX-License-Identifier: MIT */
/* nearest - the known word that a mistyped one is closest to: init, offer each candidate, read `best`. */
#pragma once
#include "base/str.h"

#define NEAREST_LETTERS 3 /* that a mistyped word may differ by */

struct nearest {
	struct slice word;
	const char *best; /* NULL: none is near */
	unsigned distance;
};

static inline void
nearest_init(struct nearest *n, const char *word)
{
	*n = (struct nearest){ .word = slice_of(word), .distance = NEAREST_LETTERS + 1 };
}

static inline void
nearest_offer(struct nearest *n, const char *candidate)
{
	unsigned d = slice_distance(n->word, slice_of(candidate), NEAREST_LETTERS);

	if (d < n->distance) {
		n->distance = d;
		n->best = candidate;
	}
}
