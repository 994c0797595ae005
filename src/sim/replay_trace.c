/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include "sim/replay.h"

/* The columns that are read; others are passed over. */
enum {
	TIME,
	TENANT,
	PROMPT,
	ANSWER,
	COLUMNS
};
static const char *const column_names[COLUMNS] = { "t_ms", "tenant", "prompt_tokens", "max_tokens" };

struct reader {
	struct replay_trace *t;
	unsigned at[COLUMNS], width; /* where each column stands, and how many there are */
	struct diag *diag;
	size_t line;
};

static struct slice
cut(struct slice *rest, char at)
{
	const char *end = rest->n > 0 ? memchr(rest->p, at, rest->n) : NULL;
	struct slice head = { rest->p, end ? (size_t)(end - rest->p) : rest->n };
	size_t skip = head.n + (end != NULL);

	rest->p += skip;
	rest->n -= skip;
	return head;
}

static struct slice
cut_line(struct slice *rest)
{
	struct slice line = cut(rest, '\n');

	if (line.n > 0 && line.p[line.n - 1] == '\r')
		line.n--;
	return slice_trim(line);
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

static int
complain(struct reader *r, const char *what)
{
	diag_where(r->diag, "line %zu", r->line);
	diag_what(r->diag, "%s", what);
	return -EINVAL;
}

static int
read_count(struct reader *r, struct slice s, unsigned column, unsigned *ret)
{
	uint64_t v;

	if (slice_to_u64(s, &v) == 0 && v >= 1 && v <= REPLAY_TOK_MAX) {
		*ret = (unsigned)v;
		return 0;
	}
	diag_where(r->diag, "line %zu", r->line);
	diag_what(r->diag, "%s '" SLICE_FMT "' is not a number in range", column_names[column],
		  (int)MIN(s.n, (size_t)64), s.p);
	diag_hint(r->diag, "from 1 to %d", REPLAY_TOK_MAX);
	return -EINVAL;
}

static int
read_tenant(struct reader *r, struct slice name, unsigned *ret)
{
	int who = name.n > 0 ? tenant_of(r->t, name) : -1;

	if (who >= 0) {
		*ret = (unsigned)who;
		return 0;
	}
	(void)complain(r, name.n > 0 ? "too many tenants, or too long a name" : "the tenant is missing");
	diag_hint(r->diag, "up to %d tenants, names of up to %d bytes", REPLAY_TENANTS_MAX,
		  REPLAY_TENANT_BYTES - 1);
	return -EINVAL;
}

static int
read_row(struct reader *r, struct slice line, struct replay_row *ret)
{
	struct slice v[COLUMNS] = { { 0 } };
	double t_ms;
	int e;

	for (unsigned i = 0; i < r->width; i++) {
		struct slice field = slice_trim(cut(&line, ','));

		for (unsigned c = 0; c < COLUMNS; c++)
			if (r->at[c] == i)
				v[c] = field;
	}
	if (slice_to_double(v[TIME], &t_ms) < 0 || !(t_ms >= 0 && t_ms < 1e12))
		return complain(r, "t_ms is not a time in milliseconds");
	*ret = (struct replay_row){ .t_us = (uint64_t)llround(t_ms * 1000) };
	if (r->t->n > 0 && ret->t_us < r->t->rows[r->t->n - 1].t_us)
		return complain(r, "t_ms is less than in the row before; rows must be in order of time");
	e = read_count(r, v[PROMPT], PROMPT, &ret->prompt_tok);
	if (e == 0)
		e = read_count(r, v[ANSWER], ANSWER, &ret->max_tok);
	if (e == 0)
		e = read_tenant(r, v[TENANT], &ret->tenant);
	return e;
}

static int
read_header(struct reader *r, struct slice line)
{
	unsigned found = 0;

	while (line.n > 0) {
		struct slice name = slice_trim(cut(&line, ','));

		for (unsigned c = 0; c < COLUMNS; c++)
			if (slice_eq(name, slice_of(column_names[c])) && !(found & 1u << c)) {
				r->at[c] = r->width;
				found |= 1u << c;
			}
		r->width++;
	}
	if (found == (1u << COLUMNS) - 1)
		return 0;
	(void)complain(r, "the header does not name all columns that are needed");
	diag_hint(r->diag, "t_ms,tenant,prompt_tokens,max_tokens; others are passed over");
	return -EINVAL;
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

static int
read_rows(struct reader *r, struct slice csv)
{
	int e = 0;

	while (e == 0 && csv.n > 0) {
		struct slice line = cut_line(&csv);
		struct replay_row row;

		r->line++;
		if (line.n == 0)
			continue;
		e = read_row(r, line, &row);
		if (e == 0)
			add_row(r->t, &row);
	}
	if (e == 0 && r->t->n == 0)
		e = complain(r, "there is no row behind the header");
	return e;
}

int
replay_read(struct replay_trace *ret, struct slice csv, struct diag *diag)
{
	struct reader r = { .t = ret, .diag = diag, .line = 1 };
	int e;

	*ret = (struct replay_trace){ 0 };
	e = read_header(&r, cut_line(&csv));
	if (e == 0)
		e = read_rows(&r, csv);
	if (e < 0)
		replay_finish(ret);
	return e;
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
