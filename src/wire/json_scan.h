/* SPDX-License-Identifier: MIT */
/*
 * json_scan - incremental JSON scanner: checks the whole grammar (RFC 8259), reports what stands
 * near the top.
 *
 * Fed in any pieces.  It keeps no tree: a bit per open level, and the text of one short string or
 * number.  Keys and values inside at most `report_depth` containers are reported to a sink; deeper
 * ones are only checked.  Strings must be UTF-8 and their escapes must name characters (no lone
 * surrogates).  Depth is bounded by JSON_DEPTH_MAX.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "base/str.h"
#include "base/utf8.h"

#define JSON_DEPTH_MAX 256 /* open containers */
#define JSON_TEXT_MAX                                                                              \
	512 /* bytes of a reported string or number that are kept; the rest is checked only */

/* A value's bytes in the input. */
struct wire_span {
	uint64_t off, n;
};

enum json_type {
	JSON_NULL,
	JSON_TRUE,
	JSON_FALSE,
	JSON_NUMBER,
	JSON_STRING,
	JSON_OBJECT,
	JSON_ARRAY
};

/*
 * @depth is the number of containers around: 1 for the members of the outermost one.  A sink
 * returns NULL, or the reason why the scan is to fail.
 */
struct json_sink {
	/* The unescaped key; @cut when it is longer than JSON_TEXT_MAX. */
	const char *(*key)(void *ctx, unsigned depth, struct slice key, bool cut);
	/* A value begins at byte @at of the input. */
	const char *(*begin)(void *ctx, unsigned depth, enum json_type type, uint64_t at);
	/*
	 * It ended before byte @at.  @text: the unescaped string, or the number as written; empty
	 * for the others.
	 */
	const char *(*end)(void *ctx, unsigned depth, enum json_type type, struct slice text,
			   bool cut, uint64_t at);
};

struct json_scan {
	const struct json_sink *sink;
	void *ctx;
	unsigned report_depth;
	uint64_t offset;   /* bytes taken */
	const char *error; /* NULL while all is well; a static string */
	/* private from here */
	uint8_t state, after_string, literal, literal_at;
	bool capturing, cut;
	uint16_t depth, text_n;
	uint16_t unit, high; /* \uXXXX being read; the high surrogate before it */
	uint8_t unit_digits;
	struct utf8_check utf8;
	uint8_t objects[JSON_DEPTH_MAX / 8];
	char text[JSON_TEXT_MAX];
};

void
json_scan_init(struct json_scan *s, const struct json_sink *sink, void *ctx, unsigned report_depth);
/* False once the input is refused; then `error` says why and `offset` about where. */
bool json_scan_feed(struct json_scan *s, struct slice piece);
/* The input ends here: true when it was one whole value. */
bool json_scan_end(struct json_scan *s);
