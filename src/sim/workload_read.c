/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <yyjson.h>
#include "sim/workload.h"

#define NEEDED UINT64_MAX

struct reader {
	struct diag *diag;
	const char *where; /* request id, or "engine" */
	int error;
};

/* Only the first complaint counts: true for it, and then a hint may be added. */
static bool
complain(struct reader *r, const char *key, const char *what)
{
	if (r->error)
		return false;
	r->error = -EINVAL;
	diag_where(r->diag, "%s: %s", r->where, key);
	diag_what(r->diag, "%s", what);
	return true;
}

static void
complain_range(struct reader *r, const char *key, uint64_t low, uint64_t high)
{
	if (complain(r, key, "missing, or not a whole number in range"))
		diag_hint(r->diag, "from %" PRIu64 " to %" PRIu64, low, high);
}

/* A whole number of [low, high]; @absent when there is none, unless that is NEEDED. */
static uint64_t
number(struct reader *r, yyjson_val *object, const char *key, uint64_t low, uint64_t high, uint64_t absent)
{
	yyjson_val *v = yyjson_obj_get(object, key);

	if ((!v || yyjson_is_null(v)) && absent != NEEDED)
		return absent;
	if (!yyjson_is_uint(v) || yyjson_get_uint(v) < low || yyjson_get_uint(v) > high) {
		complain_range(r, key, low, high);
		return low;
	}
	return yyjson_get_uint(v);
}

static bool
boolean(struct reader *r, yyjson_val *object, const char *key, bool absent)
{
	yyjson_val *v = yyjson_obj_get(object, key);

	if (v && !yyjson_is_null(v) && !yyjson_is_bool(v))
		complain(r, key, "neither true nor false");
	return yyjson_is_bool(v) ? yyjson_get_bool(v) : absent;
}

static void
read_engine(struct reader *r, yyjson_val *e, struct sched_params *p)
{
	yyjson_val *policy = yyjson_obj_get(e, "policy"), *mark = yyjson_obj_get(e, "watermark");

	p->max_seqs = (uint32_t)number(r, e, "max_num_seqs", 1, WORKLOAD_SEQS_MAX, NEEDED);
	p->budget_tok = (uint32_t)number(r, e, "max_num_batched_tokens", p->max_seqs,
					 WORKLOAD_TOKENS_MAX, NEEDED);
	p->block_tok = (uint32_t)number(r, e, "block_size", 1, WORKLOAD_BLOCK_TOK_MAX, NEEDED);
	p->blocks = (uint32_t)number(r, e, "num_blocks", 2, WORKLOAD_BLOCKS_MAX, NEEDED);
	p->max_model_len = (uint32_t)number(r, e, "max_model_len", 2, WORKLOAD_TOKENS_MAX, NEEDED);
	p->long_prefill_tok =
		(uint32_t)number(r, e, "long_prefill_token_threshold", 0, WORKLOAD_TOKENS_MAX, 0);
	p->watermark = mark ? yyjson_get_num(mark) : 0;
	if (mark && !(yyjson_is_num(mark) && p->watermark >= 0 && p->watermark <= 1))
		complain(r, "watermark", "not a number from 0 to 1");
	p->prefix_caching = boolean(r, e, "prefix_caching", true);
	p->by_priority = policy && yyjson_equals_str(policy, "priority");
	if (policy && !p->by_priority && !yyjson_equals_str(policy, "fcfs"))
		complain(r, "policy", "neither \"fcfs\" nor \"priority\"");
	p->async = boolean(r, e, "async", false);
}

static void
read_prompt(struct reader *r, yyjson_val *prompt, struct workload_request *q)
{
	size_t n = yyjson_arr_size(prompt), i, max;
	yyjson_val *pair;

	if (n == 0 || n > WORKLOAD_SEGMENTS_MAX) {
		if (complain(r, "prompt", "not a list of pairs [seed, length]"))
			diag_hint(r->diag, "1 to %d of them", WORKLOAD_SEGMENTS_MAX);
		return;
	}
	q->segments = must_calloc(n, sizeof(*q->segments));
	yyjson_arr_foreach(prompt, i, max, pair)
	{
		yyjson_val *seed = yyjson_arr_get(pair, 0), *length = yyjson_arr_get(pair, 1);

		if (yyjson_arr_size(pair) != 2 || !yyjson_is_uint(seed) ||
		    !yyjson_is_uint(length) || yyjson_get_uint(length) > WORKLOAD_TOKENS_MAX) {
			if (complain(r, "prompt", "not a list of pairs [seed, length]"))
				diag_hint(r->diag, "whole numbers, the length up to %u",
					  WORKLOAD_TOKENS_MAX);
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

	if (!yyjson_is_str(id) || strlen(yyjson_get_str(id)) != yyjson_get_len(id)) {
		complain(r, "id", "missing, or not a string without NUL");
		return;
	}
	q->id = must_strdup(yyjson_get_str(id));
	r->where = q->id;
	q->arrive = number(r, v, "arrive", 0, WORKLOAD_STEPS_MAX, NEEDED);
	q->max_tok = (uint32_t)number(r, v, "max_tokens", 1, WORKLOAD_TOKENS_MAX, NEEDED);
	if (priority && !yyjson_is_null(priority) &&
	    (!yyjson_is_int(priority) ||
	     (yyjson_is_uint(priority) && yyjson_get_uint(priority) > INT64_MAX)))
		complain(r, "priority", "not a whole number of 64 bits");
	q->priority = yyjson_get_sint(priority);
	q->abort = number(r, v, "abort", 0, UINT64_MAX - 1, UINT64_MAX - 1);
	if (!yyjson_is_uint(yyjson_obj_get(v, "abort")))
		q->abort = UINT64_MAX;
	read_prompt(r, yyjson_obj_get(v, "prompt"), q);
}

static int
compare_ids(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void
check_ids(struct reader *r, const struct workload *w)
{
	const char **ids = must_calloc(w->n + (size_t)1, sizeof(*ids));

	for (uint32_t i = 0; i < w->n; i++)
		ids[i] = w->requests[i].id;
	qsort(ids, w->n, sizeof(*ids), compare_ids);
	for (uint32_t i = 1; i < w->n; i++)
		if (strcmp(ids[i - 1], ids[i]) == 0) {
			r->where = ids[i];
			complain(r, "id", "of more than one request");
		}
	free(ids);
}

static int
read_root(struct workload *ret, yyjson_val *root, struct diag *diag)
{
	struct reader r = { .diag = diag, .where = "workload" };
	yyjson_val *engine = yyjson_obj_get(root, "engine"),
		   *requests = yyjson_obj_get(root, "requests"), *v;
	size_t i, max;

	if (!yyjson_is_obj(engine))
		complain(&r, "engine", "missing, or not an object");
	if ((!yyjson_is_arr(requests) || yyjson_arr_size(requests) > WORKLOAD_REQUESTS_MAX) &&
	    complain(&r, "requests", "missing, or not a list in range"))
		diag_hint(diag, "up to %u requests", WORKLOAD_REQUESTS_MAX);
	r.where = "engine";
	if (!r.error)
		read_engine(&r, engine, &ret->engine);
	if (r.error)
		return r.error;
	ret->requests = must_calloc(MAX(yyjson_arr_size(requests), (size_t)1), sizeof(*ret->requests));
	yyjson_arr_foreach(requests, i, max, v)
	{
		char number[48];

		snprintf(number, sizeof(number), "request %zu", i + 1);
		r.where = number;
		read_request(&r, v, &ret->requests[ret->n++]);
		if (r.error)
			return r.error;
	}
	check_ids(&r, ret);
	return r.error;
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
