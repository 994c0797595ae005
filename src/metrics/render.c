/* SPDX-License-Identifier: MIT */
#include "metrics/render.h"
#include <stdio.h>
#include "metrics/registry_impl.h"

/* What passing a series that is left out counts for, in bytes of the budget: looking is not free either. */
#define SKIP_COST_BYTES 8

static const char *const type_names[] = {
	[METRICS_COUNTER] = "counter",
	[METRICS_GAUGE] = "gauge",
	[METRICS_HISTOGRAM] = "histogram",
};

/* Which series a line belongs to. */
struct series_head {
	const struct metrics_family *f;
	const struct metrics_name *model, *tenant; /* NULL: the family has no such label */
	const char *value;			   /* of the fixed label, "" without */
};

static void
add_number(struct buf *out, double v)
{
	if (v > -9007199254740992.0 && v < 9007199254740992.0 && v == (double)(int64_t)v)
		buf_addf(out, "%lld", (long long)v);
	else
		buf_addf(out, "%.12g", v);
}

static void
add_label(struct buf *out, bool *any, struct slice label)
{
	buf_add_char(out, *any ? ',' : '{');
	buf_add_slice(out, label);
	*any = true;
}

/* One line: name and suffix, labels, @le unless NULL, value. */
static void
add_line(struct buf *out, const struct series_head *h, const char *suffix, const char *le, double v)
{
	const struct metrics_label *label = metrics_family_label(h->f);
	bool any = false;

	buf_add_str(out, h->f->name);
	buf_add_str(out, suffix);
	if (h->model)
		add_label(out, &any, buf_slice(&h->model->label));
	if (h->tenant)
		add_label(out, &any, buf_slice(&h->tenant->label));
	if (h->model && h->f->engine)
		add_label(out, &any, buf_slice(&h->model->engine));
	if (label->key[0]) {
		buf_addf(out, "%s%s=\"%s\"", any ? "," : "{", label->key, h->value);
		any = true;
	}
	if (le) {
		buf_addf(out, "%sle=\"%s\"", any ? "," : "{", le);
		any = true;
	}
	buf_add_str(out, any ? "} " : " ");
	add_number(out, v);
	buf_add_char(out, '\n');
}

static void
add_histogram(struct buf *out, const struct series_head *h, const double *cells)
{
	const struct metrics_family *f = h->f;
	double below = 0;
	char le[32];

	for (unsigned i = 0; i < f->n_buckets; i++) {
		below += cells[i];
		snprintf(le, sizeof(le), "%g", f->buckets[i]);
		add_line(out, h, "_bucket", le, below);
	}
	below += cells[f->n_buckets];
	add_line(out, h, "_bucket", "+Inf", below);
	add_line(out, h, "_sum", NULL, cells[f->n_buckets + 1]);
	add_line(out, h, "_count", NULL, below);
}

static bool
has_samples(const struct metrics_family *f, const double *cells)
{
	if (f->type != METRICS_HISTOGRAM)
		return cells[0] != 0;
	for (unsigned i = 0; i <= f->n_buckets; i++)
		if (cells[i] > 0)
			return true;
	return false;
}

/* Few series, worth having from the start, so that a rate over them is right from the first event on. */
static bool
always_shown(const struct metrics *m, const struct metrics_family *f, const struct series_head *h)
{
	if (f->row == METRICS_ROW_GLOBAL)
		return true;
	return f->row == METRICS_ROW_MODEL && f->type != METRICS_HISTOGRAM &&
	       h->model != &m->models[metrics_model_other(m)];
}

/* All values of the fixed label at one place. */
static void
add_place(const struct metrics *m, const struct metrics_render *r, struct buf *out)
{
	const struct metrics_family *f = &metrics_families[r->family];
	const struct metrics_label *label = metrics_family_label(f);
	const double *cells = metrics_cells(m, r->family, r->model, r->tenant);
	struct series_head h = { .f = f };

	if (!cells)
		return;
	if (f->row == METRICS_ROW_MODEL || f->row == METRICS_ROW_PAIR)
		h.model = &m->models[r->model];
	if (f->row == METRICS_ROW_TENANT || f->row == METRICS_ROW_PAIR)
		h.tenant = &m->tenants[r->tenant];
	if ((h.model && h.model->label.n == 0) || (h.tenant && h.tenant->label.n == 0))
		return; /* a place without a name */
	for (unsigned i = 0; i < label->n; i++, cells += metrics_series_cells(f)) {
		h.value = label->values[i];
		if (!always_shown(m, f, &h) && !has_samples(f, cells))
			continue;
		if (f->type == METRICS_HISTOGRAM)
			add_histogram(out, &h, cells);
		else
			add_line(out, &h, "", NULL, cells[0]);
	}
}

static void
begin_family(struct metrics_render *r, struct buf *out)
{
	const struct metrics_family *f = &metrics_families[r->family];

	buf_addf(out, "# HELP %s %s\n# TYPE %s %s\n", f->name, f->help, f->name, type_names[f->type]);
	r->begun = true;
}

/* To the next place of the family, or to the next family. */
static void
advance(const struct metrics *m, struct metrics_render *r)
{
	enum metrics_row row = metrics_families[r->family].row;
	bool tenants = row == METRICS_ROW_TENANT || row == METRICS_ROW_PAIR;
	bool models = row == METRICS_ROW_MODEL || row == METRICS_ROW_PAIR;

	if (tenants && ++r->tenant < m->n_tenants)
		return;
	r->tenant = 0;
	if (models && ++r->model < m->n_models)
		return;
	*r = (struct metrics_render){ .family = r->family + 1 };
}

bool
metrics_render_some(const struct metrics *m, struct metrics_render *r, struct buf *out, size_t budget)
{
	size_t start = out->n, passed = 0;

	while (r->family < METRICS_IDS) {
		if (out->n - start + passed >= budget && passed > 0)
			return false;
		if (!r->begun)
			begin_family(r, out);
		add_place(m, r, out);
		advance(m, r);
		passed += SKIP_COST_BYTES;
	}
	return true;
}
