/* SPDX-License-Identifier: MIT */
/*
 * arrival - when the next request of a tenant is due, and how long it is.
 *
 * An open loop plans its requests by the clock alone: the next one is due at a time that does not depend on how the server
 * fares.  Whatever is late is late against that plan, so a server that stalls cannot slow down its own measurement
 * ("coordinated omission").  Pure and deterministic: the same generator gives the same plan.
 */
#pragma once
#include <stdint.h>
#include "base/rng.h"

enum load_arrival {
	LOAD_POISSON,  /* exponential gaps */
	LOAD_CONSTANT, /* equal gaps */
	LOAD_CLOSED    /* no plan: the next one goes out when one ends */
};

/* Microseconds from one planned request to the next; @rate_rps > 0 a second.  Not for LOAD_CLOSED. */
double arrival_gap_us(enum load_arrival kind, double rate_rps, struct rng *rng);

/* A length in tokens: `median` always, or log-normal around it. */
struct load_length {
	double median_tok; /* from 1 to LOAD_LENGTH_MAX_TOK */
	double sigma;	   /* of the logarithm; 0: constant */
};

#define LOAD_LENGTH_MAX_TOK 131072

/* At least 1 and at most LOAD_LENGTH_MAX_TOK. */
unsigned load_length_draw(const struct load_length *l, struct rng *rng);
