/* SPDX-License-Identifier: MIT */
#include "sim/replay.h"
#include <errno.h>
#include <stdlib.h>
#include "base/rng.h"
#include "sim/source.h"
#include "tenant/token_bucket.h"

static const struct replay_host hosts[] = {
#define X(name_, in, sd, request, chunk, idle, blank, about_)                                      \
	{ .name = (name_),                                                                         \
	  .in_ms = (in),                                                                           \
	  .in_sd_ms = (sd),                                                                        \
	  .request_ms = (request),                                                                 \
	  .chunk_ms = (chunk),                                                                     \
	  .idle_mean_ms = (idle),                                                                  \
	  .blank_share = (blank),                                                                  \
	  .about = (about_) },
#include "sim/host_presets.def"
#undef X
};

/* A request on its way; lives from its arrival to its last token. */
struct flight {
	struct sim_seq seq;
	struct heap_node node; /* before the engine, by submit_us */
	struct sim_prompt prompt;
	struct replay_row *row;
	uint64_t submit_us, order;
	double chunk_starts_us, chunk_ends_us; /* its last output chunk at the API server */
	bool blank;			       /* the first token is white space */
};

struct replay {
	struct replay_trace *t;
	const struct replay_options *o;
	struct sim_source *engine;
	struct rng rng;
	struct heap inbound;
	struct token_bucket bucket;
	double api_free_us; /* when the API server has done all that waits for it */
	uint64_t now_us, order;
};

const struct replay_host *
replay_host_find(const char *name)
{
	for (unsigned i = 0; i < ARRAY_LEN(hosts); i++)
		if (strcmp(hosts[i].name, name) == 0)
			return &hosts[i];
	return NULL;
}

void
replay_hosts_describe(struct buf *out)
{
	for (unsigned i = 0; i < ARRAY_LEN(hosts); i++)
		buf_addf(out, "  %-22s%s; in %g +- %g ms, request %g ms, chunk %g ms, wake %g ms, blank first %g\n",
			 hosts[i].name, hosts[i].about, hosts[i].in_ms, hosts[i].in_sd_ms,
			 hosts[i].request_ms, hosts[i].chunk_ms, hosts[i].idle_mean_ms,
			 hosts[i].blank_share);
}

static bool
sooner(const struct heap_node *a, const struct heap_node *b)
{
	const struct flight *x = container_of((uintptr_t)a, struct flight, node);
	const struct flight *y = container_of((uintptr_t)b, struct flight, node);

	return x->submit_us != y->submit_us ? x->submit_us < y->submit_us : x->order < y->order;
}

/* The API server's queue: one job after the other.  Returns when this one ends. */
static double
api_job(struct replay *r, double cost_ms, double *ret_starts_us)
{
	double starts_us = MAX(r->api_free_us, (double)r->now_us);

	*ret_starts_us = starts_us;
	r->api_free_us = starts_us + cost_ms * 1000;
	return r->api_free_us;
}

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
	const struct replay_host *h = r->o->host;
	struct flight *f;
	double starts_us, in_us, through_us;

	row->refused = refuse(r, row);
	if (row->refused)
		return;
	f = must_calloc(1, sizeof(*f));
	in_us = MAX(0, h->in_ms + h->in_sd_ms * rng_normal(&r->rng)) * 1000;
	through_us = api_job(r, h->request_ms, &starts_us);
	f->row = row;
	f->order = r->order++;
	f->prompt.n = row->prompt_tok;
	f->seq = (struct sim_seq){ .prompt = &f->prompt, .out_tok = row->max_tok };
	f->blank = row->max_tok > 1 && rng_unit(&r->rng) < h->blank_share;
	f->submit_us = (uint64_t)(through_us + in_us);
	if (r->engine->ops->next_us(r->engine) == UINT64_MAX)
		f->submit_us += (uint64_t)(rng_exp(&r->rng, h->idle_mean_ms) * 1000);
	heap_push(&r->inbound, &f->node);
}

static double
since_sent_ms(const struct flight *f, double us)
{
	return (us - (double)f->row->t_us) / 1000;
}

static void
on_token(void *ctx, struct sim_seq *seq, unsigned n, bool finished)
{
	struct replay *r = ctx;
	struct flight *f = container_of(seq, struct flight, seq);

	(void)n;
	if (seq->made == 1 || f->chunk_starts_us <= (double)r->now_us)
		f->chunk_ends_us = api_job(r, r->o->host->chunk_ms, &f->chunk_starts_us);
	if (seq->made == (f->blank ? 2 : 1))
		f->row->ttft_ms = since_sent_ms(f, f->chunk_ends_us);
	if (finished) {
		f->row->total_ms = since_sent_ms(f, f->chunk_ends_us);
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
		diag_what(diag, "prompt and answer do not fit the KV cache of %s", o->preset->name);
		return -EINVAL;
	}
	return 0;
}

static void
run_events(struct replay *r)
{
	size_t arrived = 0;

	for (;;) {
		struct heap_node *top = heap_peek(&r->inbound);
		struct flight *first = top ? container_of(top, struct flight, node) : NULL;
		uint64_t step = r->engine->ops->next_us(r->engine);
		uint64_t submit = first ? first->submit_us : UINT64_MAX;
		uint64_t row = arrived < r->t->n ? r->t->rows[arrived].t_us : UINT64_MAX;
		uint64_t next = MIN(step, MIN(submit, row));

		if (next == UINT64_MAX)
			return;
		r->now_us = next;
		if (step == next) {
			r->engine->ops->advance(r->engine, next, on_token, r);
		} else if (submit == next) {
			heap_pop(&r->inbound);
			r->engine->ops->start(r->engine, &first->seq, next);
		} else {
			arrive(r, &r->t->rows[arrived++]);
		}
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
	r.engine = sim_source_step(&step);
	rng_init(&r.rng, o->seed);
	heap_init(&r.inbound, sooner);
	token_bucket_init(&r.bucket, o->bucket_per_s, o->bucket_burst, 0);
	run_events(&r);
	r.engine->ops->destroy(r.engine);
	return 0;
}
