/* SPDX-License-Identifier: MIT */
#include "admission/policy.h"

#include <errno.h>
#include <string.h>

static const struct admission_request *
request_of(const struct heap_node *n)
{
	return container_of((uintptr_t)n, const struct admission_request, node);
}

static const struct admission_flow *
flow_of(const struct heap_node *n)
{
	return container_of((uintptr_t)n, const struct admission_flow, node);
}

static const struct admission_share *
share_of(const struct heap_node *n)
{
	return container_of((uintptr_t)n, const struct admission_share, node);
}

bool
admission_request_less(const struct heap_node *a, const struct heap_node *b)
{
	const struct admission_request *x = request_of(a), *y = request_of(b);

	return x->rank != y->rank ? x->rank < y->rank : x->seq < y->seq;
}

/* by the head of the queue */
static bool
flow_less_by_head(const struct heap_node *a, const struct heap_node *b)
{
	return admission_request_less(heap_peek(&flow_of(a)->requests), heap_peek(&flow_of(b)->requests));
}

static bool
share_less_by_head(const struct heap_node *a, const struct heap_node *b)
{
	return flow_less_by_head(heap_peek(&share_of(a)->flows), heap_peek(&share_of(b)->flows));
}

/* by service received; equal service goes by the age of the head, so that the order is total */
static bool
flow_less_by_vtime(const struct heap_node *a, const struct heap_node *b)
{
	const struct admission_flow *x = flow_of(a), *y = flow_of(b);

	return x->vtime != y->vtime ? x->vtime < y->vtime : flow_less_by_head(a, b);
}

static bool
share_less_by_vtime(const struct heap_node *a, const struct heap_node *b)
{
	const struct admission_share *x = share_of(a), *y = share_of(b);

	return x->vtime != y->vtime ? x->vtime < y->vtime : share_less_by_head(a, b);
}

static int64_t
rank_none(const struct admission_flow *f, const struct admission_request *r)
{
	(void)f, (void)r;
	return 0;
}

/* The original's length buckets: short, medium, long, xlarge. */
static int64_t
length_bucket(const struct admission_request *r)
{
	int64_t tokens = r->max_tokens < 0 ? ADMISSION_OUTPUT_TOK_ASSUMED : r->max_tokens;

	return tokens <= 256 ? 0 : tokens <= 1024 ? 1 : tokens <= 4096 ? 2 : 3;
}

/* Among the requests of one tenant short answers go first. */
static int64_t
rank_length(const struct admission_flow *f, const struct admission_request *r)
{
	(void)f;
	return length_bucket(r);
}

/* The original's score.  `active` counts this request too. */
static int64_t
rank_drr(const struct admission_flow *f, const struct admission_request *r)
{
	int64_t active = r->active ? (int64_t)r->active : (int64_t)f->queued + f->granted + 1;

	return (active * 10 + f->priority) * 100 + length_bucket(r);
}

const struct admission_policy_ops admission_policies[ADMISSION_POLICIES] = {
	[ADMISSION_FIFO] = { "fifo", 0, false, rank_none, flow_less_by_head, share_less_by_head },
	[ADMISSION_DRR] = { "drr", 0, false, rank_drr, flow_less_by_head, share_less_by_head },
	[ADMISSION_WINDOW] = { "window", ADMISSION_WINDOW_DEFAULT, true, rank_length,
			       flow_less_by_vtime, share_less_by_vtime },
};

int
admission_policy_parse(const char *name, enum admission_policy *ret)
{
	if (!strcmp(name, "fair")) {
		*ret = ADMISSION_WINDOW;
		return 0;
	}
	for (unsigned i = 0; i < ADMISSION_POLICIES; i++)
		if (!strcmp(name, admission_policies[i].name)) {
			*ret = i;
			return 0;
		}
	return -EINVAL;
}

const char *
admission_policy_name(enum admission_policy p)
{
	return admission_policies[p].name;
}
