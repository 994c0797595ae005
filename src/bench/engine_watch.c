/* SPDX-License-Identifier: MIT */
#include "bench/engine_watch.h"
#include <errno.h>
#include <stdio.h>
#include <yyjson.h>
#include "base/clock.h"

#define BODY_MAX ((size_t)4 << 20)
#define GET_MS 2000
#define ASK_EVERY_MS 100
#define LOOK_EVERY_MS 50
#define WIDTH_MAX 4096

/* reading ------------------------------------------------------------------------------------- */
static const struct {
	const char *running, *waiting;
} gauge_names[] = {
	{ "vllm:num_requests_running", "vllm:num_requests_waiting" },
	{ "sglang:num_running_reqs", "sglang:num_queue_reqs" },
	{ "llamacpp:requests_processing", "llamacpp:requests_deferred" },
};

static bool
line_value(struct slice line, struct slice name, double *ret)
{
	const char *blank;

	if (!slice_starts(line, name) || line.n == name.n ||
	    (line.p[name.n] != ' ' && line.p[name.n] != '{'))
		return false;
	blank = memrchr(line.p, ' ', line.n);
	if (!blank)
		return false;
	return slice_to_double((struct slice){ blank + 1, line.n - (size_t)(blank + 1 - line.p) },
			       ret) == 0;
}

static bool
sum_of(struct slice text, const char *name, double *ret)
{
	bool found = false;

	*ret = 0;
	while (text.n) {
		const char *end = memchr(text.p, '\n', text.n);
		size_t n = end ? (size_t)(end - text.p) : text.n;
		double v;

		if (line_value((struct slice){ text.p, n }, slice_of(name), &v)) {
			*ret += v;
			found = true;
		}
		text.p += n + (end != NULL);
		text.n -= n + (end != NULL);
	}
	return found;
}

void
engine_load_from_metrics(struct slice text, struct engine_load *ret)
{
	*ret = (struct engine_load){ 0 };
	for (unsigned i = 0; i < ARRAY_LEN(gauge_names) && !ret->known; i++)
		ret->known = sum_of(text, gauge_names[i].running, &ret->running) &&
			     sum_of(text, gauge_names[i].waiting, &ret->waiting);
}

void
engine_load_from_sim_state(struct slice json, struct engine_load *ret)
{
	yyjson_doc *doc = yyjson_read(json.p, json.n, 0);
	yyjson_val *root = yyjson_doc_get_root(doc);

	*ret = (struct engine_load){
		.known = yyjson_is_true(yyjson_obj_get(root, "simulated")),
		.running = yyjson_get_num(yyjson_obj_get(root, "running")),
		.waiting = yyjson_get_num(yyjson_obj_get(root, "waiting")),
	};
	yyjson_doc_free(doc);
}

static void
read_model(struct engine_watch *w)
{
	yyjson_doc *doc = yyjson_read(w->body.p, w->body.n, 0);
	yyjson_val *first = yyjson_arr_get_first(yyjson_obj_get(yyjson_doc_get_root(doc), "data"));
	const char *id = yyjson_get_str(yyjson_obj_get(first, "id"));

	if (id)
		snprintf(w->model, sizeof(w->model), "%s", id);
	yyjson_doc_free(doc);
}

/* llama-server tells how many sequences it runs at a time. */
static void
read_width(struct engine_watch *w)
{
	yyjson_doc *doc = yyjson_read(w->body.p, w->body.n, 0);
	uint64_t n = yyjson_get_uint(yyjson_obj_get(yyjson_doc_get_root(doc), "total_slots"));

	if (n > 0 && n <= WIDTH_MAX)
		w->width = (unsigned)n;
	yyjson_doc_free(doc);
}

/* asking -------------------------------------------------------------------------------------- */
static void
on_answer(void *ctx, unsigned status, struct slice body, const char *err)
{
	struct engine_watch *w = ctx;

	(void)err;
	w->get = NULL;
	w->answered = true;
	w->status = status;
	buf_clear(&w->body);
	buf_add_slice(&w->body, body);
}

static bool
has_answered(void *ctx)
{
	const struct engine_watch *w = ctx;

	return w->answered;
}

