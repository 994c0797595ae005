/* SPDX-License-Identifier: MIT */
/* One request of the load: its body, its stream, and what became of it. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include "base/clock.h"
#include "base/json_writer.h"
#include "bench/load_impl.h"
#include "wire/chunk_facts.h"

#define BODY_MAX ((size_t)4 << 20)
#define ERROR_BODY_MAX 4096
#define BYTES_PER_TOKEN 4 /* of the filler words below, with their blank */

enum outcome {
	OUT_OK,
	OUT_REFUSED,
	OUT_FAILED,
	OUT_UNFINISHED
};

/* the request ---------------------------------------------------------------------------------- */
static struct load_request *
take_free(struct load_tenant *t)
{
	struct load *l = t->load;
	struct list *it = list_pop_front(&l->free);
	struct load_request *r;

	if (it)
		return list_entry(it, struct load_request, link);
	r = must_calloc(1, sizeof(*r));
	list_init(&r->link);
	list_push_back(&l->all, &r->all);
	buf_init(&r->body, BODY_MAX);
	buf_init(&r->error, ERROR_BODY_MAX);
	return r;
}

static void
write_prompt(struct load_tenant *t, struct buf *b, unsigned tok)
{
	static const char words[16][BYTES_PER_TOKEN + 1] = {
		"the ", "sun ", "was ", "low ", "and ", "we ",	"had ", "far ",
		"to ",	"go ",	"but ", "saw ", "no ",	"one ", "out ", "yet ",
	};

	buf_addf(b, "%016llx ", (unsigned long long)(t->load->nonce ^ rng_u64(&t->rng)));
	for (size_t left = (size_t)tok * BYTES_PER_TOKEN; b->n < left && !b->overflow;)
		buf_add_str(b, words[rng_below(&t->rng, ARRAY_LEN(words))]);
}

static void
write_body(struct load_request *r)
{
	struct load_tenant *t = r->tenant;
	unsigned in = load_length_draw(&t->spec->in, &t->rng);
	unsigned out = load_length_draw(&t->spec->out, &t->rng);
	struct json_writer w;
	struct buf prompt;

	buf_init(&prompt, BODY_MAX);
	write_prompt(t, &prompt, in);
	buf_clear(&r->body);
	jw_init(&w, &r->body);
	jw_object(&w);
	jw_kv_str(&w, "model", t->load->spec->model);
	jw_kv_uint(&w, "max_tokens", out);
	jw_kv_bool(&w, "stream", true);
	jw_key(&w, "stream_options");
	jw_object(&w);
	jw_kv_bool(&w, "include_usage", true);
	jw_end_object(&w);
	/* Otherwise answers end when the model likes, and two arms would not do the same work. */
	jw_kv_bool(&w, "ignore_eos", true);
	jw_kv_slice(&w, "prompt", buf_slice(&prompt));
	jw_end_object(&w);
	buf_finish(&prompt);
}

static void
prepare(struct load_request *r, struct load_tenant *t, uint64_t planned_us)
{
	r->tenant = t;
	r->measured = load_is_measuring(t->load, planned_us);
	r->saw_error = r->saw_done = false;
	r->status = 0;
	r->planned_us = planned_us;
	r->first_us = r->wake_us = 0;
	r->chunks = r->measured_chunks = 0;
	r->usage_tok = 0;
	buf_clear(&r->error);
	sse_init(&r->sse);
	write_body(r);
}

/* the end ------------------------------------------------------------------------------------- */
static void
note_failure(struct load_request *r, const char *why)
{
	char *text = r->tenant->count.failure;

	if (text[0] == '\0')
		snprintf(text, LOAD_FAILURE_BYTES, "%.*s", LOAD_FAILURE_BYTES - 1, why);
}

/* Chunks are not tokens: an engine may merge several.  What the usage says is spread over the chunks that came. */
static void
count_tokens(struct load_request *r)
{
	struct load_tenant *t = r->tenant;

	if (r->usage_tok > 0 && r->chunks > 0) {
		t->chunk_tok += r->chunks;
		t->usage_tok += (uint64_t)r->usage_tok;
		t->count.tokens += (double)r->measured_chunks * (double)r->usage_tok / (double)r->chunks;
	} else {
		t->measured_chunks += (double)r->measured_chunks;
	}
}

static void
count_outcome(struct load_request *r, enum outcome what)
{
	struct load_tenant *t = r->tenant;
	double ttft_ms = INFINITY;

	count_tokens(r);
	if (!r->measured)
		return;
	t->load->measured_left--;
	t->count.unfinished--;
	switch (what) {
	case OUT_OK:
		t->count.ok++;
		ttft_ms = (double)(r->first_us - r->planned_us) / 1000;
		break;
	case OUT_REFUSED:
		t->count.refused++;
		break;
	case OUT_FAILED:
		t->count.failed++;
		break;
	case OUT_UNFINISHED:
		t->count.unfinished++;
	}
	stats_add(&t->ttft_ms, ttft_ms);
}

static void
release(struct load_request *r)
{
	list_del(&r->link);
	list_push_front(&r->tenant->load->free, &r->link);
	r->tenant->outstanding--;
}

