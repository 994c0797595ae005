/* SPDX-License-Identifier: MIT */
/*
 * sse_reference - the slow and plain way to read a server-sent event stream: the whole of it at
 * once, line by line.
 *
 * What the scanner is compared with.  Per event with a data line: its name, a bar, its data, and a
 * NUL.
 */
#pragma once
#include "base/str.h"

static inline size_t
sse_reference_line(const char *p, size_t n, size_t *ret_len)
{
	size_t len = 0;

	while (len < n && p[len] != '\n' && p[len] != '\r')
		len++;
	*ret_len = len;
	if (len == n)
		return 0; /* the line has not ended */
	return len + 1 + (p[len] == '\r' && len + 1 < n && p[len + 1] == '\n');
}

static inline bool
sse_reference_field(struct slice line, const char *name, struct slice *ret)
{
	size_t n = strlen(name);

	if (line.n < n || memcmp(line.p, name, n) != 0)
		return false;
	if (line.n > n && line.p[n] != ':')
		return false;
	*ret = (struct slice){ line.p + MIN(n + 1, line.n), line.n - MIN(n + 1, line.n) };
	if (ret->n && *ret->p == ' ')
		*ret = (struct slice){ ret->p + 1, ret->n - 1 };
	return true;
}

static inline void
sse_reference(struct slice in, struct buf *out)
{
	struct buf data, name;
	bool has_data = false;
	size_t step, len;

	buf_init(&data, BUF_MAX_DEFAULT);
	buf_init(&name, BUF_MAX_DEFAULT);
	buf_clear(out);
	if (in.n >= 3 && memcmp(in.p, "\xef\xbb\xbf", 3) == 0)
		in = (struct slice){ in.p + 3, in.n - 3 };
	while (in.n && (step = sse_reference_line(in.p, in.n, &len)) > 0) {
		struct slice line = { in.p, len }, value;

		in = (struct slice){ in.p + step, in.n - step };
		if (sse_reference_field(line, "data", &value)) {
			if (has_data)
				buf_add_char(&data, '\n');
			buf_add_slice(&data, value);
			has_data = true;
		} else if (sse_reference_field(line, "event", &value)) {
			buf_clear(&name);
			buf_add_slice(&name, value);
		} else if (len == 0) {
			if (has_data) {
				buf_add_slice(out, buf_slice(&name));
				buf_add_char(out, '|');
				buf_add_slice(out, buf_slice(&data));
				buf_add_char(out, '\0');
			}
			buf_clear(&data);
			buf_clear(&name);
			has_data = false;
		}
	}
	buf_finish(&data);
	buf_finish(&name);
}
