/* SPDX-License-Identifier: MIT */
#include "metrics/registry.h"
#include <stdlib.h>
#include "base/utf8.h"
#include "metrics/registry_impl.h"

/* the table ---------------------------------------------------------------------------------------------------- */
#define V(LABEL, VALUE, text) text,
#define L(LABEL, key, values) static const char *const values_##LABEL[] = { values };
#include "metrics/labels.def"
#undef L
#undef V
enum metrics_label_id {
#define L(LABEL, key, values) LABEL_##LABEL,
#include "metrics/labels.def"
#undef L
};
#define L(LABEL, name, texts)                                                                      \
	[LABEL_##LABEL] = { .key = (name), .values = values_##LABEL, .n = ARRAY_LEN(values_##LABEL) },
static const struct metrics_label labels[] = {
#include "metrics/labels.def"
};
#undef L

static const double buckets_NONE[] = { 0 };
static const double buckets_LATENCY[] = { METRICS_BUCKETS_LATENCY };
static const double buckets_COLD_START[] = { METRICS_BUCKETS_COLD_START };
static const double buckets_TENANT_TTFT[] = { METRICS_BUCKETS_TENANT_TTFT };
static const double buckets_ADMISSION_WAIT[] = { METRICS_BUCKETS_ADMISSION_WAIT };
static const double buckets_SHORT[] = { METRICS_BUCKETS_SHORT };
static const double buckets_TPOT[] = { METRICS_BUCKETS_TPOT };
static const double buckets_OVERHEAD[] = { METRICS_BUCKETS_OVERHEAD };

#define ROW_GLOBAL METRICS_ROW_GLOBAL
#define ROW_MODEL METRICS_ROW_MODEL
#define ROW_MODEL_ENGINE METRICS_ROW_MODEL
#define ROW_TENANT METRICS_ROW_TENANT
#define ROW_MODEL_TENANT METRICS_ROW_PAIR
#define ROW_MODEL_TENANT_ENGINE METRICS_ROW_PAIR
#define ENGINE_GLOBAL false
#define ENGINE_MODEL false
#define ENGINE_MODEL_ENGINE true
#define ENGINE_TENANT false
#define ENGINE_MODEL_TENANT false
#define ENGINE_MODEL_TENANT_ENGINE true

#define X(ID, name_, TYPE, SCOPE, LABEL, BUCKETS, help_)                                             \
	[METRIC_##ID] = {                                                                            \
		.name = (name_),                                                                     \
		.help = (help_),                                                                     \
		.type = METRICS_##TYPE,                                                              \
		.row = ROW_##SCOPE,                                                                  \
		.engine = ENGINE_##SCOPE,                                                            \
		.label = LABEL_##LABEL,                                                              \
		.buckets = buckets_##BUCKETS,                                                        \
		.n_buckets = METRICS_##TYPE == METRICS_HISTOGRAM ? ARRAY_LEN(buckets_##BUCKETS) : 0, \
	},
const struct metrics_family metrics_families[METRICS_IDS] = {
#include "metrics/metrics.def"
};
#undef X

const struct metrics_label *
metrics_family_label(const struct metrics_family *f)
{
	return &labels[f->label];
}

/* rows ----------------------------------------------------------------------------------------------------------- */
/* Offsets of families in their rows and the rows' sizes, in cells.  They follow from the table alone. */
static unsigned offsets[METRICS_IDS];
static unsigned row_cells[METRICS_ROWS];

static void
lay_out_rows(void)
{
	unsigned next[METRICS_ROWS] = { 0 };

	if (row_cells[METRICS_ROW_GLOBAL] > 0)
		return;
	for (unsigned id = 0; id < METRICS_IDS; id++) {
		const struct metrics_family *f = &metrics_families[id];

		offsets[id] = next[f->row];
		next[f->row] += metrics_series_cells(f) * labels[f->label].n;
	}
	memcpy(row_cells, next, sizeof(row_cells));
}

size_t
metrics_pair_row_bytes(void)
{
	lay_out_rows();
	return row_cells[METRICS_ROW_PAIR] * sizeof(double);
}

static void
names_init(struct metrics_name *names, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		buf_init(&names[i].raw, BUF_MAX_DEFAULT);
		buf_init(&names[i].label, BUF_MAX_DEFAULT);
		buf_init(&names[i].engine, BUF_MAX_DEFAULT);
	}
}

