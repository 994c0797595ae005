/* SPDX-License-Identifier: MIT */
/* From the outcome of an arm to its place in the report. */
#include <math.h>
#include <stdio.h>
#include "bench/arm.h"
#include "bench/stats.h"

static const struct report_arm *
find_arm(const struct report *r, const char *name)
{
	for (unsigned i = 0; i < r->arm_count; i++)
		if (strcmp(r->arms[i].name, name) == 0 && !r->arms[i].error[0])
			return &r->arms[i];
	return NULL;
}

static double
solo_p50_ms(const struct report *r, const char *tenant)
{
	const struct report_arm *solo = find_arm(r, "solo");

	for (unsigned i = 0; solo && i < solo->tenant_count; i++)
		if (strcmp(solo->tenants[i].name, tenant) == 0)
			return solo->tenants[i].ttft.p50_ms;
	return NAN;
}

static void
fill_tenant(const struct report *r, struct report_tenant *t, const struct load_tenant_result *from)
{
	t->requests = (struct report_requests){ from->scheduled, from->ok, from->refused,
						from->failed, from->unfinished };
	t->ttft = (struct report_ttft){ from->n, from->p50_ms, from->p90_ms, from->p99_ms, from->max_ms };
	t->ratio_to_solo = stats_ratio(from->p50_ms, solo_p50_ms(r, t->name));
}

void
arm_report(struct report *r, const struct arm_kind *k, const struct arm_outcome *o)
{
	struct report_arm *arm = report_add_arm(r, k->name, k->scheduling);
	const struct report_arm *direct;

	must(arm);
	snprintf(arm->error, sizeof(arm->error), "%s", o->error);
	arm->saturated = arm_was_saturated(o);
	if (o->load.n_tenants == 0)
		return; /* it never came so far */
	arm->tokens_per_s = load_result_tokens_per_s(&o->load);
	direct = find_arm(r, "direct");
	if (direct && k->flooder)
		arm->share_of_direct = stats_ratio(arm->tokens_per_s, direct->tokens_per_s);
	for (unsigned i = 0; i < o->load.n_tenants; i++) {
		struct report_tenant *t = report_add_tenant(arm, o->load.tenants[i].name);

		must(t);
		fill_tenant(r, t, &o->load.tenants[i]);
	}
}
