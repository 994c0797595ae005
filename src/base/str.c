/* SPDX-License-Identifier: MIT */
#include "base/str.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static char
lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
}

bool
slice_ieq(struct slice a, struct slice b)
{
	if (a.n != b.n)
		return false;
	for (size_t i = 0; i < a.n; i++)
		if (lower(a.p[i]) != lower(b.p[i]))
			return false;
	return true;
}

bool
slice_starts(struct slice s, struct slice prefix)
{
	return s.n >= prefix.n && (prefix.n == 0 || memcmp(s.p, prefix.p, prefix.n) == 0);
}

struct slice
slice_trim(struct slice s)
{
	while (s.n && (s.p[0] == ' ' || s.p[0] == '\t'))
		s.p++, s.n--;
	while (s.n && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t'))
		s.n--;
	return s;
}

int
slice_to_u64(struct slice s, uint64_t *ret)
{
	uint64_t v = 0;

	if (s.n == 0)
		return -EINVAL;
	for (size_t i = 0; i < s.n; i++) {
		unsigned d = (unsigned)(unsigned char)s.p[i] - '0';

		if (d > 9)
			return -EINVAL;
		if (v > (UINT64_MAX - d) / 10)
			return -ERANGE;
		v = v * 10 + d;
	}
	*ret = v;
	return 0;
}

int
slice_to_double(struct slice s, double *ret)
{
	char tmp[64], *end;

	if (s.n == 0 || s.n >= sizeof(tmp))
		return -EINVAL;
	for (size_t i = 0; i < s.n; i++) /* strtod alone would take hex, "inf" and leading blanks */
		if (!(s.p[i] >= '0' && s.p[i] <= '9') && !strchr("+-.eE", s.p[i]))
			return -EINVAL;
	memcpy(tmp, s.p, s.n);
	tmp[s.n] = '\0';
	*ret = strtod(tmp, &end);
	return *end ? -EINVAL : 0;
}

bool
slice_glob(struct slice s, struct slice glob)
{
	size_t i = 0, g = 0, star = SIZE_MAX, mark = 0;

	while (i < s.n) {
		if (g < glob.n && glob.p[g] == '*') {
			star = g++;
			mark = i;
		} else if (g < glob.n && (glob.p[g] == '?' || glob.p[g] == s.p[i])) {
			i++, g++;
		} else if (star != SIZE_MAX) {
			g = star + 1;
			i = ++mark;
		} else {
			return false;
		}
	}
	while (g < glob.n && glob.p[g] == '*')
		g++;
	return g == glob.n;
}

unsigned
slice_distance(struct slice a, struct slice b, unsigned limit)
{
	unsigned row[65];

	if (a.n > 64 || b.n > 64 || (a.n > b.n ? a.n - b.n : b.n - a.n) > limit)
		return limit + 1;
	for (unsigned j = 0; j <= b.n; j++)
		row[j] = j;
	for (size_t i = 1; i <= a.n; i++) {
		unsigned diag = row[0];

		row[0] = (unsigned)i;
		for (size_t j = 1; j <= b.n; j++) {
			unsigned up = row[j], best = diag + (a.p[i - 1] != b.p[j - 1]);

			best = MIN(best, up + 1);
			best = MIN(best, row[j - 1] + 1);
			diag = up;
			row[j] = best;
		}
	}
	return MIN(row[b.n], limit + 1);
}

void
buf_init(struct buf *b, size_t max)
{
	*b = (struct buf){ .max = max };
}

void
buf_finish(struct buf *b)
{
	free(b->p);
	*b = (struct buf){ .max = b->max };
}

int
buf_reserve(struct buf *b, size_t n)
{
	size_t want, cap;

	if (n <= b->cap - b->n)
		return 0;
	if (n > b->max - MIN(b->n, b->max))
		return -ENOSPC;
	want = b->n + n;
	cap = MAX(want, MIN(b->cap * 2, b->max));
	cap = MIN(MAX(cap, 64), MAX(b->max, want));
	b->p = must_realloc(b->p, cap);
	b->cap = cap;
	return 0;
}

void
buf_add(struct buf *b, const void *p, size_t n)
{
	if (n == 0)
		return;
	if (buf_reserve(b, n) < 0) {
		b->overflow = true;
		return;
	}
	memcpy(b->p + b->n, p, n);
	b->n += n;
}

void
buf_add_slice(struct buf *b, struct slice s)
{
	buf_add(b, s.p, s.n);
}

void
buf_add_str(struct buf *b, const char *s)
{
	buf_add(b, s, strlen(s));
}

void
buf_add_char(struct buf *b, char c)
{
	buf_add(b, &c, 1);
}

void
buf_vaddf(struct buf *b, const char *fmt, va_list ap)
{
	va_list again;
	int n;

	va_copy(again, ap);
	n = vsnprintf(NULL, 0, fmt, ap);
	must(n >= 0);
	/* One byte more, which vsnprintf fills with NUL and which is not counted. */
	if (buf_reserve(b, (size_t)n + 1) < 0) {
		b->overflow = true;
	} else {
		vsnprintf(b->p + b->n, (size_t)n + 1, fmt, again);
		b->n += (size_t)n;
	}
	va_end(again);
}

void
buf_addf(struct buf *b, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	buf_vaddf(b, fmt, ap);
	va_end(ap);
}

void
buf_drop_front(struct buf *b, size_t n)
{
	must(n <= b->n);
	if (n < b->n)
		memmove(b->p, b->p + n, b->n - n);
	b->n -= n;
}

const char *
buf_cstr(struct buf *b)
{
	if (b->n == b->cap) {
		b->p = must_realloc(b->p, b->cap + 1);
		b->cap++;
	}
	b->p[b->n] = '\0';
	return b->p;
}
