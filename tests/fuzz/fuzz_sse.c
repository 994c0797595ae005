/* SPDX-License-Identifier: MIT */
/*
 * Any stream in any pieces gives the events of a plain reader, and every byte is forwarded.  The
 * first byte chooses the pieces.
 */
#include <stdint.h>

#include "../support/pieces.h"
#include "../support/sse_reference.h"
#include "wire/sse.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct seen {
	struct buf events, forwarded;
};

static void
on_event(void *ctx, const struct sse_event *ev)
{
	struct seen *s = ctx;

	must(ev->raw.n > 0);
	buf_add_slice(&s->forwarded, ev->raw);
	must(!ev->is_done || ev->has_data);
	if (!ev->has_data)
		return;
	buf_add_slice(&s->events, ev->name);
	buf_add_char(&s->events, '|');
	buf_add_slice(&s->events, ev->data);
	buf_add_char(&s->events, '\0');
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice in, rest;
	struct seen seen;
	struct buf want;
	struct sse sse;
	struct rng r;

	if (size < 1 || size > SSE_EVENT_MAX / 2)
		return 0;
	in = rest = (struct slice){ (const char *)data + 1, size - 1 };
	rng_init(&r, data[0]);
	sse_init(&sse);
	buf_init(&want, BUF_MAX_DEFAULT);
	buf_init(&seen.events, BUF_MAX_DEFAULT);
	buf_init(&seen.forwarded, BUF_MAX_DEFAULT);
	while (rest.n) {
		struct slice piece = pieces_take(&rest, &r, data[0]);

		sse_feed(&sse, piece, on_event, &seen);
		pieces_free(piece);
	}
	buf_add_slice(&seen.forwarded, sse_rest(&sse));
	must(slice_eq(buf_slice(&seen.forwarded), in));
	sse_reference(in, &want);
	must(slice_eq(buf_slice(&seen.events), buf_slice(&want)));
	buf_finish(&want);
	buf_finish(&seen.events);
	buf_finish(&seen.forwarded);
	sse_finish(&sse);
	return 0;
}
