/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include "sim/replay.h"

#define COLUMNS 4 /* that are read */

static struct slice
cut(struct slice *rest, char at)
{
	const char *end = memchr(rest->p, at, rest->n);
	struct slice head = { rest->p, end ? (size_t)(end - rest->p) : rest->n };
	size_t skip = head.n + (end != NULL);

	rest->p += skip;
	rest->n -= skip;
	return head;
}

/* The tenant's number, or -1 when there are too many or its name is too long. */
static int
tenant_of(struct replay_trace *t, struct slice name)
{
	for (unsigned i = 0; i < t->n_tenants; i++)
		if (slice_eq(slice_of(t->tenants[i]), name))
			return (int)i;
	if (t->n_tenants == REPLAY_TENANTS_MAX || name.n >= REPLAY_TENANT_BYTES)
		return -1;
	memcpy(t->tenants[t->n_tenants], name.p, name.n);
	return (int)t->n_tenants++;
}

static bool
read_count(struct slice s, unsigned most, unsigned *ret)
{
	uint64_t v;

	if (slice_to_u64(slice_trim(s), &v) < 0 || v < 1 || v > most)
		return false;
	*ret = (unsigned)v;
	return true;
}

/* NULL, or what is wrong with it. */
static const char *
read_row(struct replay_trace *t, struct slice line, struct replay_row *ret)
{
	struct slice time = cut(&line, ','), tenant = slice_trim(cut(&line, ','));
	double t_ms;
	int who;

	if (slice_to_double(slice_trim(time), &t_ms) < 0 || !(t_ms >= 0 && t_ms < 1e12))
		return "t_ms is not a time";
	*ret = (struct replay_row){ .t_us = (uint64_t)llround(t_ms * 1000) };
	if (t->n > 0 && ret->t_us < t->rows[t->n - 1].t_us)
		return "rows are not in order of time";
	if (!read_count(cut(&line, ','), REPLAY_PROMPT_TOK_MAX, &ret->prompt_tok))
		return "prompt_tokens is not a count";
	if (!read_count(cut(&line, ','), REPLAY_PROMPT_TOK_MAX, &ret->max_tok))
		return "max_tokens is not a count";
	who = tenant_of(t, tenant);
	if (who < 0)
		return "too many tenants, or too long a name";
	ret->tenant = (unsigned)who;
	return NULL;
}

static bool
header_fits(struct slice line)
{
	static const char *const names[COLUMNS] = { "t_ms", "tenant", "prompt_tokens", "max_tokens" };

	for (unsigned i = 0; i < COLUMNS; i++)
		if (!slice_eq(slice_trim(cut(&line, ',')), slice_of(names[i])))
			return false;
	return true;
}

static void
add_row(struct replay_trace *t, const struct replay_row *row)
{
	if (t->n == t->cap) {
		t->cap = t->cap ? 2 * t->cap : 1024;
		t->rows = must_realloc(t->rows, t->cap * sizeof(*t->rows));
	}
	t->rows[t->n++] = *row;
}

int
replay_read(struct replay_trace *ret, struct slice csv, struct diag *diag)
{
	struct slice header = cut(&csv, '\n');
	const char *wrong = NULL;
	size_t number = 1;

	*ret = (struct replay_trace){ 0 };
	if (header.n > 0 && header.p[header.n - 1] == '\r')
		header.n--;
	if (!header_fits(header))
		wrong = "the header does not begin with t_ms,tenant,prompt_tokens,max_tokens";
	while (!wrong && csv.n > 0) {
		struct slice line = cut(&csv, '\n');
		struct replay_row row;

		number++;
		if (line.n == 0)
			continue;
		wrong = read_row(ret, line, &row);
		if (!wrong)
			add_row(ret, &row);
	}
	if (!wrong)
		return 0;
	diag_where(diag, "line %zu", number);
	diag_what(diag, "%s", wrong);
	replay_finish(ret);
	return -EINVAL;
}

void
replay_finish(struct replay_trace *t)
{
	free(t->rows);
	*t = (struct replay_trace){ 0 };
}

void
replay_write(const struct replay_trace *t, struct buf *out)
{
	buf_add_str(out, "t_ms,tenant,prompt_tokens,max_tokens,ttft_ms,total_ms,tokens_out,status\n");
	for (size_t i = 0; i < t->n; i++) {
		const struct replay_row *r = &t->rows[i];

		buf_addf(out, "%.3f,%s,%u,%u,", (double)r->t_us / 1000, t->tenants[r->tenant],
			 r->prompt_tok, r->max_tok);
		if (r->refused)
			buf_add_str(out, ",,0,429\n");
		else
			buf_addf(out, "%.3f,%.3f,%u,ok\n", r->ttft_ms, r->total_ms, r->max_tok);
	}
}

static int
compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

double
replay_quantile(double *v, size_t n, double q)
{
	double rank = q * (double)(n ? n - 1 : 0);
	size_t low = (size_t)rank;

	if (n == 0)
		return NAN;
	qsort(v, n, sizeof(*v), compare);
	if (low + 1 >= n)
		return v[n - 1];
	return v[low] + (rank - (double)low) * (v[low + 1] - v[low]);
}

void
replay_summarize(const struct replay_trace *t, unsigned tenant, uint64_t from_us,
		 struct replay_quantiles *ret)
{
	double *ttft = must_malloc((t->n + 1) * sizeof(*ttft));
	double *tpot = must_malloc((t->n + 1) * sizeof(*tpot));
	size_t n = 0, m = 0;

	*ret = (struct replay_quantiles){ 0 };
	for (size_t i = 0; i < t->n; i++) {
		const struct replay_row *r = &t->rows[i];

		if (r->tenant != tenant || r->t_us < from_us)
			continue;
		ret->refused += r->refused;
		if (r->refused)
			continue;
		ttft[n++] = r->ttft_ms;
		if (r->max_tok > 1)
			tpot[m++] = (r->total_ms - r->ttft_ms) / (r->max_tok - 1);
	}
	ret->ok = n;
	ret->ttft_p50_ms = replay_quantile(ttft, n, 0.50);
	ret->ttft_p90_ms = replay_quantile(ttft, n, 0.90);
	ret->ttft_p99_ms = replay_quantile(ttft, n, 0.99);
	ret->tpot_ms = replay_quantile(tpot, m, 0.50);
	free(ttft);
	free(tpot);
}
