/* SPDX-License-Identifier: MIT */
#include "sim/replay.h"
#include <errno.h>
#include <stdlib.h>
#include "base/rng.h"
#include "sim/source.h"
#include "tenant/token_bucket.h"

/* A request on its way; lives from its arrival to its last token. */
struct flight {
	struct sim_seq seq;
	struct sim_prompt prompt;
	struct replay_row *row;
	bool blank; /* the first token is white space */
};

struct replay {
	struct replay_trace *t;
	const struct replay_options *o;
	struct sim_source *engine;
	struct rng rng;
	struct token_bucket bucket;
	uint64_t now_us;
};

static bool
refuse(struct replay *r, const struct replay_row *row)
{
	if (token_bucket_unlimited(&r->bucket) ||
	    strcmp(r->t->tenants[row->tenant], r->o->bucket_tenant) != 0)
		return false;
	if (token_bucket_level(&r->bucket, r->now_us) < 1)
		return true;
	token_bucket_take(&r->bucket, 1, r->now_us);
	return false;
}

static void
arrive(struct replay *r, struct replay_row *row)
{
	struct flight *f;

	row->refused = refuse(r, row);
	if (row->refused)
		return;
	f = must_calloc(1, sizeof(*f));
	f->row = row;
	f->prompt.n = row->prompt_tok;
	f->seq = (struct sim_seq){ .prompt = &f->prompt, .out_tok = row->max_tok };
	f->blank = row->max_tok > 1 && rng_unit(&r->rng) < r->o->host->blank_share;
	r->engine->ops->start(r->engine, &f->seq, r->now_us);
}

static void
on_token(void *ctx, struct sim_seq *seq, unsigned n, bool finished)
{
	struct replay *r = ctx;
	struct flight *f = container_of(seq, struct flight, seq);
	uint64_t counted = f->blank ? 2 : 1; /* the client's first token */
	double since_ms = (double)(r->now_us - f->row->t_us) / 1000;

	if (seq->made >= counted && seq->made - n < counted)
		f->row->ttft_ms = since_ms;
	if (finished) {
		f->row->total_ms = since_ms;
		free(f);
	}
}

static int
check_rows(const struct replay_trace *t, const struct replay_options *o, struct diag *diag)
{
	struct sim_step_options step = { .preset = o->preset };
	uint64_t most = sim_source_step_max_tok(&step);

	for (size_t i = 0; i < t->n; i++) {
		if ((uint64_t)t->rows[i].prompt_tok + t->rows[i].max_tok <= most)
			continue;
		diag_where(diag, "row %zu", i + 1);
		diag_what(diag, "a prompt of %u tokens and an answer of %u do not fit the KV cache of %s",
			  t->rows[i].prompt_tok, t->rows[i].max_tok, o->preset->name);
		diag_hint(diag, "it holds %llu tokens", (unsigned long long)most);
		return -EINVAL;
	}
	for (unsigned i = 0; i < t->n_tenants; i++)
		if (o->bucket_per_s <= 0 || strcmp(t->tenants[i], o->bucket_tenant) == 0)
			return 0;
	diag_where(diag, "--bucket");
	diag_what(diag, "no row is of tenant '%s'", o->bucket_tenant);
	return -EINVAL;
}

static void
run_events(struct replay *r)
{
	size_t arrived = 0;

	for (;;) {
		uint64_t engine = r->engine->ops->next_us(r->engine);
		uint64_t row = arrived < r->t->n ? r->t->rows[arrived].t_us : UINT64_MAX;

		r->now_us = MIN(engine, row);
		if (r->now_us == UINT64_MAX)
			return;
		if (engine <= row)
			r->engine->ops->advance(r->engine, engine, on_token, r);
		else
			arrive(r, &r->t->rows[arrived++]);
	}
}

int
replay_run(struct replay_trace *t, const struct replay_options *o, struct diag *diag)
{
	struct sim_step_options step = { .preset = o->preset };
	struct replay r = { .t = t, .o = o };
	int e = check_rows(t, o, diag);

	if (e < 0)
		return e;
	r.engine = sim_source_host(o->host, sim_source_step(&step), o->seed);
	rng_init_stream(&r.rng, o->seed, 1);
	token_bucket_init(&r.bucket, o->bucket_per_s, o->bucket_burst, 0);
	run_events(&r);
	r.engine->ops->destroy(r.engine);
	return 0;
}
