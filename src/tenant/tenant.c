/* SPDX-License-Identifier: MIT */
/* The contract of one tenant: buckets, concurrency, and what is told about them. */
#include "tenant/tenant.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

/* A guess of when a seat comes free; the true time depends on the tenant's own requests. */
#define CONCURRENCY_RETRY_US 1000000u

bool
tenant_id_valid(struct slice id)
{
	if (id.n == 0 || id.n > TENANT_ID_MAX)
		return false;
	for (size_t i = 0; i < id.n; i++)
		if ((unsigned char)id.p[i] <= 0x20 || (unsigned char)id.p[i] >= 0x7f)
			return false;
	return true;
}

static bool
over(struct tenant_refusal *why, enum tenant_limit limit, enum tenant_action action, uint64_t retry_us)
{
	*why = (struct tenant_refusal){ limit, action, retry_us };
	return false;
}

bool
tenant_may_wait(struct tenant *t, double tokens, uint64_t now_us, struct tenant_refusal *why)
{
	const struct tenant_limits *l = &t->limits;

	if (l->rate_action == TENANT_REJECT && !token_bucket_has(&t->requests, 1.0, now_us))
		return over(why, TENANT_LIMIT_RATE, TENANT_REJECT,
			    token_bucket_wait_us(&t->requests, 1.0, now_us));
	if (l->concurrency_action == TENANT_REJECT && l->max_concurrent &&
	    t->active + t->waiting >= l->max_concurrent)
		return over(why, TENANT_LIMIT_CONCURRENCY, TENANT_REJECT, CONCURRENCY_RETRY_US);
	if (l->tokens_action == TENANT_REJECT && !token_bucket_has(&t->tokens, tokens, now_us))
		return over(why, TENANT_LIMIT_TOKENS, TENANT_REJECT,
			    token_bucket_wait_us(&t->tokens, tokens, now_us));
	return true;
}

bool
tenant_admit(struct tenant *t, double tokens, uint64_t now_us, struct tenant_ticket *ticket,
	     struct tenant_refusal *why)
{
	const struct tenant_limits *l = &t->limits;

	must(!ticket->tenant);
	if (!token_bucket_has(&t->requests, 1.0, now_us))
		return over(why, TENANT_LIMIT_RATE, l->rate_action,
			    token_bucket_wait_us(&t->requests, 1.0, now_us));
	if (l->max_concurrent && t->active >= l->max_concurrent)
		return over(why, TENANT_LIMIT_CONCURRENCY, l->concurrency_action, CONCURRENCY_RETRY_US);
	/* A request larger than the bucket may pass when the bucket is full, and overdraws it. */
	if (!token_bucket_has(&t->tokens, tokens, now_us))
		return over(why, TENANT_LIMIT_TOKENS, l->tokens_action,
			    token_bucket_wait_us(&t->tokens, tokens, now_us));
	token_bucket_take(&t->requests, 1.0, now_us);
	token_bucket_take(&t->tokens, tokens, now_us);
	t->active++;
	*ticket = (struct tenant_ticket){ t, tokens };
	*why = (struct tenant_refusal){ 0 };
	return true;
}

void
tenant_settle(struct tenant_ticket *ticket, double tokens, uint64_t now_us)
{
	struct tenant *t = ticket->tenant;

	if (!t)
		return;
	must(t->active > 0);
	t->active--;
	token_bucket_take(&t->tokens, tokens - ticket->tokens, now_us);
	ticket->tenant = NULL;
}

void
tenant_refund(struct tenant_ticket *ticket, uint64_t now_us)
{
	struct tenant *t = ticket->tenant;

	if (!t)
		return;
	tenant_settle(ticket, 0, now_us);
	token_bucket_take(&t->requests, -1.0, now_us);
}

static void
headroom(struct token_bucket *b, double per_minute, uint64_t now_us, struct tenant_headroom *ret)
{
	*ret = (struct tenant_headroom){ 0 };
	if (token_bucket_unlimited(b))
		return;
	ret->limit = per_minute;
	ret->remaining = fmax(0.0, floor(token_bucket_level(b, now_us) + 1e-6));
	ret->reset_us = token_bucket_wait_us(b, b->capacity, now_us);
}

void
tenant_headroom(struct tenant *t, uint64_t now_us, struct tenant_headroom *requests,
		struct tenant_headroom *tokens)
{
	headroom(&t->requests, t->limits.rate_rpm, now_us, requests);
	headroom(&t->tokens, t->limits.tokens_rpm, now_us, tokens);
}

void
tenant_duration(uint64_t us, char out[TENANT_DURATION_LEN])
{
	/* Rounded up, so that who waits that long does not come too early. */
	uint64_t ms = us / 1000 + (us % 1000 != 0), s = ms / 1000, up = s + (ms % 1000 != 0);

	if (ms < 1000)
		snprintf(out, TENANT_DURATION_LEN, "%" PRIu64 "ms", ms);
	else if (s < 60 && ms % 1000)
		snprintf(out, TENANT_DURATION_LEN, "%gs", (double)ms / 1000);
	else if (s < 60)
		snprintf(out, TENANT_DURATION_LEN, "%" PRIu64 "s", s);
	else if (up < 3600)
		snprintf(out, TENANT_DURATION_LEN, "%" PRIu64 "m%" PRIu64 "s", up / 60, up % 60);
	else
		snprintf(out, TENANT_DURATION_LEN, "%" PRIu64 "h%" PRIu64 "m%" PRIu64 "s",
			 up / 3600, up / 60 % 60, up % 60);
}
