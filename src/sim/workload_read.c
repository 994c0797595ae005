/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdlib.h>
#include <yyjson.h>
#include "sim/workload.h"

struct reader {
	struct diag *diag;
	const char *where; /* request id, or "engine" */
	int error;
};

static void
complain(struct reader *r, const char *key, const char *what)
{
	if (r->error)
		return;
	r->error = -EINVAL;
	diag_where(r->diag, "%s: %s", r->where, key);
	diag_what(r->diag, "%s", what);
}

/* A whole number of [low, high]; @absent when there is none, unless that is outside too. */
static uint64_t
number(struct reader *r, yyjson_val *object, const char *key, uint64_t low, uint64_t high, uint64_t absent)
{
	yyjson_val *v = yyjson_obj_get(object, key);

	if ((!v || yyjson_is_null(v)) && absent != UINT64_MAX)
		return absent;
	if (!yyjson_is_uint(v) || yyjson_get_uint(v) < low || yyjson_get_uint(v) > high) {
		complain(r, key, "missing, or not a whole number in range");
		return low;
	}
	return yyjson_get_uint(v);
}

static void
read_engine(struct reader *r, yyjson_val *e, struct sched_params *p)
{
	yyjson_val *policy = yyjson_obj_get(e, "policy"), *mark = yyjson_obj_get(e, "watermark");

	p->max_seqs = (uint32_t)number(r, e, "max_num_seqs", 1, WORKLOAD_SEQS_MAX, UINT64_MAX);
	p->budget_tok = (uint32_t)number(r, e, "max_num_batched_tokens", p->max_seqs,
					 UINT32_MAX / 4, UINT64_MAX);
	p->block_tok = (uint32_t)number(r, e, "block_size", 1, 1 << 16, UINT64_MAX);
	p->blocks = (uint32_t)number(r, e, "num_blocks", 2, WORKLOAD_BLOCKS_MAX, UINT64_MAX);
	p->max_model_len = (uint32_t)number(r, e, "max_model_len", 2, UINT32_MAX / 4, UINT64_MAX);
	p->long_prefill_tok =
		(uint32_t)number(r, e, "long_prefill_token_threshold", 0, UINT32_MAX / 4, 0);
	p->watermark = mark ? yyjson_get_num(mark) : 0;
	if (!(p->watermark >= 0 && p->watermark <= 1))
		complain(r, "watermark", "not a number from 0 to 1");
	p->prefix_caching = !yyjson_is_false(yyjson_obj_get(e, "prefix_caching"));
	p->by_priority = policy && yyjson_equals_str(policy, "priority");
	if (policy && !p->by_priority && !yyjson_equals_str(policy, "fcfs"))
		complain(r, "policy", "neither fcfs nor priority");
	p->async = yyjson_is_true(yyjson_obj_get(e, "async"));
}

static void
read_prompt(struct reader *r, yyjson_val *prompt, struct workload_request *q)
{
	size_t n = yyjson_arr_size(prompt), i, max;
	yyjson_val *pair;

	if (n == 0 || n > WORKLOAD_SEGMENTS_MAX) {
		complain(r, "prompt", "not a list of [seed, length]");
		return;
	}
	q->segments = must_calloc(n, sizeof(*q->segments));
	yyjson_arr_foreach(prompt, i, max, pair)
	{
		yyjson_val *seed = yyjson_arr_get(pair, 0), *length = yyjson_arr_get(pair, 1);

		if (!yyjson_is_uint(seed) || !yyjson_is_uint(length) ||
		    yyjson_get_uint(length) > UINT32_MAX / 4) {
			complain(r, "prompt", "not a list of [seed, length]");
			return;
		}
		q->segments[q->n_segments++] = (struct sched_segment){
			.seed = yyjson_get_uint(seed),
			.n = (uint32_t)yyjson_get_uint(length),
		};
	}
}

static void
read_request(struct reader *r, yyjson_val *v, struct workload_request *q)
{
	yyjson_val *priority = yyjson_obj_get(v, "priority"), *id = yyjson_obj_get(v, "id");

	if (!yyjson_is_str(id)) {
		complain(r, "id", "missing, or not a string");
		return;
	}
	q->id = must_strdup(yyjson_get_str(id));
	r->where = q->id;
	q->arrive = number(r, v, "arrive", 0, WORKLOAD_STEPS_MAX, UINT64_MAX);
	q->max_tok = (uint32_t)number(r, v, "max_tokens", 1, UINT32_MAX / 4, UINT64_MAX);
	if (priority && !yyjson_is_int(priority))
		complain(r, "priority", "not a whole number");
	q->priority = yyjson_get_sint(priority);
	q->abort = UINT64_MAX;
	if (yyjson_is_uint(yyjson_obj_get(v, "abort")))
		q->abort = yyjson_get_uint(yyjson_obj_get(v, "abort"));
	read_prompt(r, yyjson_obj_get(v, "prompt"), q);
}

static int
read_root(struct workload *ret, yyjson_val *root, struct diag *diag)
{
	struct reader r = { .diag = diag, .where = "engine" };
	yyjson_val *requests = yyjson_obj_get(root, "requests"), *v;
	size_t i, max;

	read_engine(&r, yyjson_obj_get(root, "engine"), &ret->engine);
	if (!yyjson_is_arr(requests) || yyjson_arr_size(requests) > UINT32_MAX / 4)
		complain(&r, "requests", "not a list");
	if (r.error)
		return r.error;
	ret->requests = must_calloc(MAX(yyjson_arr_size(requests), (size_t)1), sizeof(*ret->requests));
	yyjson_arr_foreach(requests, i, max, v)
	{
		r.where = "request";
		read_request(&r, v, &ret->requests[ret->n++]);
		if (r.error)
			return r.error;
	}
	return 0;
}

int
workload_read(struct workload *ret, struct slice json, struct diag *diag)
{
	yyjson_read_err err;
	yyjson_doc *doc;
	char *copy = must_malloc(json.n + 1);
	int r = -EINVAL;

	*ret = (struct workload){ 0 };
	memcpy(copy, json.p, json.n);
	doc = yyjson_read_opts(copy, json.n, 0, NULL, &err);
	if (!doc)
		diag_what(diag, "not JSON at byte %zu: %s", err.pos, err.msg);
	else
		r = read_root(ret, yyjson_doc_get_root(doc), diag);
	yyjson_doc_free(doc);
	free(copy);
	if (r < 0)
		workload_finish(ret);
	return r;
}

void
workload_finish(struct workload *w)
{
	for (uint32_t i = 0; i < w->n; i++) {
		free(w->requests[i].id);
		free(w->requests[i].segments);
	}
	free(w->requests);
	*w = (struct workload){ 0 };
}
