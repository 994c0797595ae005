/* SPDX-License-Identifier: MIT */
#include "bench/load_result.h"
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <yyjson.h>
#include "base/json_writer.h"

#define KIND "kvwarden.load"

static const char *const phase_names[] = {
	[LOAD_WARMING] = "warming",
	[LOAD_MEASURING] = "measuring",
	[LOAD_COOLING] = "cooling",
	[LOAD_DONE] = "done",
};

double
load_result_tokens_per_s(const struct load_result *r)
{
	double tokens = 0;

	for (unsigned i = 0; i < r->n_tenants; i++)
		tokens += r->tenants[i].tokens;
	return r->measured_s > 0 ? tokens / r->measured_s : (double)NAN;
}

const struct load_tenant_result *
load_result_tenant(const struct load_result *r, const char *name)
{
	for (unsigned i = 0; i < r->n_tenants; i++)
		if (strcmp(r->tenants[i].name, name) == 0)
			return &r->tenants[i];
	return NULL;
}

static void
write_tenant(struct json_writer *w, const struct load_tenant_result *t)
{
	jw_object(w);
	jw_kv_str(w, "name", t->name);
	jw_kv_uint(w, "scheduled", t->scheduled);
	jw_kv_uint(w, "ok", t->ok);
	jw_kv_uint(w, "refused", t->refused);
	jw_kv_uint(w, "failed", t->failed);
	jw_kv_uint(w, "unfinished", t->unfinished);
	jw_kv_uint(w, "held_back", t->held_back);
	jw_kv_double(w, "tokens", t->tokens, 3);
	jw_kv_uint(w, "n", t->n);
	jw_kv_double(w, "p50_ms", t->p50_ms, 3);
	jw_kv_double(w, "p90_ms", t->p90_ms, 3);
	jw_kv_double(w, "p99_ms", t->p99_ms, 3);
	jw_kv_double(w, "max_ms", t->max_ms, 3);
	jw_kv_str(w, "failure", t->failure);
	jw_end_object(w);
}

void
load_result_write(const struct load_result *r, struct buf *out)
{
	struct json_writer w;

	jw_init(&w, out);
	jw_object(&w);
	jw_kv_str(&w, "kind", KIND);
	jw_kv_str(&w, "phase", phase_names[r->phase]);
	jw_kv_double(&w, "elapsed_s", r->elapsed_s, 3);
	jw_kv_double(&w, "left_s", r->left_s, 3);
	jw_kv_double(&w, "measured_s", r->measured_s, 6);
	jw_kv_double(&w, "lag_p50_ms", r->lag_p50_ms, 3);
	jw_kv_double(&w, "lag_p99_ms", r->lag_p99_ms, 3);
	jw_kv_double(&w, "lag_max_ms", r->lag_max_ms, 3);
	jw_key(&w, "tenants");
	jw_array(&w);
	for (unsigned i = 0; i < r->n_tenants; i++)
		write_tenant(&w, &r->tenants[i]);
	jw_end_array(&w);
	jw_end_object(&w);
	buf_add_char(out, '\n');
}

static uint64_t
count_at(yyjson_val *o, const char *key)
{
	return yyjson_get_uint(yyjson_obj_get(o, key));
}

static double
real_at(yyjson_val *o, const char *key)
{
	yyjson_val *v = yyjson_obj_get(o, key);

	return yyjson_is_num(v) ? yyjson_get_num(v) : (double)NAN;
}

/* JSON has no infinity: a quantile that is null although there are samples stood on one that was never answered. */
static double
quantile_at(yyjson_val *o, const char *key, uint64_t n)
{
	double v = real_at(o, key);

	return isnan(v) && n ? (double)INFINITY : v;
}

static void
text_at(yyjson_val *o, const char *key, char *ret, size_t size)
{
	const char *s = yyjson_get_str(yyjson_obj_get(o, key));

	snprintf(ret, size, "%s", s ? s : "");
}

static void
read_tenant(struct load_tenant_result *t, yyjson_val *o)
{
	text_at(o, "name", t->name, sizeof(t->name));
	text_at(o, "failure", t->failure, sizeof(t->failure));
	t->scheduled = count_at(o, "scheduled");
	t->ok = count_at(o, "ok");
	t->refused = count_at(o, "refused");
	t->failed = count_at(o, "failed");
	t->unfinished = count_at(o, "unfinished");
	t->held_back = count_at(o, "held_back");
	t->tokens = real_at(o, "tokens");
	t->n = count_at(o, "n");
	t->p50_ms = quantile_at(o, "p50_ms", t->n);
	t->p90_ms = quantile_at(o, "p90_ms", t->n);
	t->p99_ms = quantile_at(o, "p99_ms", t->n);
	t->max_ms = quantile_at(o, "max_ms", t->n);
}

static int
read_root(struct load_result *r, yyjson_val *root)
{
	const char *phase = yyjson_get_str(yyjson_obj_get(root, "phase"));
	yyjson_val *tenants = yyjson_obj_get(root, "tenants"), *t;
	size_t i, n;

	if (!yyjson_equals_str(yyjson_obj_get(root, "kind"), KIND) || !phase ||
	    yyjson_arr_size(tenants) > LOAD_TENANTS_MAX)
		return -EINVAL;
	for (i = 0; i < ARRAY_LEN(phase_names) && strcmp(phase, phase_names[i]) != 0; i++)
		;
	if (i == ARRAY_LEN(phase_names))
		return -EINVAL;
	r->phase = (enum load_phase)i;
	r->elapsed_s = real_at(root, "elapsed_s");
	r->left_s = real_at(root, "left_s");
	r->measured_s = real_at(root, "measured_s");
	r->lag_p50_ms = real_at(root, "lag_p50_ms");
	r->lag_p99_ms = real_at(root, "lag_p99_ms");
	r->lag_max_ms = real_at(root, "lag_max_ms");
	yyjson_arr_foreach(tenants, i, n, t)
	{
		read_tenant(&r->tenants[r->n_tenants++], t);
	}
	return 0;
}

int
load_result_read(struct load_result *r, struct slice line)
{
	yyjson_doc *doc = yyjson_read(line.p, line.n, 0);
	int err;

	*r = (struct load_result){ 0 };
	if (!doc)
		return -EINVAL;
	err = read_root(r, yyjson_doc_get_root(doc));
	yyjson_doc_free(doc);
	return err;
}