/* 0 whatever the answer was, or -EINTR. */
static int
ask(struct engine_watch *w, const char *target)
{
	const struct http_headers none = { 0 };
	int err;

	w->answered = false;
	w->status = 0;
	w->get = http_get_start(w->pool, target, &none, BODY_MAX, GET_MS, on_answer, w);
	if (w->answered)
		w->get = NULL;
	err = stage_wait(w->stage, has_answered, w, 2 * (uint64_t)GET_MS);
	if (err && w->get) {
		http_get_cancel(w->get);
		w->get = NULL;
	}
	return err == -EINTR ? err : 0;
}

int
engine_watch_look(struct engine_watch *w, struct engine_load *ret)
{
	int err;

	*ret = (struct engine_load){ 0 };
	if (w->gauges == ENGINE_SILENT)
		return 0;
	err = ask(w, w->gauges == ENGINE_SIM_STATE ? "/sim/state" : "/metrics");
	if (err || w->status != 200)
		return err;
	if (w->gauges == ENGINE_SIM_STATE)
		engine_load_from_sim_state(buf_slice(&w->body), ret);
	else
		engine_load_from_metrics(buf_slice(&w->body), ret);
	return 0;
}

int
engine_watch_wait_idle(struct engine_watch *w, uint64_t most_ms)
{
	uint64_t end_us = clock_mono_us() + most_ms * 1000;
	struct engine_load load;
	int err;

	if (w->gauges == ENGINE_SILENT)
		return stage_sleep(w->stage, ENGINE_SILENT_PAUSE_MS);
	while (!(err = engine_watch_look(w, &load))) {
		if (load.known && load.running <= 0 && load.waiting <= 0)
			return 0;
		if (clock_mono_us() >= end_us)
			return -ETIMEDOUT;
		err = stage_sleep(w->stage, LOOK_EVERY_MS);
		if (err)
			return err;
	}
	return err;
}

/* learning ------------------------------------------------------------------------------------ */
static int
learn_gauges(struct engine_watch *w)
{
	static const enum engine_gauges kinds[] = { ENGINE_SIM_STATE, ENGINE_METRICS };
	struct engine_load load;

	for (unsigned i = 0; i < ARRAY_LEN(kinds); i++) {
		int err;

		w->gauges = kinds[i];
		err = engine_watch_look(w, &load);
		if (err || load.known)
			return err;
	}
	w->gauges = ENGINE_SILENT;
	return 0;
}

int
engine_watch_wait_ok(struct engine_watch *w, const char *target, uint64_t most_ms)
{
	uint64_t end_us = clock_mono_us() + most_ms * 1000;
	int err;

	while (!(err = ask(w, target)) && w->status != 200) {
		if (clock_mono_us() >= end_us)
			return -ETIMEDOUT;
		err = stage_sleep(w->stage, ASK_EVERY_MS);
		if (err)
			break;
	}
	return err;
}

int
engine_watch_learn(struct engine_watch *w, uint64_t most_ms, struct diag *d)
{
	int err = engine_watch_wait_ok(w, "/v1/models", most_ms);

	if (err == -ETIMEDOUT) {
		diag_what(d, "the engine does not list its models: GET /v1/models gave %u", w->status);
		diag_hint(d, "0 means no answer at all; is the address right?");
	}
	if (err)
		return err;
	read_model(w);
	err = ask(w, "/props");
	if (!err && w->status == 200)
		read_width(w);
	return err ? err : learn_gauges(w);
}

/* life ---------------------------------------------------------------------------------------- */
void
engine_watch_init(struct engine_watch *w, struct stage *s, const struct http_endpoint *ep)
{
	struct http_client_limits limits = HTTP_CLIENT_LIMITS_DEFAULT;

	*w = (struct engine_watch){ .stage = s };
	buf_init(&w->body, BODY_MAX);
	w->pool = http_pool_create(&s->loop, ep, &limits);
}

static void
on_closed(void *ctx)
{
	struct engine_watch *w = ctx;

	w->closed = true;
}

void
engine_watch_finish(struct engine_watch *w)
{
	if (!w->pool)
		return;
	http_pool_close(w->pool, on_closed, w);
	while (!w->closed)
		uv_run(&w->stage->loop, UV_RUN_ONCE);
	http_pool_destroy(w->pool);
	buf_finish(&w->body);
	w->pool = NULL;
}
