/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdlib.h>
#include "base/json_writer.h"
#include "sim/workload.h"

struct run {
	struct sched sched;
	struct workload *w;
	struct workload_request **arrivals, **aborts; /* in the order they happen */
	uint32_t n_arrived, n_aborts, n_aborted;
	uint64_t step;
	/* the line of this step */
	struct buf line, finished, aborted;
	struct json_writer finished_json, aborted_json;
	bool any_finished, any_aborted;
};

static struct workload_request *
of(const struct sched_request *q)
{
	return q->owner;
}

/* Equal arrivals stay in the order of the file, which is that of the addresses. */
static int
compare_arrivals(const void *a, const void *b)
{
	const struct workload_request *x = *(struct workload_request *const *)a;
	const struct workload_request *y = *(struct workload_request *const *)b;

	if (x->arrive != y->arrive)
		return x->arrive < y->arrive ? -1 : 1;
	return x < y ? -1 : x > y;
}

static int
compare_aborts(const void *a, const void *b)
{
	const struct workload_request *x = *(struct workload_request *const *)a;
	const struct workload_request *y = *(struct workload_request *const *)b;

	if (x->abort != y->abort)
		return x->abort < y->abort ? -1 : 1;
	return strcmp(x->id, y->id);
}

static int
compare_seqs(const void *a, const void *b)
{
	const struct sched_request *x = *(struct sched_request *const *)a;
	const struct sched_request *y = *(struct sched_request *const *)b;

	return x->seq < y->seq ? -1 : x->seq > y->seq;
}

static uint64_t
prompt_tok(const struct workload_request *q)
{
	uint64_t n = 0;

	for (uint32_t i = 0; i < q->n_segments; i++)
		n += q->segments[i].n;
	return n;
}

static void
explain_unfit(const struct run *r, const struct workload_request *q, struct diag *diag)
{
	const struct sched_params *p = &r->sched.p;
	uint64_t n = prompt_tok(q);

	diag_where(diag, "%s", q->id);
	if (n == 0)
		diag_what(diag, "the prompt is empty");
	else if (n >= p->max_model_len)
		diag_what(diag, "a prompt of %llu tokens is not below max_model_len, which is %u",
			  (unsigned long long)n, p->max_model_len);
	else
		diag_what(diag, "a prompt of %llu tokens and an answer of %u can never fit in %u blocks of %u tokens",
			  (unsigned long long)n, q->max_tok, p->blocks - 1, p->block_tok);
}

static int
arrive(struct run *r, struct diag *diag)
{
	while (r->n_arrived < r->w->n && r->arrivals[r->n_arrived]->arrive <= r->step) {
		struct workload_request *q = r->arrivals[r->n_arrived++];

		if (!sched_fits(&r->sched, prompt_tok(q), q->max_tok)) {
			explain_unfit(r, q, diag);
			return -EINVAL;
		}
		q->live = sched_add(&r->sched, q->segments, q->n_segments, q->max_tok, q->priority, q);
	}
	return 0;
}

static void
abort_due(struct run *r)
{
	while (r->n_aborted < r->n_aborts && r->aborts[r->n_aborted]->abort <= r->step) {
		struct workload_request *q = r->aborts[r->n_aborted++];

		if (!q->live)
			continue;
		sched_abort(&r->sched, q->live);
		q->live = NULL;
		jw_str(&r->aborted_json, q->id);
		r->any_aborted = true;
	}
}

static void
note_token(void *ctx, struct sched_request *q, bool finished)
{
	struct run *r = ctx;

	if (!finished)
		return;
	jw_str(&r->finished_json, of(q)->id);
	of(q)->live = NULL;
	r->any_finished = true;
}

static void
begin_lists(struct run *r)
{
	buf_clear(&r->finished);
	buf_clear(&r->aborted);
	jw_init(&r->finished_json, &r->finished);
	jw_init(&r->aborted_json, &r->aborted);
	jw_array(&r->finished_json);
	jw_array(&r->aborted_json);
	r->any_finished = r->any_aborted = false;
}

static void
write_planned(struct run *r, struct json_writer *w, const struct sched_batch *b)
{
	jw_key(w, "scheduled");
	jw_array(w);
	for (uint32_t i = 0; b && i < b->n; i++) {
		jw_array(w);
		jw_str(w, of(b->entries[i].q)->id);
		jw_uint(w, b->entries[i].tok);
		jw_end_array(w);
	}
	jw_end_array(w);
	jw_key(w, "preempted");
	jw_array(w);
	if (b)
		qsort(r->sched.preempted, r->sched.n_preempted, sizeof(struct sched_request *),
		      compare_seqs);
	for (uint32_t i = 0; b && i < r->sched.n_preempted; i++)
		jw_str(w, of(r->sched.preempted[i])->id);
	jw_end_array(w);
}

