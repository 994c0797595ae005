/* SPDX-License-Identifier: MIT */
#include "bench/arrival.h"
#include <math.h>
#include "base/must.h"

double
arrival_gap_us(enum load_arrival kind, double rate_rps, struct rng *rng)
{
	double mean_us = 1e6 / rate_rps;

	must(kind != LOAD_CLOSED && rate_rps > 0);
	return kind == LOAD_POISSON ? rng_exp(rng, mean_us) : mean_us;
}

unsigned
load_length_draw(const struct load_length *l, struct rng *rng)
{
	double tok = l->median_tok;

	if (l->sigma > 0)
		tok *= exp(l->sigma * rng_normal(rng));
	return (unsigned)MAX(1.0, MIN(round(tok), (double)LOAD_LENGTH_MAX_TOK));
}
