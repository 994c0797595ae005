/* SPDX-License-Identifier: MIT */
#include "cli/status.h"
#include <stdlib.h>
#include "cli/server_page.h"
#include "cli/text_table.h"

#define TENANTS_SHOWN 40 /* the busiest ones */
#define ERROR_MOST 72	 /* characters of a model's error */
#define WORD_MOST 24

static const char usage[] = "usage: kvwarden status [--json]\n" SERVER_PAGE_USAGE;

static void
add_number_of(struct buf *out, yyjson_val *map, const char *key)
{
	text_add_value(out, yyjson_obj_get(map, key), WORD_MOST);
}

/* "3d 04h", "1h 02m", "12m 05s" */
static void
add_age(struct buf *out, yyjson_val *v)
{
	double s = yyjson_get_num(v);
	unsigned long long n;

	if (!yyjson_is_num(v) || !(s >= 0 && s < 1e12)) {
		text_add_value(out, v, WORD_MOST);
		return;
	}
	n = (unsigned long long)s;
	if (n >= 86400)
		buf_addf(out, "%llud %02lluh", n / 86400, n / 3600 % 24);
	else if (n >= 3600)
		buf_addf(out, "%lluh %02llum", n / 3600, n / 60 % 60);
	else
		buf_addf(out, "%llum %02llus", n / 60, n % 60);
}

/* head ------------------------------------------------------------------------------------------ */
static bool
is_simulated(yyjson_val *root)
{
	yyjson_val *models = yyjson_obj_get(root, "models"), *m;
	bool any = yyjson_is_true(yyjson_obj_get(root, "simulated"));
	size_t i, n;

	yyjson_arr_foreach(models, i, n, m) any |= yyjson_is_true(yyjson_obj_get(m, "simulated"));
	return any;
}

static void
add_head(struct buf *out, yyjson_val *root)
{
	buf_add_str(out, "kvwarden ");
	text_add_value(out, yyjson_obj_get(root, "version"), WORD_MOST);
	buf_add_str(out, "  state ");
	text_add_value(out, yyjson_obj_get(root, "state"), 12);
	buf_add_str(out, "  up ");
	add_age(out, yyjson_obj_get(root, "uptime_s"));
	buf_add_str(out, "  scheduling ");
	text_add_value(out, yyjson_obj_get(root, "scheduling"), 12);
	buf_add_char(out, '\n');
	if (is_simulated(root))
		buf_add_str(out, "\n*** SIMULATED: engines marked * are simulated, and so are their figures ***\n");
}

/* models ---------------------------------------------------------------------------------------- */
static const struct text_column model_columns[] = {
	{ .title = "Model", .most = 26 },
	{ .title = "Engine", .most = 8 },
	{ .title = "State", .most = 8 },
	{ .title = "In flight", .most = 11, .right = true },
	{ .title = "Queued", .most = 6, .right = true },
	{ .title = "Requests", .most = 8, .right = true },
};

/* "3/64"; "3" when there is no bound. */
static void
add_in_flight(struct text_table *t, yyjson_val *m)
{
	yyjson_val *window = yyjson_obj_get(m, "window");
	struct buf b;

	buf_init(&b, 128);
	add_number_of(&b, m, "in_flight");
	if (yyjson_is_num(window) && yyjson_get_num(window) > 0) {
		buf_add_char(&b, '/');
		text_add_value(&b, window, 6);
	}
	text_table_text(t, 3, buf_slice(&b));
	buf_finish(&b);
}

static void
add_engine(struct text_table *t, yyjson_val *m)
{
	struct buf b;

	buf_init(&b, 128);
	text_add_value(&b, yyjson_obj_get(m, "engine"), 7);
	if (yyjson_is_true(yyjson_obj_get(m, "simulated")))
		buf_add_char(&b, '*');
	text_table_text(t, 1, buf_slice(&b));
	buf_finish(&b);
}

static void
add_model(struct text_table *t, yyjson_val *m)
{
	text_table_value(t, 0, yyjson_is_obj(m) ? yyjson_obj_get(m, "id") : m);
	add_engine(t, m);
	text_table_value(t, 2, yyjson_obj_get(m, "state"));
	add_in_flight(t, m);
	text_table_value(t, 4, yyjson_obj_get(m, "queued"));
	text_table_value(t, 5, yyjson_obj_get(m, "request_count"));
}

