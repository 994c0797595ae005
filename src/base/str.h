/* SPDX-License-Identifier: MIT */
/*
 * str - slices (pointer and length, not owned) and growable buffers with a named maximum.
 */
#pragma once
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include "base/must.h"

/* Bytes that somebody else owns; not NUL-terminated. */
struct slice {
	const char *p;
	size_t n;
};

#define SLICE(lit) ((struct slice){ (lit), sizeof(lit) - 1 })
#define SLICE_INIT(lit)                                                                            \
	{                                                                                          \
		(lit), sizeof(lit) - 1                                                             \
	} /* in the initializer of a static object */
#define SLICE_FMT "%.*s"
#define SLICE_ARG(s) (int)(s).n, (s).p

static inline struct slice
slice_of(const char *cstr)
{
	return (struct slice){ cstr, cstr ? strlen(cstr) : 0 };
}

static inline bool
slice_eq(struct slice a, struct slice b)
{
	return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

/* Equal but for the case of ASCII letters. */
bool slice_ieq(struct slice a, struct slice b);
bool slice_starts(struct slice s, struct slice prefix);
/* Without the blanks and tabs at both ends. */
struct slice slice_trim(struct slice s);
/* A decimal number without sign that fits 64 bits and fills the whole slice: 0, else -EINVAL or -ERANGE. */
MUST_CHECK int slice_to_u64(struct slice s, uint64_t *ret);
/* A decimal number with optional sign, fraction and exponent that fills the whole slice: 0 or -EINVAL. */
MUST_CHECK int slice_to_double(struct slice s, double *ret);
/* True when @s matches the shell pattern @glob, where '*' stands for any bytes and '?' for one. */
bool slice_glob(struct slice s, struct slice glob);
/* Edit distance up to @limit (Levenshtein); anything further is limit + 1. */
unsigned slice_distance(struct slice a, struct slice b, unsigned limit);

/* A growable byte buffer.  Bytes over max are refused and remembered in `overflow`; never more is allocated. */
struct buf {
	char *p;
	size_t n, cap;
	size_t max;
	bool overflow;
};

#define BUF_MAX_DEFAULT ((size_t)64 << 20)

void buf_init(struct buf *b, size_t max);
void buf_finish(struct buf *b);
static inline void
buf_clear(struct buf *b)
{
	b->n = 0;
	b->overflow = false;
}
static inline struct slice
buf_slice(const struct buf *b)
{
	return (struct slice){ b->p, b->n };
}
/* Makes room for @n more bytes: 0, or -ENOSPC when that would pass max. */
MUST_CHECK int buf_reserve(struct buf *b, size_t n);
/* The appenders set `overflow` and append nothing when there is no room: look once, at the end. */
void buf_add(struct buf *b, const void *p, size_t n);
void buf_add_slice(struct buf *b, struct slice s);
void buf_add_str(struct buf *b, const char *s);
void buf_add_char(struct buf *b, char c);
void buf_addf(struct buf *b, const char *fmt, ...) PRINTF_LIKE(2, 3);
void buf_vaddf(struct buf *b, const char *fmt, va_list ap) PRINTF_LIKE(2, 0);
/* Drops the first @n bytes. */
void buf_drop_front(struct buf *b, size_t n);
/* The content as a C string; valid until the next change.  Never NULL. */
const char *buf_cstr(struct buf *b);
