/* SPDX-License-Identifier: MIT */
#include "base/must.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

_Noreturn void
must_fail(const char *cond, const char *file, int line)
{
	fprintf(stderr, "kvwarden: %s:%d: broken invariant: %s\n", file, line, cond);
	abort();
}

void *
must_malloc(size_t n)
{
	void *p = malloc(n ? n : 1);

	if (!p)
		must_fail("out of memory", __FILE__, __LINE__);
	return p;
}

void *
must_calloc(size_t n, size_t size)
{
	void *p = calloc(n ? n : 1, size ? size : 1);

	if (!p)
		must_fail("out of memory", __FILE__, __LINE__);
	return p;
}

void *
must_realloc(void *p, size_t n)
{
	void *q = realloc(p, n ? n : 1);

	if (!q)
		must_fail("out of memory", __FILE__, __LINE__);
	return q;
}

char *
must_strdup(const char *s)
{
	size_t n = strlen(s) + 1;

	return memcpy(must_malloc(n), s, n);
}
