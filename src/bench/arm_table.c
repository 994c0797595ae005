/* SPDX-License-Identifier: MIT */
#include "bench/arm_table.h"
#include <math.h>
#include <stdio.h>

#define CELL 24

static const struct report_tenant *
tenant_of(const struct report_arm *arm, const char *name)
{
	for (unsigned i = 0; i < arm->tenant_count; i++)
		if (strcmp(arm->tenants[i].name, name) == 0)
			return &arm->tenants[i];
	return NULL;
}

static const char *
time_cell(char out[CELL], double ms)
{
	if (isnan(ms))
		snprintf(out, CELL, "-");
	else if (isinf(ms))
		snprintf(out, CELL, "unfinished");
	else
		snprintf(out, CELL, ms < 100 ? "%.1f" : "%.0f", ms);
	return out;
}

static const char *
number_cell(char out[CELL], double v, const char *unit)
{
	if (!isfinite(v))
		snprintf(out, CELL, "-");
	else
		snprintf(out, CELL, v < 10 && unit[0] == 'x' ? "%.2f%s" : "%.0f%s", v, unit);
	return out;
}

/* A p99 of a few dozen samples is their maximum by another name. */
static bool
shows_p99(const struct report *r, const char *quiet)
{
	for (unsigned i = 0; i < r->arm_count; i++) {
		const struct report_tenant *t = tenant_of(&r->arms[i], quiet);

		if (t && t->ttft.n >= REPORT_P99_MIN_SAMPLES)
			return true;
	}
	return false;
}

static void
write_times(const struct report_tenant *t, bool p99, struct buf *out)
{
	double p99_ms = t->ttft.n >= REPORT_P99_MIN_SAMPLES ? t->ttft.p99_ms : (double)NAN;
	char a[CELL], b[CELL], c[CELL], d[CELL];

	buf_addf(out, "%10s %10s ", time_cell(a, t->ttft.p50_ms), time_cell(b, t->ttft.p90_ms));
	if (p99)
		buf_addf(out, "%10s ", time_cell(c, p99_ms));
	buf_addf(out, "%10s ", time_cell(d, t->ttft.max_ms));
	buf_addf(out, "%8s", number_cell(a, t->ratio_to_solo, "x"));
}

static void
write_arm(const struct report_arm *arm, const char *quiet, const char *flooder, bool p99, struct buf *out)
{
	const struct report_tenant *q = tenant_of(arm, quiet), *f = tenant_of(arm, flooder);
	char a[CELL], b[CELL];

	buf_addf(out, "%-13s", arm->name);
	if (arm->error[0] || !q) {
		buf_addf(out, "FAILED: %s\n", arm->error);
		return;
	}
	write_times(q, p99, out);
	if (f)
		buf_addf(out, "%9llu %8llu", (unsigned long long)f->requests.ok,
			 (unsigned long long)f->requests.refused);
	else
		buf_addf(out, "%9s %8s", "-", "-");
	buf_addf(out, "%10s %9s  %s\n", number_cell(a, arm->tokens_per_s, ""),
		 number_cell(b, 100 * arm->share_of_direct, " %"), arm->saturated ? "yes" : "no");
}

void
arm_table_write(const struct report *r, const char *quiet, const char *flooder, struct buf *out)
{
	bool p99 = shows_p99(r, quiet);

	buf_addf(out, "%-13s%*s%9s%18s%10s %9s\n", "", p99 ? 43 : 32, "TTFT of the quiet tenant, ms",
		 "to solo", "flooder requests", "tokens/s", "of direct");
	buf_addf(out, "%-13s%10s %10s ", "arm", "p50", "p90");
	if (p99)
		buf_addf(out, "%10s ", "p99");
	buf_addf(out, "%10s %8s%9s %8s%10s %9s  saturated\n", "max", "(p50)", "served", "refused",
		 "", "");
	for (unsigned i = 0; i < r->arm_count; i++)
		write_arm(&r->arms[i], quiet, flooder, p99, out);
}