static void
names_finish(struct metrics_name *names, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		buf_finish(&names[i].raw);
		buf_finish(&names[i].label);
		buf_finish(&names[i].engine);
	}
	free(names);
}

struct metrics *
metrics_create(unsigned models, unsigned tenants)
{
	struct metrics *m = must_calloc(1, sizeof(*m));

	must(models <= METRICS_MODELS_MAX && tenants <= METRICS_TENANTS_MAX);
	lay_out_rows();
	m->n_models = models + 1;
	m->n_tenants = tenants + 1;
	m->models = must_calloc(m->n_models, sizeof(*m->models));
	m->tenants = must_calloc(m->n_tenants, sizeof(*m->tenants));
	names_init(m->models, m->n_models);
	names_init(m->tenants, m->n_tenants);
	m->global = must_calloc(row_cells[METRICS_ROW_GLOBAL], sizeof(double));
	m->model_rows = must_calloc((size_t)m->n_models * row_cells[METRICS_ROW_MODEL], sizeof(double));
	m->tenant_rows =
		must_calloc((size_t)m->n_tenants * row_cells[METRICS_ROW_TENANT], sizeof(double));
	m->pair_rows = must_calloc((size_t)m->n_models * m->n_tenants, sizeof(*m->pair_rows));
	metrics_set_model(m, models, SLICE(METRICS_OTHER), SLICE("unknown"));
	metrics_set_tenant(m, tenants, SLICE(METRICS_OTHER));
	return m;
}

void
metrics_destroy(struct metrics *m)
{
	if (!m)
		return;
	names_finish(m->models, m->n_models);
	names_finish(m->tenants, m->n_tenants);
	for (size_t i = 0; i < (size_t)m->n_models * m->n_tenants; i++)
		free(m->pair_rows[i]);
	free(m->pair_rows);
	free(m->tenant_rows);
	free(m->model_rows);
	free(m->global);
	free(m);
}

unsigned
metrics_model_other(const struct metrics *m)
{
	return m->n_models - 1;
}

unsigned
metrics_tenant_other(const struct metrics *m)
{
	return m->n_tenants - 1;
}

/* names ---------------------------------------------------------------------------------------------------------- */
/* Bytes of the first character of @s, 0 when they are not UTF-8. */
static size_t
character_len(struct slice s)
{
	struct utf8_check c = { 0 };

	for (size_t i = 0; i < s.n && utf8_feed(&c, s.p + i, 1); i++)
		if (utf8_complete(&c))
			return i + 1;
	return 0;
}

/* key="value" with what the format asks to be escaped; bytes that are not UTF-8 become U+FFFD. */
static void
render_label(struct buf *out, const char *key, struct slice value)
{
	buf_clear(out);
	buf_addf(out, "%s=\"", key);
	for (size_t i = 0; i < value.n;) {
		size_t len = character_len((struct slice){ value.p + i, value.n - i });
		char c = value.p[i];

		if (len == 0)
			buf_add_str(out, "\xEF\xBF\xBD");
		else if (c == '\n')
			buf_add_str(out, "\\n");
		else if (c == '\\' || c == '"')
			buf_addf(out, "\\%c", c);
		else
			buf_add(out, value.p + i, len);
		i += MAX(len, (size_t)1);
	}
	buf_add_char(out, '"');
}

/* True when the place had another name before. */
static bool
rename_place(struct metrics_name *place, const char *key, struct slice name)
{
	bool had_other = place->label.n > 0 && !slice_eq(buf_slice(&place->raw), name);

	buf_clear(&place->raw);
	buf_add_slice(&place->raw, name);
	render_label(&place->label, key, name);
	return had_other;
}

static struct slice
cut_name(struct slice name)
{
	return (struct slice){ name.p, MIN(name.n, (size_t)METRICS_NAME_MAX) };
}

static void
clear_pair(struct metrics *m, unsigned model, unsigned tenant)
{
	double *row = m->pair_rows[(size_t)model * m->n_tenants + tenant];

	if (row)
		memset(row, 0, metrics_pair_row_bytes());
}

