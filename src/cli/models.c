/* SPDX-License-Identifier: MIT */
#include "cli/models.h"
#include <stdlib.h>
#include "cli/server_page.h"
#include "cli/text_table.h"

static const char usage[] = "usage: kvwarden models [--json]\n" SERVER_PAGE_USAGE;

static const struct text_column columns[] = {
	{ .title = "Model ID", .most = 56 },
	{ .title = "Engine", .most = 10 },
	{ .title = "Healthy", .most = 7 },
};

static struct slice
mark_of(yyjson_val *healthy)
{
	if (!yyjson_is_bool(healthy))
		return SLICE("?");
	return yyjson_get_bool(healthy) ? SLICE("✓") : SLICE("✗");
}

static void
render(yyjson_val *root, struct buf *out)
{
	yyjson_val *list = yyjson_obj_get(root, "data"), *model;
	struct text_table *t = must_malloc(sizeof(*t));
	size_t i, n;

	text_table_init(t, columns, ARRAY_LEN(columns));
	yyjson_arr_foreach(list, i, n, model)
	{
		if (!text_table_row(t))
			break;
		text_table_value(t, 0, yyjson_is_obj(model) ? yyjson_obj_get(model, "id") : model);
		text_table_value(t, 1, yyjson_obj_get(model, "engine"));
		text_table_text(t, 2, mark_of(yyjson_obj_get(model, "healthy")));
	}
	if (!yyjson_is_arr(list))
		buf_add_str(out, "the gateway's answer has no list of models\n");
	else if (t->n_rows == 0)
		buf_add_str(out, "no model is ready\n");
	else
		text_table_print(t, out);
	if (yyjson_arr_size(list) > t->n_rows)
		buf_addf(out, "and %zu more: --json has them all\n", yyjson_arr_size(list) - t->n_rows);
	free(t);
}

int
cli_models(int argc, char **argv)
{
	struct server_page p;
	struct buf out;
	bool done;
	int rc = server_page_get(&p, argc, argv, usage, "/v1/models", &done);

	if (rc == 0 && !done) {
		buf_init(&out, BUF_MAX_DEFAULT);
		render(yyjson_doc_get_root(p.doc), &out);
		rc = server_page_print(&out);
		buf_finish(&out);
	}
	server_page_finish(&p);
	return rc;
}
