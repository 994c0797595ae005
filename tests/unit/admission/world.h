/* SPDX-License-Identifier: MIT */
/* world - a few tenants at one engine, and requests that are given to it and taken out by name. */
#pragma once
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "admission/admission.h"

#define MS 1000ull
#define S (1000 * MS)
#define T0 (1000 * S)
#define WORLD_REQUESTS 4096

struct world {
	struct admission *a;
	struct admission_params p;
	struct admission_flow noisy, quiet, third;
	struct admission_request pool[WORLD_REQUESTS];
	unsigned used;
	uint64_t now;
	/* what the gate turns away, and until when */
	const struct admission_flow *shut;
	uint64_t shut_until_us;
};

static struct world w;

static inline bool
world_gate(void *ctx, struct admission_request *r, uint64_t now_us, uint64_t *retry_us)
{
	(void)ctx;
	if (r->flow != w.shut || now_us >= w.shut_until_us)
		return true;
	*retry_us = w.shut_until_us;
	return false;
}

static inline void
world_flow(struct admission_flow *f, unsigned engine, double weight, struct admission_share *share)
{
	*f = (struct admission_flow){ .weight = weight,
				      .priority = 1,
				      .max_requests = 1000000,
				      .max_bytes = UINT64_MAX / 2,
				      .max_age_us = 60 * S };
	admission_flow_init(w.a, f, engine, share);
}

/* One engine, ready, with @window places. */
static inline void
world_start(enum admission_policy policy, unsigned window)
{
	memset(&w, 0, sizeof(w));
	w.p.policy = policy;
	w.now = T0;
	w.a = admission_create(&w.p, world_gate, &w);
	admission_set_window(w.a, 0, window);
	admission_engine_ready(w.a, 0, true);
	world_flow(&w.noisy, 0, 1, NULL);
	world_flow(&w.quiet, 0, 1, NULL);
	world_flow(&w.third, 0, 1, NULL);
}

static inline void
world_stop(void)
{
	admission_destroy(w.a);
}

static inline enum admission_reason
world_try(struct admission_flow *f, double cost, int64_t max_tokens, struct admission_request **ret,
	  uint64_t *wait_us)
{
	struct admission_request *r = &w.pool[w.used++];

	assert_true(w.used <= WORLD_REQUESTS);
	*r = (struct admission_request){ .flow = f, .cost = cost, .bytes = 100, .max_tokens = max_tokens };
	*ret = r;
	return admission_arrive(w.a, r, w.now, wait_us);
}

static inline struct admission_request *
arrive(struct admission_flow *f, double cost, int64_t max_tokens)
{
	struct admission_request *r;
	uint64_t wait_us;

	assert_int_equal(world_try(f, cost, max_tokens, &r, &wait_us), ADMISSION_OK);
	return r;
}

static inline void
arrive_many(struct admission_flow *f, unsigned n, double cost)
{
	for (unsigned i = 0; i < n; i++)
		arrive(f, cost, -1);
}

static inline struct admission_request *
grant(void)
{
	return admission_next_grant(w.a, w.now);
}

/* Grants and finishes one request, as an engine that serves them one by one; whose it was. */
static inline struct admission_flow *
serve(void)
{
	struct admission_request *r = grant();

	assert_non_null(r);
	admission_finish(w.a, r, -1, w.now);
	return r->flow;
}

/* How many of the next @n served are @f's. */
static inline unsigned
share_of_next(unsigned n, const struct admission_flow *f)
{
	unsigned mine = 0;

	for (unsigned i = 0; i < n; i++)
		mine += serve() == f;
	return mine;
}

static inline struct admission_engine_stats
engine_stats(unsigned engine)
{
	struct admission_engine_stats s;

	admission_engine_stats(w.a, engine, &s);
	return s;
}
