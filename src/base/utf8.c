/* SPDX-License-Identifier: MIT */
#include "base/utf8.h"

#include <string.h>

/* Sets what may follow the first byte of a character; false when none begins with it. */
static bool
begin_character(struct utf8_check *c, unsigned char b)
{
	c->lo = 0x80, c->hi = 0xbf;
	if (b >= 0xc2 && b <= 0xdf) {
		c->left = 1;
	} else if (b >= 0xe0 && b <= 0xef) {
		c->left = 2;
		if (b == 0xe0)
			c->lo = 0xa0;
		else if (b == 0xed)
			c->hi = 0x9f;
	} else if (b >= 0xf0 && b <= 0xf4) {
		c->left = 3;
		if (b == 0xf0)
			c->lo = 0x90;
		else if (b == 0xf4)
			c->hi = 0x8f;
	} else {
		return false;
	}
	return true;
}

size_t
utf8_run(struct utf8_check *c, const char *s, size_t n)
{
	const unsigned char *start = (const unsigned char *)s, *p = start, *end = p + n;

	while (p < end) {
		if (c->left) {
			if (*p < c->lo || *p > c->hi)
				break;
			c->left--, c->lo = 0x80, c->hi = 0xbf;
			p++;
			continue;
		}
		while (end - p >= 8) { /* ASCII in words */
			uint64_t w;

			memcpy(&w, p, 8);
			if (w & 0x8080808080808080u)
				break;
			p += 8;
		}
		if (p == end)
			break;
		if (*p < 0x80) {
			p++;
			continue;
		}
		if (!begin_character(c, *p))
			break;
		p++;
	}
	return (size_t)(p - start);
}
