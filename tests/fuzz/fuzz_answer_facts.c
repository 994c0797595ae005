/* SPDX-License-Identifier: MIT */
/*
 * An answer in any pieces says the same as the whole of it at once.  The first byte chooses the
 * pieces.
 */
#include <stdint.h>

#include "../support/pieces.h"
#include "../support/wire_show.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct answer_facts a;
	struct chunk_facts whole;
	struct buf want, got;
	struct slice in;
	struct rng r;

	if (size < 1)
		return 0;
	in = (struct slice){ (const char *)data + 1, size - 1 };
	chunk_facts_read(&whole, in);
	rng_init(&r, data[0]);
	answer_facts_init(&a);
	while (in.n) {
		struct slice piece = pieces_take(&in, &r, data[0]);

		answer_facts_feed(&a, piece);
		pieces_free(piece);
	}
	answer_facts_end(&a);
	buf_init(&want, BUF_MAX_DEFAULT);
	buf_init(&got, BUF_MAX_DEFAULT);
	show_chunk_facts(&want, &whole);
	show_chunk_facts(&got, &a.facts);
	must(slice_eq(buf_slice(&got), buf_slice(&want)));
	buf_finish(&want);
	buf_finish(&got);
	return 0;
}
