/* SPDX-License-Identifier: MIT */
#include "sim/words.h"
#include "base/rng.h"

void
sim_word(struct buf *out, uint64_t seed, uint64_t index)
{
	static const char *const starts[] = { "b", "d", "f", "k", "l",	"m",  "n",  "p",
					      "r", "s", "t", "v", "st", "tr", "gl", "pl" };
	static const char *const middles[] = { "a", "e", "i", "o", "u", "ai", "ea", "ou" };
	static const char *const ends[] = { "", "n", "r", "s", "l", "m", "t", "x" };
	struct rng r;
	uint64_t bits;

	rng_init_stream(&r, seed, index);
	bits = rng_u64(&r);
	if (index > 0)
		buf_add_char(out, ' ');
	buf_add_str(out, starts[bits % ARRAY_LEN(starts)]);
	buf_add_str(out, middles[bits >> 8 & 7]);
	buf_add_str(out, ends[bits >> 16 & 7]);
}
