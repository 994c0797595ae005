/* SPDX-License-Identifier: MIT */
#include "sim/step_time.h"
#include <math.h>

#define P(tokens_, ms_) { .tokens = (tokens_), .ms = (ms_) },
#define X(name_, LIN, kv_ns_, skew_, pair_ms_, mix_ms_, idle_ms_, budget, seqs, blocks, host_, about_) \
	{                                                                                              \
		.name = (name_),                                                                       \
		.about = (about_),                                                                     \
		.lin = { LIN },                                                                        \
		.kv_ns = (kv_ns_),                                                                     \
		.skew = (skew_),                                                                       \
		.pair_ms = (pair_ms_),                                                                 \
		.mix_ms = (mix_ms_),                                                                   \
		.idle_ms = (idle_ms_),                                                                 \
		.budget_tok = (budget),                                                                \
		.max_seqs = (seqs),                                                                    \
		.kv_blocks = (blocks),                                                                 \
		.host = (host_),                                                                       \
	},
static const struct step_preset presets[] = {
#include "sim/step_presets.def"
};
#undef X
#undef P

const struct step_preset *
step_preset_find(const char *name)
{
	for (unsigned i = 0; i < ARRAY_LEN(presets); i++)
		if (strcmp(presets[i].name, name) == 0)
			return &presets[i];
	return NULL;
}

void
step_presets_describe(struct buf *out)
{
	for (unsigned i = 0; i < ARRAY_LEN(presets); i++)
		buf_addf(out, "  %-22s%s\n", presets[i].name, presets[i].about);
}

/* Linear between two points of the table, and on with the last slope behind it. */
static double
linear_part(const struct step_preset *p, double tokens)
{
	unsigned i = 0;
	double slope;

	while (p->lin[i + 2].tokens > 0 && p->lin[i + 1].tokens < tokens)
		i++;
	slope = (p->lin[i + 1].ms - p->lin[i].ms) / (p->lin[i + 1].tokens - p->lin[i].tokens);
	return p->lin[i].ms + slope * (tokens - p->lin[i].tokens);
}

/* Coefficient of variation of the contexts. */
static double
variation(const struct step_load *l)
{
	double mean = l->rows ? l->context / (double)l->rows : 0;
	double variance = l->rows ? l->context_sq / (double)l->rows - mean * mean : 0;

	return mean > 0 && variance > 0 ? sqrt(variance) / mean : 0;
}

double
step_time_ms(const struct step_preset *p, const struct step_load *l)
{
	double ms = linear_part(p, (double)l->tokens);

	ms += p->kv_ns * 1e-6 * l->context * (1 + p->skew * variation(l));
	ms += p->pair_ms * 1e-6 * l->pairs;
	if (l->prefill)
		ms += p->mix_ms;
	if (l->was_idle)
		ms += p->idle_ms;
	return ms;
}
