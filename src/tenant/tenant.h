/* SPDX-License-Identifier: MIT */
/*
 * tenant - who pays: identity by key or name, and the contract (rates, tokens, concurrency).
 *
 * Pure and clockless.  The table is set up from rules; every field of a rule is resolved already (inherited, defaulted).
 * Configured tenants are never dropped.  Names that only a header brought share a bounded part of the table: when it is
 * full the one that was idle longest gives its place, and when none is idle the newcomer is put with the others into one
 * tenant named "_other".  Keys are known by their SHA-256 only.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "base/digest.h"
#include "base/list.h"
#include "base/map.h"
#include "tenant/tenant_params.h"
#include "tenant/token_bucket.h"

struct tenant_usage {
	uint64_t ok, failed, refused_rate, refused_tokens, refused_concurrency, refused_queue;
	uint64_t tokens_in, tokens_out;
	double engine_s; /* seconds that its requests spent in engines, added up */
};

struct tenant {
	char id[TENANT_ID_MAX + 1];
	unsigned index;	 /* its place in the table: 0 to tenant_table_capacity() - 1 */
	unsigned label;	 /* metric label: below TENANT_LABELS_MAX its own, else the shared one */
	bool configured; /* named by a rule: stays for ever */
	bool alive;	 /* the place is taken */
	int organisation;
	struct tenant_limits limits;
	struct token_bucket requests, tokens;
	unsigned active; /* admitted and not released: queued or in an engine */
	unsigned waiting; /* requests that wait for a limit, without a ticket; the router counts them */
	unsigned pins; /* requests that refer to it, with a ticket or without: it keeps its place */
	struct tenant_usage usage;
	struct list idle_link; /* on the table's list of unknown tenants, longest unused first */
	uint64_t generation;   /* changes when the place gets another tenant */
};

struct tenant_table;

/* @seed: for the hash of names, unpredictable. */
struct tenant_table *tenant_table_create(unsigned configured_max, unsigned unknown_max, uint64_t seed);
void tenant_table_destroy(struct tenant_table *t);
unsigned tenant_table_capacity(const struct tenant_table *t);
/* The tenant in place @index, or NULL while it is free. */
struct tenant *tenant_table_at(struct tenant_table *t, unsigned index);

/* Applies rules: living tenants keep their counts and what is in their buckets.  Whole or not at all: -ENOSPC when there
 * are more rules than configured_max. */
MUST_CHECK int
tenant_table_configure(struct tenant_table *t, const struct tenant_rules *rules, uint64_t now_us);

/* The tenant of an API key, or NULL.  Every key is compared in constant time. */
struct tenant *
tenant_by_key(struct tenant_table *t, struct slice key, const struct tenant_key **ret_key);
/* The tenant of that name; made when it is new.  NULL when the name is not valid (tenant_id_valid). */
struct tenant *tenant_by_name(struct tenant_table *t, struct slice name, uint64_t now_us);
bool tenant_id_valid(struct slice id);

enum tenant_limit {
	TENANT_LIMIT_NONE,
	TENANT_LIMIT_RATE,
	TENANT_LIMIT_TOKENS,
	TENANT_LIMIT_CONCURRENCY
};

/* What one request holds of its tenant.  Zero it before use. */
struct tenant_ticket {
	struct tenant *tenant; /* NULL: nothing is held */
	double tokens;	       /* reserved */
};

struct tenant_refusal {
	enum tenant_limit limit;
	enum tenant_action action;
	uint64_t retry_us; /* when it is worth trying again, from now; a guess for concurrency */
};

/* Takes one request and @tokens estimated tokens.  A request over a limit spends nothing.  The order is the original's:
 * rate, concurrency, then ours: tokens.  False with @why filled on refusal. */
bool tenant_admit(struct tenant *t, double tokens, uint64_t now_us, struct tenant_ticket *ticket,
		  struct tenant_refusal *why);
/* May a request of @tokens wait for a limit whose action is `queue`?  False with @why filled when one whose action is
 * `reject` is over; for a concurrency cap those that wait already count too. */
bool tenant_may_wait(struct tenant *t, double tokens, uint64_t now_us, struct tenant_refusal *why);
/* Ends what the ticket holds, exactly once; further calls do nothing.  @tokens is what the request really used: the
 * difference to the reservation is charged or given back. */
void tenant_settle(struct tenant_ticket *ticket, double tokens, uint64_t now_us);

/* Ends what the ticket holds as if the request had never come: for one that was refused afterwards. */
void tenant_refund(struct tenant_ticket *ticket, uint64_t now_us);

/* For x-ratelimit-* headers; limit 0 means that there is none. */
struct tenant_headroom {
	double limit, remaining;
	uint64_t reset_us; /* until the bucket is full again */
};
void tenant_headroom(struct tenant *t, uint64_t now_us, struct tenant_headroom *requests,
		     struct tenant_headroom *tokens);

#define TENANT_DURATION_LEN 32
/* "12ms", "1.5s", "6m0s": as OpenAI's headers have it. */
void tenant_duration(uint64_t us, char out[TENANT_DURATION_LEN]);
