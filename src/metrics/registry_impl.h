/* SPDX-License-Identifier: MIT */
/* registry_impl - what registry.c and render.c share: the table of families and where their cells are. */
#pragma once
#include "metrics/registry.h"

enum metrics_type {
	METRICS_COUNTER,
	METRICS_GAUGE,
	METRICS_HISTOGRAM
};

/* Where a family's cells live. */
enum metrics_row {
	METRICS_ROW_GLOBAL,
	METRICS_ROW_MODEL,
	METRICS_ROW_TENANT,
	METRICS_ROW_PAIR,
	METRICS_ROWS
};

struct metrics_label {
	const char *key; /* "": the family has no fixed label */
	const char *const *values;
	unsigned n; /* at least 1 */
};

struct metrics_family {
	const char *name, *help;
	enum metrics_type type;
	enum metrics_row row;
	bool engine;	/* series carry the model's engine label too */
	unsigned label; /* which entry of labels.def */
	const double *buckets;
	unsigned n_buckets; /* without +Inf */
};

extern const struct metrics_family metrics_families[METRICS_IDS];

/* A model's or tenant's labels, escaped once and written often. */
struct metrics_name {
	struct buf raw;	   /* the name as given */
	struct buf label;  /* model="…" or tenant="…" */
	struct buf engine; /* engine="…", models only */
};

struct metrics {
	unsigned n_models, n_tenants; /* with the places of "_other" */
	struct metrics_name *models, *tenants;
	double *global;
	double *model_rows, *tenant_rows;
	double **pair_rows; /* [model * n_tenants + tenant], NULL until needed */
};

/* Cells of one series: one number, or buckets (not cumulated), +Inf and the sum. */
static inline unsigned
metrics_series_cells(const struct metrics_family *f)
{
	return f->type == METRICS_HISTOGRAM ? f->n_buckets + 2 : 1;
}

const struct metrics_label *metrics_family_label(const struct metrics_family *f);
/* The family's first cell for @model and @tenant, which must be in range; NULL when the pair has no row. */
double *metrics_cells(const struct metrics *m, enum metrics_id id, unsigned model, unsigned tenant);
