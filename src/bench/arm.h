/* SPDX-License-Identifier: MIT */
/*
 * arm - one arm of a comparison: the same load on the same engine, through another policy.
 *
 * An arm starts its gateway (if it has one) and its load as processes, watches the engine meanwhile, stops both, and waits
 * until the engine is idle, so that the next arm begins like this one.  All arms follow one rule for what is measured.
 */
#pragma once
#include <stdbool.h>
#include "bench/engine_watch.h"
#include "bench/load_result.h"
#include "bench/stage.h"
#include "wire/report.h"

#define ARM_QUIET "quiet"
#define ARM_FLOODER "flooder"
#define ARM_LAG_P99_MAX_MS 20.0 /* a load that is further behind its plan has measured itself */
#define ARM_FAILED_SHARE_MAX                                                                       \
	0.01 /* of the requests; more, and the arm says nothing about policies */
#define ARM_FULL_WIDTH                                                                             \
	0.95 /* running so much of the width counts as full: a place takes a step to be filled */
#define ARM_SATURATED_SHARE 0.8 /* of the looks at the engine */
#define ARM_LOG_BYTES 2048

struct arm_kind {
	const char *name, *scheduling;
	bool gateway, flooder;
	const char *config;
};

#define ARM_KINDS_MAX 16
extern const struct arm_kind arm_kinds[];
extern const unsigned arm_kinds_count;
/* NULL when there is none of that name. */
const struct arm_kind *arm_kind_find(struct slice name);

struct arm_outcome {
	struct load_result load;
	unsigned looks, full; /* at the engine in the measured phase; how often it was full */
	char error[REPORT_ERROR_BYTES]; /* empty: the arm is good */
	char log[ARM_LOG_BYTES];	/* last lines of the process that is to blame, or empty */
};

struct arm_setup {
	struct stage *stage;
	struct engine_watch *watch;
	const char *engine_url, *model;
	unsigned width;	       /* sequences that the engine runs at a time */
	const char *folder;    /* private, for the gateway's configuration */
	struct load_spec load; /* phases, seed; tenants[0] is the quiet one, tenants[1] the flooder */
	void (*progress)(void *ctx, const struct load_result *r); /* twice a second; may be NULL */
	void *ctx;
};

/* The gateway's configuration file for this arm. */
void arm_write_config(const struct arm_kind *k, const char *engine_url, const char *model,
		      unsigned width, struct buf *out);
/* 0, with ret->error filled when the arm failed, or -EINTR. */
MUST_CHECK int arm_run(struct arm_setup *s, const struct arm_kind *k, struct arm_outcome *ret);
/* What the engine can do: tokens a second with exactly its width of the flooder's requests going.  The same returns. */
MUST_CHECK int arm_probe(struct arm_setup *s, double *ret_tokens_per_s, struct arm_outcome *ret);
/* True when the engine was seen full for most of the measured phase. */
bool arm_was_saturated(const struct arm_outcome *o);
/* Adds the arm to the report.  Ratios and shares refer to the arms solo and direct, if those came before it and are good. */
void arm_report(struct report *r, const struct arm_kind *k, const struct arm_outcome *o);