static void
add_model_errors(struct buf *out, yyjson_val *models)
{
	yyjson_val *m;
	size_t i, n;

	yyjson_arr_foreach(models, i, n, m)
	{
		yyjson_val *error = yyjson_obj_get(m, "error");

		if (i == TEXT_TABLE_ROWS)
			return;
		if (!yyjson_is_str(error) || yyjson_get_len(error) == 0)
			continue;
		buf_add_str(out, "  ! ");
		text_add_value(out, yyjson_obj_get(m, "id"), WORD_MOST);
		buf_add_str(out, ": ");
		text_add_value(out, error, 2 * ERROR_MOST);
		buf_add_char(out, '\n');
	}
}

/* What the original's page has: only the loaded ones, by name. */
static void
add_loaded_models(struct text_table *t, yyjson_val *loaded)
{
	yyjson_val *key, *m;
	size_t i, n;

	yyjson_obj_foreach(loaded, i, n, key, m)
	{
		yyjson_val *healthy = yyjson_obj_get(m, "healthy");

		if (!text_table_row(t))
			return;
		text_table_value(t, 0, key);
		add_engine(t, m);
		if (yyjson_is_bool(healthy))
			text_table_text(t, 2, yyjson_get_bool(healthy) ? SLICE("healthy") : SLICE("ill"));
		else
			text_table_value(t, 2, healthy);
		text_table_text(t, 3, SLICE("-"));
		text_table_text(t, 4, SLICE("-"));
		text_table_value(t, 5, yyjson_obj_get(m, "request_count"));
	}
}

static void
add_models(struct buf *out, struct text_table *t, yyjson_val *root)
{
	yyjson_val *models = yyjson_obj_get(root, "models"), *m;
	yyjson_val *loaded = yyjson_obj_get(root, "loaded_models");
	size_t all = yyjson_is_arr(models) ? yyjson_arr_size(models) : yyjson_obj_size(loaded), i, n;

	text_table_init(t, model_columns, ARRAY_LEN(model_columns));
	if (!yyjson_is_arr(models))
		add_loaded_models(t, loaded);
	yyjson_arr_foreach(models, i, n, m)
	{
		if (!text_table_row(t))
			break;
		add_model(t, m);
	}
	buf_add_char(out, '\n');
	if (t->n_rows)
		text_table_print(t, out);
	else
		buf_add_str(out, "no models\n");
	if (all > t->n_rows)
		buf_addf(out, "and %zu more: --json has them all\n", all - t->n_rows);
	add_model_errors(out, models);
}

/* sums ------------------------------------------------------------------------------------------ */
static const char at_most[] = "at most"; /* not mentioned where there is no bound */

struct sum {
	const char *key, *word;
};

static void
add_line(struct buf *out, const char *title, yyjson_val *map, const struct sum *sums, size_t n)
{
	if (!yyjson_is_obj(map))
		return;
	buf_addf(out, "%-10s", title);
	for (size_t i = 0; i < n; i++) {
		yyjson_val *v = yyjson_obj_get(map, sums[i].key);

		if (sums[i].word == at_most && (!v || yyjson_is_null(v)))
			continue;
		buf_add_str(out, i ? ", " : "");
		text_add_value(out, v, 12);
		buf_addf(out, " %s", sums[i].word);
	}
	buf_add_char(out, '\n');
}

static void
add_sums(struct buf *out, yyjson_val *root)
{
	static const struct sum now[] = { { "in_flight", "in flight" },
					  { "max_concurrent", at_most },
					  { "queue_depth", "queued" },
					  { "queue_size", at_most } };
	static const struct sum so_far[] = { { "total_admitted", "admitted" },
					     { "total_rejected", "rejected" },
					     { "total_timed_out", "timed out" } };
	static const struct sum lengths[] = {
		{ "short", "short" }, { "medium", "medium" }, { "long", "long" }, { "xlarge", "xlarge" }
	};
	static const struct sum cache[] = { { "total_blocks", "blocks" }, { "hit_rate", "hit rate" } };
	yyjson_val *admission = yyjson_obj_get(root, "admission");

	buf_add_char(out, '\n');
	add_line(out, "Now", admission, now, ARRAY_LEN(now));
	add_line(out, "So far", admission, so_far, ARRAY_LEN(so_far));
	add_line(out, "Queues", yyjson_obj_get(root, "queue_depths"), lengths, ARRAY_LEN(lengths));
	if (!yyjson_is_null(yyjson_obj_get(yyjson_obj_get(root, "cache"), "hit_rate")))
		add_line(out, "Cache", yyjson_obj_get(root, "cache"), cache, ARRAY_LEN(cache));
}