static void
end(struct load_request *r, enum outcome what)
{
	struct load_tenant *t = r->tenant;

	count_outcome(r, what);
	sse_finish(&r->sse);
	if (what == OUT_REFUSED || what == OUT_FAILED) {
		r->wake_us = clock_mono_us() + LOAD_BACKOFF_MS * 1000u;
		list_del(&r->link);
		list_push_back(&t->backing_off, &r->link);
	} else {
		release(r);
		if (what != OUT_UNFINISHED)
			load_tenant_refill(t);
	}
	load_arm(t->load);
}

void
load_request_wake(struct load_request *r)
{
	struct load_tenant *t = r->tenant;

	release(r);
	load_tenant_refill(t);
}

void
load_request_give_up(struct load_request *r)
{
	http_call_cancel(&r->call);
	end(r, OUT_UNFINISHED);
}

void
load_request_free(struct load_request *r)
{
	list_del(&r->all);
	buf_finish(&r->body);
	buf_finish(&r->error);
	free(r);
}

/* the answer ---------------------------------------------------------------------------------- */
static void
on_event(void *ctx, const struct sse_event *ev)
{
	struct load_request *r = ctx;
	struct chunk_facts f;
	uint64_t now_us;

	if (ev->is_done) {
		r->saw_done = true;
		return;
	}
	if (!ev->has_data)
		return;
	chunk_facts_read(&f, ev->data);
	if (f.has_error || f.bad) {
		r->saw_error = true;
		note_failure(r, f.bad ? "an event that is not JSON" : f.error_message);
	}
	if (f.usage.known)
		r->usage_tok = MAX(r->usage_tok, f.usage.completion_tok);
	if (!f.has_token)
		return;
	now_us = clock_mono_us();
	if (!r->first_us)
		r->first_us = now_us;
	r->chunks += f.token_choices;
	if (load_is_measuring(r->tenant->load, now_us))
		r->measured_chunks += f.token_choices;
}

static void
on_head(void *ctx, unsigned status, const struct http_headers *headers)
{
	struct load_request *r = ctx;

	(void)headers;
	r->status = status;
}

static void
on_data(void *ctx, struct slice piece)
{
	struct load_request *r = ctx;

	if (r->status == 200)
		sse_feed(&r->sse, piece, on_event, r);
	else
		buf_add(&r->error, piece.p, MIN(piece.n, ERROR_BODY_MAX - r->error.n));
}

static void
note_status(struct load_request *r)
{
	char why[LOAD_FAILURE_BYTES];
	struct chunk_facts f = { 0 };

	chunk_facts_read_error(&f, buf_slice(&r->error));
	snprintf(why, sizeof(why), "HTTP %u: %.150s", r->status, f.error_message);
	note_failure(r, why);
}

static enum outcome
judge(struct load_request *r)
{
	if (r->status == 429 || r->status == 503)
		return OUT_REFUSED;
	if (r->status != 200)
		note_status(r);
	else if (!r->first_us)
		note_failure(r, "an answer without a single token");
	else if (!r->saw_done)
		note_failure(r, "a stream that ended without [DONE]");
	else if (!r->saw_error)
		return OUT_OK;
	return OUT_FAILED;
}

static void
on_end(void *ctx)
{
	struct load_request *r = ctx;

	end(r, judge(r));
}

static void
on_error(void *ctx, enum http_call_error err, const char *detail)
{
	struct load_request *r = ctx;

	(void)err;
	note_failure(r, detail);
	end(r, OUT_FAILED);
}

/* sending ------------------------------------------------------------------------------------- */
static void
start_call(struct load_request *r)
{
	static const struct http_call_ops ops = {
		.on_head = on_head, .on_data = on_data, .on_end = on_end, .on_error = on_error
	};
	struct load_tenant *t = r->tenant;
	char bearer[LOAD_WORD_BYTES + 8];
	struct http_header h[4] = {
		{ SLICE("content-type"), SLICE("application/json") },
		{ SLICE("accept"), SLICE("text/event-stream") },
		{ slice_of(t->spec->header), slice_of(t->spec->name) },
	};
	struct http_call_request rq = {
		.method = SLICE("POST"),
		.target = SLICE("/v1/completions"),
		.headers = { 3, h },
		.body = { buf_slice(&r->body) },
		.body_pieces = 1,
	};

	if (t->spec->key[0]) {
		snprintf(bearer, sizeof(bearer), "Bearer %s", t->spec->key);
		h[rq.headers.n++] = (struct http_header){ SLICE("authorization"), slice_of(bearer) };
	}
	http_call_start(&r->call, t->pool, &rq, &ops, r);
}

void
load_request_send(struct load_tenant *t, uint64_t planned_us)
{
	struct load_request *r = take_free(t);
	struct load *l = t->load;

	prepare(r, t, planned_us);
	list_push_back(&t->running, &r->link);
	t->outstanding++;
	if (r->measured) {
		l->measured_left++;
		t->count.scheduled++;
		t->count.unfinished++;
		if (t->spec->arrival != LOAD_CLOSED)
			stats_add(&l->lag_ms, (double)(clock_mono_us() - planned_us) / 1000);
	}
	start_call(r);
}
