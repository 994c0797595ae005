/* SPDX-License-Identifier: MIT */
/*
 * request_edit - changes to a request body, spliced between untouched bytes.
 *
 * An edit list starts empty, which means the body byte for byte.  Each edit replaces a span
 * (possibly of no bytes) by other bytes; the result is a list of slices over the body and the
 * edits' own text.
 */
#pragma once
#include "wire/request_facts.h"

#define REQUEST_EDITS_MAX 6
#define REQUEST_EDIT_TEXT_MAX 1024 /* inserted bytes, all edits together */

struct request_edit {
	struct {
		uint64_t off, cut;     /* bytes of the body that go */
		uint16_t text, text_n; /* bytes that come instead */
	} v[REQUEST_EDITS_MAX];
	unsigned n;
	uint16_t text_n;
	char text[REQUEST_EDIT_TEXT_MAX];
};

static inline void
request_edit_init(struct request_edit *e)
{
	e->n = 0;
	e->text_n = 0;
}

/*
 * Replaces a span.  Edits may be given in any order and must not overlap.  False when there is no
 * room.
 */
bool request_edit_splice(struct request_edit *e, uint64_t off, uint64_t cut, struct slice text);
/* Sets a top-level key to JSON text: replaces its value, or adds the key in front of the others. */
bool request_edit_set(struct request_edit *e, const struct request_facts *f, enum wire_key key,
		      struct slice json);
/* Makes the engine report usage at the end of a stream. */
bool request_edit_include_usage(struct request_edit *e, const struct request_facts *f);
/* The edited body as slices; returns their number, at most 2 * REQUEST_EDITS_MAX + 1. */
unsigned request_edit_apply(struct request_edit *e, struct slice body, struct slice *ret);