static void
write_cached(struct buf *out, const struct sched_batch *b)
{
	struct json_writer w;

	jw_init(&w, out);
	jw_object(&w);
	for (uint32_t i = 0; b && i < b->n; i++)
		if (b->entries[i].entered)
			jw_kv_uint(&w, of(b->entries[i].q)->id, b->entries[i].computed);
	jw_end_object(&w);
}

/* One turn of the engine's loop: plan, and complete the oldest step unless another may be planned first. */
static void
turn(struct run *r, workload_line_fn fn, void *ctx)
{
	unsigned depth = r->sched.p.async ? SCHED_BATCHES : 1;
	bool planned = sched_has_work(&r->sched), any = r->any_aborted;
	const struct sched_batch *b = planned ? sched_schedule(&r->sched) : NULL;
	bool scheduled = b && b->n > 0;
	struct json_writer w;
	struct buf cached;

	buf_init(&cached, WORKLOAD_BYTES_MAX);
	buf_clear(&r->line);
	jw_init(&w, &r->line);
	jw_object(&w);
	jw_kv_uint(&w, "step", r->step);
	write_planned(r, &w, b);
	write_cached(&cached, b);
	any = any || scheduled || (b && r->sched.n_preempted > 0);
	if (!(r->sched.n_batches < depth && scheduled) && r->sched.n_batches > 0)
		sched_update(&r->sched, note_token, r);
	jw_end_array(&r->finished_json);
	jw_end_array(&r->aborted_json);
	jw_key(&w, "finished");
	jw_raw(&w, buf_slice(&r->finished));
	jw_key(&w, "aborted");
	jw_raw(&w, buf_slice(&r->aborted));
	jw_key(&w, "cached");
	jw_raw(&w, buf_slice(&cached));
	jw_kv_uint(&w, "running", r->sched.n_running);
	jw_kv_uint(&w, "waiting", r->sched.n_waiting);
	jw_kv_uint(&w, "free_blocks", r->sched.kv.n_free);
	jw_end_object(&w);
	if (any || r->any_finished)
		fn(ctx, buf_slice(&r->line));
	buf_finish(&cached);
}

static int
run_turns(struct run *r, workload_line_fn fn, void *ctx, struct diag *diag)
{
	while (r->n_arrived < r->w->n || sched_has_work(&r->sched) || r->sched.n_batches > 0) {
		int e;

		if (!sched_has_work(&r->sched) && r->sched.n_batches == 0)
			r->step = MAX(r->step, r->arrivals[r->n_arrived]->arrive);
		begin_lists(r);
		e = arrive(r, diag);
		if (e < 0)
			return e;
		abort_due(r);
		turn(r, fn, ctx);
		if (++r->step > WORKLOAD_STEPS_MAX) {
			diag_what(diag, "no end after %u steps", WORKLOAD_STEPS_MAX);
			return -ETIME;
		}
	}
	return 0;
}

static void
order_events(struct run *r)
{
	r->arrivals = must_calloc(r->w->n + (size_t)1, sizeof(*r->arrivals));
	r->aborts = must_calloc(r->w->n + (size_t)1, sizeof(*r->aborts));
	for (uint32_t i = 0; i < r->w->n; i++) {
		struct workload_request *q = &r->w->requests[i];

		r->arrivals[i] = q;
		if (q->abort != UINT64_MAX)
			r->aborts[r->n_aborts++] = q;
	}
	qsort(r->arrivals, r->w->n, sizeof(*r->arrivals), compare_arrivals);
	qsort(r->aborts, r->n_aborts, sizeof(*r->aborts), compare_aborts);
}

int
workload_run(struct workload *w, workload_line_fn fn, void *ctx, struct diag *diag)
{
	struct run r = { .w = w };
	int e;

	sched_init(&r.sched, &w->engine);
	order_events(&r);
	buf_init(&r.line, WORKLOAD_BYTES_MAX);
	buf_init(&r.finished, WORKLOAD_BYTES_MAX);
	buf_init(&r.aborted, WORKLOAD_BYTES_MAX);
	e = run_turns(&r, fn, ctx, diag);
	buf_finish(&r.line);
	buf_finish(&r.finished);
	buf_finish(&r.aborted);
	free(r.arrivals);
	free(r.aborts);
	sched_finish(&r.sched);
	return e;
}