/* tenants --------------------------------------------------------------------------------------- */
static const struct text_column tenant_columns[] = {
	{ .title = "Tenant", .most = 22 },
	{ .title = "Weight", .most = 6, .right = true },
	{ .title = "Active", .most = 6, .right = true },
	{ .title = "Requests", .most = 8, .right = true },
	{ .title = "Refused", .most = 7, .right = true },
	{ .title = "Tokens in", .most = 9, .right = true },
	{ .title = "Tokens out", .most = 10, .right = true },
};

struct tenant_row {
	yyjson_val *id, *facts;
	double active, requests;
};

static int
busier_first(const void *a, const void *b)
{
	const struct tenant_row *x = a, *y = b;

	if (x->active != y->active)
		return x->active < y->active ? 1 : -1;
	if (x->requests != y->requests)
		return x->requests < y->requests ? 1 : -1;
	return x->id < y->id ? -1 : x->id > y->id; /* as the server had them */
}

static void
add_tenant(struct text_table *t, const struct tenant_row *r)
{
	yyjson_val *usage_of = yyjson_obj_get(r->facts, "usage");

	text_table_value(t, 0, r->id);
	text_table_value(t, 1, yyjson_obj_get(r->facts, "weight"));
	text_table_value(t, 2, yyjson_obj_get(usage_of, "active_requests"));
	text_table_value(t, 3, yyjson_obj_get(usage_of, "request_count"));
	text_table_value(t, 4, yyjson_obj_get(usage_of, "refused"));
	text_table_value(t, 5, yyjson_obj_get(usage_of, "token_count_in"));
	text_table_value(t, 6, yyjson_obj_get(usage_of, "token_count_out"));
}

/* By name in an object; a list of them is taken too. */
static size_t
collect_tenants(yyjson_val *tenants, struct tenant_row *rows)
{
	yyjson_val *key, *v;
	size_t i, n, count = 0;

	yyjson_obj_foreach(tenants, i, n, key, v) rows[count++] =
		(struct tenant_row){ .id = key, .facts = v };
	yyjson_arr_foreach(tenants, i, n, v)
	{
		yyjson_val *id = yyjson_obj_get(v, "tenant_id");

		rows[count++] = (struct tenant_row){ .id = id ? id : v, .facts = v };
	}
	for (i = 0; i < count; i++) {
		yyjson_val *usage_of = yyjson_obj_get(rows[i].facts, "usage");

		rows[i].active = yyjson_get_num(yyjson_obj_get(usage_of, "active_requests"));
		rows[i].requests = yyjson_get_num(yyjson_obj_get(usage_of, "request_count"));
	}
	return count;
}

static void
add_tenants(struct buf *out, struct text_table *t, yyjson_val *root)
{
	yyjson_val *tenants = yyjson_obj_get(root, "tenants");
	size_t n = yyjson_obj_size(tenants) + yyjson_arr_size(tenants);
	struct tenant_row *rows = must_calloc(n + 1, sizeof(*rows));

	n = collect_tenants(tenants, rows);
	qsort(rows, n, sizeof(*rows), busier_first);
	text_table_init(t, tenant_columns, ARRAY_LEN(tenant_columns));
	for (size_t i = 0; i < MIN(n, (size_t)TENANTS_SHOWN) && text_table_row(t); i++)
		add_tenant(t, &rows[i]);
	buf_add_char(out, '\n');
	if (n)
		text_table_print(t, out);
	else
		buf_add_str(out, "no tenant has been seen yet\n");
	if (n > t->n_rows)
		buf_addf(out, "and %zu more tenants, less busy ones: --json has them all\n",
			 n - t->n_rows);
	free(rows);
}

int
cli_status(int argc, char **argv)
{
	struct text_table *t = must_malloc(sizeof(*t));
	struct server_page p;
	struct buf out;
	bool done;
	int rc = server_page_get(&p, argc, argv, usage, "/kvwarden/status", &done);

	if (rc == 0 && !done) {
		yyjson_val *root = yyjson_doc_get_root(p.doc);

		buf_init(&out, BUF_MAX_DEFAULT);
		add_head(&out, root);
		add_models(&out, t, root);
		add_sums(&out, root);
		add_tenants(&out, t, root);
		rc = server_page_print(&out);
		buf_finish(&out);
	}
	server_page_finish(&p);
	free(t);
	return rc;
}
