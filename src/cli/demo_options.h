/* SPDX-License-Identifier: MIT */
/* demo_options - what `kvwarden demo` was told on its command line. */
#pragma once
#include <stdint.h>
#include "bench/arm.h"

#define DEMO_DURATION_DEFAULT_S 12.0 /* so that all arms together take less than two minutes */
#define DEMO_DURATION_MAX_S 3600.0
#define DEMO_WIDTH_DEFAULT 64u
#define DEMO_PRESET_DEFAULT "a100-llama31-8b"

struct demo_options {
	double duration_s;
	const char *json;	/* NULL: no report is written */
	const char *engine_url; /* NULL: the simulator */
	const char *model;	/* NULL: the first one that the engine lists */
	const char *preset;
	unsigned width; /* 0: what the engine says, else DEMO_WIDTH_DEFAULT */
	uint64_t seed;
	unsigned n_arms;
	const struct arm_kind *arms[ARM_KINDS_MAX];
};

/* 0; 1 when help was asked for and printed; -EINVAL, and the reason was logged. */
MUST_CHECK int demo_options_read(struct demo_options *o, int argc, char **argv);
