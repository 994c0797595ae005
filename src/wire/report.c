/* SPDX-License-Identifier: MIT */
#include "wire/report.h"

#include <math.h>
#include <stdio.h>

#include "base/json_writer.h"

struct report_arm *
report_add_arm(struct report *r, const char *name, const char *scheduling)
{
	struct report_arm *arm;

	if (r->arm_count == REPORT_ARMS_MAX)
		return NULL;
	arm = &r->arms[r->arm_count++];
	*arm = (struct report_arm){ .tokens_per_s = NAN, .share_of_direct = NAN };
	snprintf(arm->name, sizeof(arm->name), "%s", name);
	snprintf(arm->scheduling, sizeof(arm->scheduling), "%s", scheduling);
	return arm;
}

struct report_tenant *
report_add_tenant(struct report_arm *arm, const char *name)
{
	struct report_tenant *t;

	if (arm->tenant_count == REPORT_TENANTS_MAX)
		return NULL;
	t = &arm->tenants[arm->tenant_count++];
	*t = (struct report_tenant){
		.ttft = { .p50_ms = NAN, .p90_ms = NAN, .p99_ms = NAN, .max_ms = NAN },
		.ratio_to_solo = NAN,
	};
	snprintf(t->name, sizeof(t->name), "%s", name);
	return t;
}

static void
write_tenant(struct json_writer *w, const struct report_tenant *t)
{
	jw_object(w);
	jw_kv_str(w, "name", t->name);
	jw_key(w, "requests");
	jw_object(w);
	jw_kv_uint(w, "scheduled", t->requests.scheduled);
	jw_kv_uint(w, "ok", t->requests.ok);
	jw_kv_uint(w, "refused", t->requests.refused);
	jw_kv_uint(w, "failed", t->requests.failed);
	jw_kv_uint(w, "unfinished", t->requests.unfinished);
	jw_end_object(w);
	jw_key(w, "ttft_ms");
	jw_object(w);
	jw_kv_uint(w, "n", t->ttft.n);
	jw_kv_double(w, "p50", t->ttft.p50_ms, 3);
	jw_kv_double(w, "p90", t->ttft.p90_ms, 3);
	jw_kv_double(w, "p99", t->ttft.n >= REPORT_P99_MIN_SAMPLES ? t->ttft.p99_ms : (double)NAN, 3);
	jw_kv_double(w, "max", t->ttft.max_ms, 3);
	jw_end_object(w);
	jw_kv_double(w, "ratio_to_solo", t->ratio_to_solo, 4);
	jw_end_object(w);
}

static void
write_arm(struct json_writer *w, const struct report_arm *arm)
{
	jw_object(w);
	jw_kv_str(w, "name", arm->name);
	jw_kv_str(w, "scheduling", arm->scheduling);
	if (arm->error[0])
		jw_kv_str(w, "error", arm->error);
	jw_kv_bool(w, "saturated", arm->saturated);
	jw_kv_double(w, "tokens_per_s", arm->tokens_per_s, 2);
	jw_kv_double(w, "share_of_direct", arm->share_of_direct, 4);
	jw_key(w, "tenants");
	jw_array(w);
	for (unsigned i = 0; i < arm->tenant_count; i++)
		write_tenant(w, &arm->tenants[i]);
	jw_end_array(w);
	jw_end_object(w);
}

void
report_write(const struct report *r, struct buf *out)
{
	struct json_writer w;

	jw_init(&w, out);
	jw_object(&w);
	jw_kv_str(&w, "schema", REPORT_SCHEMA);
	jw_kv_int(&w, "version", REPORT_VERSION);
	jw_kv_bool(&w, "simulated", r->simulated);
	jw_key(&w, "arms");
	jw_array(&w);
	for (unsigned i = 0; i < r->arm_count; i++)
		write_arm(&w, &r->arms[i]);
	jw_end_array(&w);
	jw_end_object(&w);
}