void
metrics_set_model(struct metrics *m, unsigned model, struct slice name, struct slice engine)
{
	unsigned cells = row_cells[METRICS_ROW_MODEL];

	must(model < m->n_models);
	render_label(&m->models[model].engine, "engine", cut_name(engine));
	if (!rename_place(&m->models[model], "model", cut_name(name)))
		return;
	memset(m->model_rows + (size_t)model * cells, 0, cells * sizeof(double));
	for (unsigned t = 0; t < m->n_tenants; t++)
		clear_pair(m, model, t);
}

void
metrics_set_tenant(struct metrics *m, unsigned tenant, struct slice name)
{
	unsigned cells = row_cells[METRICS_ROW_TENANT];

	must(tenant < m->n_tenants);
	if (!rename_place(&m->tenants[tenant], "tenant", cut_name(name)))
		return;
	memset(m->tenant_rows + (size_t)tenant * cells, 0, cells * sizeof(double));
	for (unsigned i = 0; i < m->n_models; i++)
		clear_pair(m, i, tenant);
}

/* updates ---------------------------------------------------------------------------------------------------------- */
void
metrics_prepare(struct metrics *m, unsigned model, unsigned tenant)
{
	double **row;

	model = MIN(model, metrics_model_other(m));
	tenant = MIN(tenant, metrics_tenant_other(m));
	row = &m->pair_rows[(size_t)model * m->n_tenants + tenant];
	if (!*row)
		*row = must_calloc(row_cells[METRICS_ROW_PAIR], sizeof(double));
}

double *
metrics_cells(const struct metrics *m, enum metrics_id id, unsigned model, unsigned tenant)
{
	double *row;

	switch (metrics_families[id].row) {
	case METRICS_ROW_MODEL:
		row = m->model_rows + (size_t)model * row_cells[METRICS_ROW_MODEL];
		break;
	case METRICS_ROW_TENANT:
		row = m->tenant_rows + (size_t)tenant * row_cells[METRICS_ROW_TENANT];
		break;
	case METRICS_ROW_PAIR:
		row = m->pair_rows[(size_t)model * m->n_tenants + tenant];
		break;
	default:
		row = m->global;
	}
	return row ? row + offsets[id] : NULL;
}

/* The first cell of the series at @at, or NULL when its pair has no row. */
static double *
find_series(const struct metrics *m, enum metrics_id id, struct metrics_at at)
{
	const struct metrics_family *f = &metrics_families[id];
	unsigned model = MIN(at.model, metrics_model_other(m));
	unsigned tenant = MIN(at.tenant, metrics_tenant_other(m));
	double *cells;

	must(at.label < labels[f->label].n);
	cells = metrics_cells(m, id, model, tenant);
	return cells ? cells + (size_t)at.label * metrics_series_cells(f) : NULL;
}

static double *
series(struct metrics *m, enum metrics_id id, struct metrics_at at)
{
	if (metrics_families[id].row == METRICS_ROW_PAIR)
		metrics_prepare(m, at.model, at.tenant);
	return find_series(m, id, at);
}

void
metrics_add(struct metrics *m, enum metrics_id id, struct metrics_at at, double n)
{
	must(metrics_families[id].type != METRICS_HISTOGRAM);
	*series(m, id, at) += n;
}

void
metrics_set(struct metrics *m, enum metrics_id id, struct metrics_at at, double value)
{
	must(metrics_families[id].type != METRICS_HISTOGRAM);
	*series(m, id, at) = value;
}

void
metrics_observe(struct metrics *m, enum metrics_id id, struct metrics_at at, double seconds)
{
	const struct metrics_family *f = &metrics_families[id];
	double *cells = series(m, id, at);
	unsigned i = 0;

	must(f->type == METRICS_HISTOGRAM);
	if (!(seconds > 0))
		seconds = 0;
	while (i < f->n_buckets && seconds > f->buckets[i])
		i++;
	cells[i] += 1;
	cells[f->n_buckets + 1] += seconds;
}

double
metrics_value(const struct metrics *m, enum metrics_id id, struct metrics_at at)
{
	const struct metrics_family *f = &metrics_families[id];
	const double *cells = find_series(m, id, at);
	double n = 0;

	if (!cells)
		return 0;
	if (f->type != METRICS_HISTOGRAM)
		return cells[0];
	for (unsigned i = 0; i <= f->n_buckets; i++)
		n += cells[i];
	return n;
}
