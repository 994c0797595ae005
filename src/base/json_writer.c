/* SPDX-License-Identifier: MIT */
#include "base/json_writer.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#include "base/utf8.h"

void
jw_init(struct json_writer *w, struct buf *out)
{
	*w = (struct json_writer){ .out = out };
}

static void
before_value(struct json_writer *w)
{
	if (w->after_key) {
		w->after_key = false;
		return;
	}
	if (w->filled & (1u << w->depth))
		buf_add_char(w->out, ',');
	w->filled |= 1u << w->depth;
}

static void
open_level(struct json_writer *w, char c)
{
	before_value(w);
	buf_add_char(w->out, c);
	must(w->depth + 1 < JSON_WRITER_DEPTH);
	w->depth++;
	w->filled &= ~(1u << w->depth);
}

static void
close_level(struct json_writer *w, char c)
{
	must(w->depth > 0 && !w->after_key);
	w->depth--;
	buf_add_char(w->out, c);
}

void
jw_object(struct json_writer *w)
{
	open_level(w, '{');
}

void
jw_array(struct json_writer *w)
{
	open_level(w, '[');
}

void
jw_end_object(struct json_writer *w)
{
	close_level(w, '}');
}

void
jw_end_array(struct json_writer *w)
{
	close_level(w, ']');
}

/* Length of the valid character at @p, or 0. */
static size_t
char_len(const char *p, size_t n)
{
	struct utf8_check c = { 0 };

	for (size_t i = 1; i <= n && i <= 4; i++) {
		if (!utf8_feed(&c, p + i - 1, 1))
			return 0;
		if (utf8_complete(&c))
			return i;
	}
	return 0;
}

static void
write_string(struct buf *out, struct slice s)
{
	size_t from = 0, i = 0;

	buf_add_char(out, '"');
	while (i < s.n) {
		unsigned char c = (unsigned char)s.p[i];
		char esc[8];
		size_t len = 1;

		if (c >= 0x20 && c < 0x80 && c != '"' && c != '\\') {
			i++;
			continue;
		}
		if (c >= 0x80 && (len = char_len(s.p + i, s.n - i)) > 0) {
			i += len;
			continue;
		}
		buf_add(out, s.p + from, i - from);
		if (c >= 0x80)
			snprintf(esc, sizeof(esc), "\\ufffd");
		else if (c == '"' || c == '\\')
			snprintf(esc, sizeof(esc), "\\%c", c);
		else if (c == '\n')
			snprintf(esc, sizeof(esc), "\\n");
		else
			snprintf(esc, sizeof(esc), "\\u%04x", c);
		buf_add_str(out, esc);
		from = ++i;
	}
	if (i > from) /* an empty slice may have no address */
		buf_add(out, s.p + from, i - from);
	buf_add_char(out, '"');
}

void
jw_key_slice(struct json_writer *w, struct slice key)
{
	must(!w->after_key);
	before_value(w);
	write_string(w->out, key);
	buf_add_char(w->out, ':');
	w->after_key = true;
}

void
jw_key(struct json_writer *w, const char *key)
{
	jw_key_slice(w, slice_of(key));
}

void
jw_slice(struct json_writer *w, struct slice s)
{
	before_value(w);
	write_string(w->out, s);
}

void
jw_str(struct json_writer *w, const char *s)
{
	if (s)
		jw_slice(w, slice_of(s));
	else
		jw_null(w);
}

void
jw_int(struct json_writer *w, int64_t v)
{
	before_value(w);
	buf_addf(w->out, "%" PRId64, v);
}

void
jw_uint(struct json_writer *w, uint64_t v)
{
	before_value(w);
	buf_addf(w->out, "%" PRIu64, v);
}

void
jw_double(struct json_writer *w, double v, int digits)
{
	char text[64];
	size_t n;

	if (!isfinite(v) || fabs(v) >= 1e18) {
		jw_null(w);
		return;
	}
	before_value(w);
	n = (size_t)snprintf(text, sizeof(text), "%.*f", MIN(digits, 12), v);
	if (memchr(text, '.', n)) {
		while (text[n - 1] == '0')
			n--;
		if (text[n - 1] == '.')
			n--;
	}
	buf_add(w->out, text, n);
}

void
jw_bool(struct json_writer *w, bool v)
{
	jw_raw(w, v ? SLICE("true") : SLICE("false"));
}

void
jw_null(struct json_writer *w)
{
	jw_raw(w, SLICE("null"));
}

void
jw_raw(struct json_writer *w, struct slice json)
{
	before_value(w);
	buf_add_slice(w->out, json);
}

void
jw_kv_str(struct json_writer *w, const char *key, const char *s)
{
	jw_key(w, key);
	jw_str(w, s);
}

void
jw_kv_slice(struct json_writer *w, const char *key, struct slice s)
{
	jw_key(w, key);
	jw_slice(w, s);
}

void
jw_kv_int(struct json_writer *w, const char *key, int64_t v)
{
	jw_key(w, key);
	jw_int(w, v);
}

void
jw_kv_uint(struct json_writer *w, const char *key, uint64_t v)
{
	jw_key(w, key);
	jw_uint(w, v);
}

void
jw_kv_double(struct json_writer *w, const char *key, double v, int digits)
{
	jw_key(w, key);
	jw_double(w, v, digits);
}

void
jw_kv_bool(struct json_writer *w, const char *key, bool v)
{
	jw_key(w, key);
	jw_bool(w, v);
}
