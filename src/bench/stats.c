/* SPDX-License-Identifier: MIT */
#include "bench/stats.h"
#include <math.h>
#include <stdlib.h>
#include "base/must.h"

#define FIRST_CAP 256

void
stats_init(struct stats_samples *s, size_t max)
{
	*s = (struct stats_samples){ .max = max };
}

void
stats_finish(struct stats_samples *s)
{
	free(s->v);
	*s = (struct stats_samples){ 0 };
}

void
stats_add(struct stats_samples *s, double v)
{
	if (s->n == s->max) {
		s->lost++;
		return;
	}
	if (s->n == s->cap) {
		s->cap = MIN(s->max, MAX((size_t)FIRST_CAP, 2 * s->cap));
		s->v = must_realloc(s->v, s->cap * sizeof(*s->v));
	}
	s->v[s->n++] = v;
}

static int
ascending(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

double
stats_quantile(struct stats_samples *s, double q)
{
	double at, part;
	size_t low;

	if (s->n == 0)
		return NAN;
	qsort(s->v, s->n, sizeof(*s->v), ascending);
	at = q * (double)(s->n - 1);
	low = (size_t)at;
	part = at - (double)low;
	/* Not for a part of 0: zero times infinity is no number. */
	if (part > 0 && low + 1 < s->n)
		return isinf(s->v[low + 1]) ? s->v[low + 1]
					    : s->v[low] + part * (s->v[low + 1] - s->v[low]);
	return s->v[low];
}

double
stats_ratio(double a, double b)
{
	if (isnan(a) || !isfinite(b) || b <= 0)
		return NAN;
	return a / b;
}
