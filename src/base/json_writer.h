/* SPDX-License-Identifier: MIT */
/*
 * json_writer - writes JSON into a buffer: commas, escapes and nesting are its business.
 *
 * For what we produce (errors, logs, status pages); parsing is elsewhere.  Strings that are not UTF-8 come out
 * with the bad bytes replaced, so that the result always parses.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "base/str.h"

#define JSON_WRITER_DEPTH 32

struct json_writer {
	struct buf *out;
	uint32_t filled; /* bit per level: something stands there already */
	unsigned depth;
	bool after_key;
};

void jw_init(struct json_writer *w, struct buf *out);
void jw_object(struct json_writer *w);
void jw_array(struct json_writer *w);
/* Closes the innermost object or array. */
void jw_end_object(struct json_writer *w);
void jw_end_array(struct json_writer *w);
void jw_key(struct json_writer *w, const char *key);
void jw_key_slice(struct json_writer *w, struct slice key);
void jw_str(struct json_writer *w, const char *s); /* NULL writes null */
void jw_slice(struct json_writer *w, struct slice s);
void jw_int(struct json_writer *w, int64_t v);
void jw_uint(struct json_writer *w, uint64_t v);
/* @digits after the point at most; not finite writes null. */
void jw_double(struct json_writer *w, double v, int digits);
void jw_bool(struct json_writer *w, bool v);
void jw_null(struct json_writer *w);
/* Bytes that are JSON already. */
void jw_raw(struct json_writer *w, struct slice json);

/* Key and value in one call. */
void jw_kv_str(struct json_writer *w, const char *key, const char *s);
void jw_kv_slice(struct json_writer *w, const char *key, struct slice s);
void jw_kv_int(struct json_writer *w, const char *key, int64_t v);
void jw_kv_uint(struct json_writer *w, const char *key, uint64_t v);
void jw_kv_double(struct json_writer *w, const char *key, double v, int digits);
void jw_kv_bool(struct json_writer *w, const char *key, bool v);
