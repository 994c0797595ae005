/* SPDX-License-Identifier: MIT */
/*
 * render - the registry as Prometheus text (exposition format 0.0.4), a slice at a time.
 *
 * Ten thousands of series take longer to write than a loop may be held; so the writer stops after a budget and goes on in
 * a later turn.  One series (all lines of a histogram) is always written at once and is consistent in itself; series
 * written in different slices are of different moments.  Series of models and tenants that were never touched are left
 * out, except gauges and counters of a named model; those without model and tenant are always there, zero or not.
 */
#pragma once
#include <stdbool.h>
#include "metrics/registry.h"

#define METRICS_CONTENT_TYPE "text/plain; version=0.0.4; charset=utf-8"
/* A budget that keeps one slice far below a millisecond. */
#define METRICS_RENDER_BUDGET ((size_t)64 << 10)

/* Where the writer stands.  Zero it to begin. */
struct metrics_render {
	unsigned family;
	unsigned model, tenant;
	bool begun; /* the family's HELP and TYPE are written */
};

/* Appends series to @out until about @budget bytes are written or that much time's worth of empty rows is passed; never
 * less than one series.  True when all is written. */
bool
metrics_render_some(const struct metrics *m, struct metrics_render *r, struct buf *out, size_t budget);
