/* SPDX-License-Identifier: MIT */
#include "tenant/token_bucket.h"

#include <math.h>

#include "base/must.h"

void
token_bucket_init(struct token_bucket *b, double rate_per_s, double capacity, uint64_t now_us)
{
	*b = (struct token_bucket){ rate_per_s, capacity, capacity, now_us };
}

double
token_bucket_level(struct token_bucket *b, uint64_t now_us)
{
	if (now_us > b->at_us) {
		b->level = fmin(b->capacity,
				b->level + (double)(now_us - b->at_us) * b->rate_per_s / 1e6);
		b->at_us = now_us;
	}
	return b->level;
}

void
token_bucket_change(struct token_bucket *b, double rate_per_s, double capacity, uint64_t now_us)
{
	bool was_off = token_bucket_unlimited(b);
	double level = token_bucket_level(b, now_us);

	b->rate_per_s = rate_per_s;
	b->capacity = capacity;
	b->level = was_off ? capacity : fmin(level, capacity);
}

/* What @need lacks; sums of many small refills are off by some last digits. */
static double
missing(struct token_bucket *b, double need, uint64_t now_us)
{
	double m = fmin(need, b->capacity) - token_bucket_level(b, now_us);

	return m <= 1e-9 * fmax(1.0, b->capacity) ? 0 : m;
}

bool
token_bucket_has(struct token_bucket *b, double need, uint64_t now_us)
{
	return token_bucket_unlimited(b) || missing(b, need, now_us) <= 0;
}

uint64_t
token_bucket_wait_us(struct token_bucket *b, double need, uint64_t now_us)
{
	if (token_bucket_unlimited(b))
		return 0;
	return (uint64_t)fmin(ceil(missing(b, need, now_us) / b->rate_per_s * 1e6),
			      (double)TOKEN_BUCKET_WAIT_MAX_US);
}

void
token_bucket_take(struct token_bucket *b, double tokens, uint64_t now_us)
{
	if (token_bucket_unlimited(b))
		return;
	token_bucket_level(b, now_us);
	b->level = fmin(b->level - tokens, b->capacity);
}
