/* SPDX-License-Identifier: MIT */
/*
 * utf8 - incremental UTF-8 validation (RFC 3629: no overlong forms, no surrogates, at most
 * U+10FFFF).
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct utf8_check {
	uint8_t left;	/* continuation bytes still due */
	uint8_t lo, hi; /* range of the next one */
};

/*
 * Feeds @n bytes and returns how many of them are good: @n, or the place of the first bad one; then
 * @c is of no further use.
 */
size_t utf8_run(struct utf8_check *c, const char *p, size_t n);
/* The same for those who only ask whether. */
static inline bool
utf8_feed(struct utf8_check *c, const char *p, size_t n)
{
	return utf8_run(c, p, n) == n;
}
/* True when the bytes so far end between two characters. */
static inline bool
utf8_complete(const struct utf8_check *c)
{
	return c->left == 0;
}
