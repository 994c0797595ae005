/* SPDX-License-Identifier: MIT */
/*
 * registry - the numbers behind /metrics, from one table (metrics.def).
 *
 * Series with a model or a tenant stand in rows: one row a model, one a tenant, one a (model, tenant).  A row holds all
 * families of its scope side by side, so that an update is one addition at a known place: O(1), no lock, no search.
 * Rows of models and tenants exist from the start or from their naming; a (model, tenant) row is made by the first event
 * that needs it, or earlier by metrics_prepare(), and then stays.
 *
 * Models and tenants are indices that the caller gives; both are bounded, and each has one shared last place, labelled
 * "_other", for what is not known or came too late.  Memory is bounded by
 * (models + 1) * (tenants + 1) * metrics_pair_row_bytes(), about 1 KiB a pair that was seen.
 *
 * Used on one thread.  Values are doubles: counts are exact up to 2^53.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/str.h"

#define METRICS_MODELS_MAX 256
#define METRICS_TENANTS_MAX 1000
#define METRICS_OTHER "_other"
#define METRICS_NAME_MAX                                                                           \
	256 /* bytes of a model's, tenant's or engine's name; longer ones are cut */

/* Upper bounds in seconds; +Inf follows by itself. */
#define METRICS_BUCKETS_LATENCY 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60
#define METRICS_BUCKETS_COLD_START 10, 30, 60, 120, 300, 600
#define METRICS_BUCKETS_TENANT_TTFT 0.025, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60
#define METRICS_BUCKETS_ADMISSION_WAIT 0.001, 0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1, 5, 10, 30
#define METRICS_BUCKETS_SHORT                                                                      \
	0.001, 0.0025, 0.005, 0.01, 0.015, 0.025, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1, 2.5, 5,    \
		10, 30, 60
#define METRICS_BUCKETS_TPOT                                                                       \
	0.001, 0.0025, 0.005, 0.0075, 0.01, 0.015, 0.02, 0.03, 0.05, 0.075, 0.1, 0.25, 0.5, 1
#define METRICS_BUCKETS_OVERHEAD                                                                   \
	0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.25, 1

enum metrics_id {
#define X(ID, name, TYPE, SCOPE, LABEL, BUCKETS, help) METRIC_##ID,
#include "metrics/metrics.def"
#undef X
	METRICS_IDS
};

/* Values of the fixed labels: METRIC_STATUS_OK, METRIC_REASON_RATE_LIMIT, METRIC_STATE_READY, ... */
#define V(LABEL, VALUE, text) METRIC_##LABEL##_##VALUE,
#define L(LABEL, key, values) enum metrics_label_##LABEL{ values METRIC_##LABEL##_VALUES };
#include "metrics/labels.def"
#undef L
#undef V

struct metrics;

/* Room for @models and @tenants, 0 to METRICS_MODELS_MAX and METRICS_TENANTS_MAX. */
struct metrics *metrics_create(unsigned models, unsigned tenants);
void metrics_destroy(struct metrics *m);
size_t metrics_pair_row_bytes(void);

/* Names a place.  Another name for a place that has one begins its series anew, from nothing.  @engine is the engine
 * label of the model's series ("vllm", "sim", ...); it may change without that. */
void metrics_set_model(struct metrics *m, unsigned model, struct slice name, struct slice engine);
void metrics_set_tenant(struct metrics *m, unsigned tenant, struct slice name);
/* The places labelled "_other": any index beyond them means them too. */
unsigned metrics_model_other(const struct metrics *m);
unsigned metrics_tenant_other(const struct metrics *m);

/* Which series of a family.  What the family's scope does not have is not looked at; @label is a value of its fixed
 * label, 0 when it has none. */
struct metrics_at {
	unsigned model, tenant;
	unsigned label;
};

/* Makes the row of (model, tenant), so that no later event of the pair allocates. */
void metrics_prepare(struct metrics *m, unsigned model, unsigned tenant);
void metrics_add(struct metrics *m, enum metrics_id id, struct metrics_at at, double n);
/* Gauges, and counters that somebody else keeps. */
void metrics_set(struct metrics *m, enum metrics_id id, struct metrics_at at, double value);
/* One sample of a histogram.  Negative and not-a-number count as 0. */
void metrics_observe(struct metrics *m, enum metrics_id id, struct metrics_at at, double seconds);

/* For a family without model and tenant: metrics_add(m, METRIC_X, METRICS_GLOBAL, 1). */
#define METRICS_GLOBAL ((struct metrics_at){ 0 })

/* What a series holds now (a histogram: the number of samples); 0 when it was never touched. */
double metrics_value(const struct metrics *m, enum metrics_id id, struct metrics_at at);
