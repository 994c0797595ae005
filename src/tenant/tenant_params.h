/* SPDX-License-Identifier: MIT */
/* tenant_params - what a tenant's contract consists of, with its bounds and defaults; the config is read into these. */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "base/digest.h"

#define TENANT_ID_MAX 128 /* bytes of a tenant's name, printable ASCII without blanks or UTF-8 */
#define TENANT_UNKNOWN_MAX                                                                         \
	1000 /* tenants known only by a header that have state of their own at a time */
#define TENANT_LABELS_MAX                                                                          \
	1000 /* tenants with a metric label of their own; the others share "_other" */
#define TENANT_OTHER "_other"
#define TENANT_DEFAULT "default"

#define TENANT_WEIGHT_DEFAULT 1.0
#define TENANT_PRIORITY_DEFAULT 1
#define TENANT_GPU_GB_DEFAULT 40.0
#define TENANT_QUEUE_REQUESTS_DEFAULT 4096
#define TENANT_QUEUE_BYTES_DEFAULT (64ull << 20)

/* What happens to a request over a limit. */
enum tenant_action {
	TENANT_REJECT,
	TENANT_QUEUE
};

struct tenant_limits {
	double rate_rpm, rate_burst; /* requests a minute; 0: off.  Burst is the bucket's capacity */
	double tokens_rpm, tokens_burst; /* tokens a minute; 0: off */
	unsigned max_concurrent;	 /* requests queued or in an engine; 0: off */
	enum tenant_action rate_action, tokens_action, concurrency_action;
	double weight;		 /* share against the others of its organisation, > 0 */
	int priority;		 /* the original's static rung; lower first, used by drr */
	double gpu_memory_gb;	 /* shown in the status, not enforced */
	unsigned queue_requests; /* bound of its queue per engine */
	uint64_t queue_bytes;
	uint64_t queue_age_us; /* longest wait there; 0: no wait at all */
};

struct tenant_rule {
	const char *pattern; /* an id, or a glob with '*' or '?' */
	bool is_glob;
	int organisation; /* index into organisations, -1: none */
	struct tenant_limits limits;
};

struct tenant_key {
	struct sha256 hash;
	const char *name; /* for logs; may be "" */
	double weight;
	unsigned rule; /* whose key it is: index of a rule that is no glob */
};

/* The caller keeps what this points to alive until the next configuration. */
struct tenant_rules {
	const struct tenant_rule *rules;
	unsigned n_rules;
	const struct tenant_key *keys;
	unsigned n_keys;
	struct tenant_limits defaults; /* for every name that no rule fits */
};
