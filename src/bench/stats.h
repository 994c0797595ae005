/* SPDX-License-Identifier: MIT */
/*
 * stats - exact quantiles over a bounded store of samples.
 *
 * Every sample is kept, so a quantile is no estimate: it lies between two samples by linear interpolation, as in most
 * published tables (type 7 of Hyndman and Fan 1996).  A request that never got its answer is the sample +INFINITY: it sorts
 * last, and a quantile that reaches it is infinite too.  Leaving such requests out would make a collapsing server look quick.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>

struct stats_samples {
	double *v;
	size_t n, cap, max;
	uint64_t lost; /* samples beyond max: when not 0, the quantiles speak of the first max samples only */
};

void stats_init(struct stats_samples *s, size_t max);
void stats_finish(struct stats_samples *s);
void stats_add(struct stats_samples *s, double v);
/* @q from 0 to 1; NAN without samples.  Sorts the store. */
double stats_quantile(struct stats_samples *s, double q);
/* a / b; NAN when either is unknown or b is not positive, INFINITY when only a is infinite. */
double stats_ratio(double a, double b);
