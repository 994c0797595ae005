/* SPDX-License-Identifier: MIT */
/*
 * wire_show - what a scanner found, as text, so that two results compare as strings and a
 * difference can be read.
 */
#pragma once
#include <inttypes.h>
#include "base/json_writer.h"
#include "wire/chunk_facts.h"
#include "wire/request_facts.h"

static inline void
show_span(struct buf *out, const char *name, struct wire_span s)
{
	if (s.off)
		buf_addf(out, "%s=[%" PRIu64 "+%" PRIu64 "] ", name, s.off, s.n);
}

/* Everything public in @f; @ok is what the scanner returned. */
static inline void
show_request_facts(struct buf *out, const struct request_facts *f, bool ok)
{
	static const char *const names[] = {
#define X(NAME, key, types, expected) key,
#include "wire/request_keys.def"
#undef X
	};

	buf_clear(out);
	if (!ok) {
		buf_addf(out, "refused: %s (%s) %s", wire_error_info(f->error)->code, f->param,
			 f->message);
		return;
	}
	buf_addf(out, "model='%s' user='%s' tier='%s' stream=%d usage=%d/%d ", f->model, f->user,
		 f->service_tier, f->stream, f->include_usage, f->has_include_usage);
	show_span(out, "include_usage", f->include_usage_span);
	buf_addf(out,
		 "options=%u max_tokens=%" PRId64 " n=%" PRId64 " best_of=%" PRId64
		 " priority=%" PRId64 " seen=%x ",
		 f->stream_options_keys, f->max_tokens, f->n, f->best_of, f->priority, f->seen);
	buf_addf(out, "prompt=%" PRIu64 "/%" PRIu64 "/%d open=%" PRIu64 " empty=%d ",
		 f->prompt_bytes, f->prompt_items, f->prompt_is_tokens, f->open_at, f->empty_object);
	for (int k = 0; k < WIRE_KEYS; k++)
		show_span(out, names[k], f->span[k]);
}

static inline void
show_chunk_facts(struct buf *out, const struct chunk_facts *f)
{
	buf_clear(out);
	buf_addf(out, "bad=%d token=%d choices=%u/%u/%d text=%" PRIu64 " finish=%d ", f->bad, f->has_token,
		 f->token_choices, f->choices, f->has_choices, f->text_bytes, f->has_finish);
	buf_addf(out, "usage=%d %" PRId64 "/%" PRId64 "/%" PRId64 " only=%d ", f->usage.known,
		 f->usage.prompt_tok, f->usage.completion_tok, f->usage.cached_tok, f->usage_only);
	show_span(out, "usage", f->usage_span);
	buf_addf(out, "error=%d '%s' '%s' %d", f->has_error, f->error_message, f->error_type,
		 f->error_code);
}
