/* SPDX-License-Identifier: MIT */
/* load_impl - what load.c (plan, phases, result) and load_request.c (one request) share. */
#pragma once
#include "base/list.h"
#include "base/rng.h"
#include "bench/load.h"
#include "bench/stats.h"
#include "http/client.h"
#include "wire/sse.h"

struct load_tenant {
	struct load *load;
	const struct load_tenant_spec *spec;
	struct http_pool *pool;
	struct rng rng;
	double next_us;		 /* of the plan; double, so that fractions of gaps add up */
	unsigned outstanding;	 /* under way or backing off */
	struct list running;	 /* load_request.link */
	struct list backing_off; /* the same, by wake_us */
	struct load_tenant_result count;
	uint64_t chunk_tok, usage_tok; /* of answers that said their usage: what a chunk is worth */
	double measured_chunks;	       /* of answers that did not, or not yet */
	struct stats_samples ttft_ms;
};

struct load_request {
	struct list link; /* running, backing off, or free */
	struct list all;
	struct load_tenant *tenant;
	struct http_call call;
	struct sse sse;
	struct buf body;
	bool measured;
	bool saw_error, saw_done;
	unsigned status;
	uint64_t planned_us, first_us, wake_us; /* first: 0 until the first token */
	uint64_t chunks, measured_chunks; /* tokens as chunks tell: all, and in the measured phase */
	int64_t usage_tok;		  /* 0: not said */
	struct buf error;		  /* beginning of a body that is no stream */
};

struct load {
	uv_loop_t *loop;
	const struct load_spec *spec;
	struct load_tenant tenants[LOAD_TENANTS_MAX];
	unsigned measured_left; /* measured requests that have not ended */
	enum load_phase phase;
	uint64_t start_us, measure_us, cool_us, end_us;
	uint64_t nonce; /* makes every prompt begin differently, so that no cache of an earlier run helps */
	struct stats_samples lag_ms;
	int timer_fd;
	uv_poll_t timer;
	struct list free, all;
	void (*done)(void *ctx);
	void *done_ctx;
	void (*closed)(void *ctx);
	void *closed_ctx;
	unsigned closing; /* handles and pools that are not closed yet */
};

/* Sends a request that was due at @planned_us; the tenant has room for it. */
void load_request_send(struct load_tenant *t, uint64_t planned_us);
/* Takes a request whose back-off is over from its tenant. */
void load_request_wake(struct load_request *r);
/* Ends a request without an answer, because the run is over. */
void load_request_give_up(struct load_request *r);
void load_request_free(struct load_request *r);

/* A tenant has room again: a closed loop goes on. */
void load_tenant_refill(struct load_tenant *t);
/* Something changed that the timer depends on. */
void load_arm(struct load *l);
/* In the measured phase? */
bool load_is_measuring(const struct load *l, uint64_t now_us);
