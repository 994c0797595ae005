/* SPDX-License-Identifier: MIT */
#include "base/utf8.h"

#include <string.h>

bool
utf8_feed(struct utf8_check *c, const char *s, size_t n)
{
	const unsigned char *p = (const unsigned char *)s, *end = p + n;

	while (p < end) {
		if (c->left) {
			if (*p < c->lo || *p > c->hi)
				return false;
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
		c->lo = 0x80, c->hi = 0xbf;
		if (*p >= 0xc2 && *p <= 0xdf) {
			c->left = 1;
		} else if (*p >= 0xe0 && *p <= 0xef) {
			c->left = 2;
			if (*p == 0xe0)
				c->lo = 0xa0;
			else if (*p == 0xed)
				c->hi = 0x9f;
		} else if (*p >= 0xf0 && *p <= 0xf4) {
			c->left = 3;
			if (*p == 0xf0)
				c->lo = 0x90;
			else if (*p == 0xf4)
				c->hi = 0x8f;
		} else {
			return false;
		}
		p++;
	}
	return true;
}
