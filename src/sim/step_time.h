/* SPDX-License-Identifier: MIT */
/*
 * step_time - how long one step of an engine takes, from what is in it; presets for known machines.
 *
 * The model and its constants stand in step_presets.def.  Times are milliseconds of the simulation.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "base/str.h"

#define STEP_POINTS_MAX 16

struct step_preset {
	const char *name, *about;
	struct {
		double tokens, ms;
	} lin[STEP_POINTS_MAX + 1]; /* ends with tokens 0 */
	double kv_ns, skew, pair_ms, mix_ms, idle_ms;
	unsigned budget_tok, max_seqs, kv_blocks;
	const char *host; /* the host_cpu that it was fitted with */
};

/* What one step holds. */
struct step_load {
	uint64_t tokens;	    /* all that are computed in it */
	uint64_t rows;		    /* decoding sequences */
	double context, context_sq; /* sum and sum of squares of their contexts, tokens */
	double pairs;		    /* prefill chunks: n (computed + n / 2), added up */
	bool prefill;		    /* one chunk at least */
	bool was_idle;		    /* nothing ran before it */
};

/* NULL for an unknown name. */
const struct step_preset *step_preset_find(const char *name);
/* A line each, for --help. */
void step_presets_describe(struct buf *out);
double step_time_ms(const struct step_preset *p, const struct step_load *l);
