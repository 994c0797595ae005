/* SPDX-License-Identifier: MIT */
/* Pages without a generation: health, models, metrics, and the simulator's own. */
#include "sim/face_impl.h"

#define PAGE_MAX ((size_t)1 << 20)

enum page_when {
	WHEN_READY,
	ALWAYS
};

struct page {
	const char *method, *path;
	enum page_when when;
	void (*render)(struct sim_face *f, struct buf *out, const char **type);
};

static void
health(struct sim_face *f, struct buf *out, const char **type)
{
	f->o.personality->health(out);
	*type = f->o.personality->json_type;
}

static void
models(struct sim_face *f, struct buf *out, const char **type)
{
	struct json_writer w;

	jw_init(&w, out);
	f->o.personality->models(&w, f->o.models, f->o.n_models, f->created_s, f->o.max_model_len);
	*type = f->o.personality->json_type;
}

static void
metrics(struct sim_face *f, struct buf *out, const char **type)
{
	struct sim_face_stats s;

	sim_face_stats(f, &s);
	f->o.personality->metrics(out, &s);
	*type = "text/plain; version=0.0.4; charset=utf-8";
}

static void
version(struct sim_face *f, struct buf *out, const char **type)
{
	(void)f;
	(void)type;
	buf_add_str(out, "{\"version\":\"" KVWARDEN_VERSION "+sim\"}");
}

static void
sim_state(struct sim_face *f, struct buf *out, const char **type)
{
	struct sim_face_stats s;
	struct json_writer w;

	(void)type;
	sim_face_stats(f, &s);
	jw_init(&w, out);
	jw_object(&w);
	jw_kv_bool(&w, "simulated", true);
	jw_kv_str(&w, "personality", f->o.personality->name);
	jw_kv_bool(&w, "ready", face_is_ready(f));
	jw_kv_uint(&w, "in_engine", f->n_running);
	jw_kv_uint(&w, "running", s.running);
	jw_kv_uint(&w, "waiting", s.waiting);
	jw_kv_uint(&w, "peak_in_engine", s.peak_in_engine);
	jw_kv_uint(&w, "peak_running", s.peak_running);
	jw_kv_uint(&w, "requests", s.requests);
	jw_kv_uint(&w, "finished", s.finished_length + s.finished_stop);
	jw_kv_uint(&w, "aborted", s.aborted);
	jw_kv_uint(&w, "errors", s.errors);
	jw_kv_uint(&w, "prompt_tokens", s.prompt_tok);
	jw_kv_uint(&w, "generated_tokens", s.generated_tok);
	jw_kv_uint(&w, "cached_tokens", s.cached_tok);
	jw_kv_uint(&w, "preemptions", s.preemptions);
	jw_kv_double(&w, "kv_usage", s.kv_usage, 6);
	jw_end_object(&w);
}

static void
sim_reset(struct sim_face *f, struct buf *out, const char **type)
{
	list_for_each(it, &f->gens) {
		gen_reset(list_entry(it, struct sim_gen, link));
	}
	f->stats.peak_running = f->stats.peak_in_engine = 0;
	face_arm(f);
	sim_state(f, out, type);
}

static const struct page pages[] = {
	{ "GET", "/health", WHEN_READY, health },   { "GET", "/v1/models", WHEN_READY, models },
	{ "GET", "/metrics", WHEN_READY, metrics }, { "GET", "/version", WHEN_READY, version },
	{ "GET", "/sim/state", ALWAYS, sim_state }, { "POST", "/sim/reset", ALWAYS, sim_reset },
};

static void
answer(struct http_exchange *x, unsigned status, const char *type, struct slice body)
{
	struct http_header v = { SLICE("content-type"), slice_of(type) };
	struct http_headers h = { 1, &v };

	http_respond(x, status, &h, body);
}

static void
answer_page(struct sim_face *f, struct http_exchange *x, const struct page *p)
{
	const struct sim_personality *who = f->o.personality;
	const struct sim_error loading = { .status = 503, .message = SLICE("Loading model") };
	const char *type = "application/json";
	struct slice method = http_method(x);
	unsigned status = 200;
	struct buf out;

	buf_init(&out, PAGE_MAX);
	if (!slice_eq(method, slice_of(p->method)) &&
	    !(slice_eq(method, SLICE("HEAD")) && p->method[0] == 'G')) {
		status = 405;
		sim_render_route_error(&out, who, status);
	} else if (p->when == WHEN_READY && !face_is_ready(f)) {
		status = 503;
		type = who->error_type;
		who->error(&out, &loading);
	} else {
		p->render(f, &out, &type);
	}
	answer(x, status, type, buf_slice(&out));
	buf_finish(&out);
}

bool
face_answer_page(struct sim_face *f, struct http_exchange *x)
{
	for (unsigned i = 0; i < ARRAY_LEN(pages); i++) {
		if (!slice_eq(http_path(x), slice_of(pages[i].path)))
			continue;
		answer_page(f, x, &pages[i]);
		return true;
	}
	return false;
}

void
face_answer_unknown(struct sim_face *f, struct http_exchange *x, unsigned status)
{
	struct buf out;

	buf_init(&out, PAGE_MAX);
	sim_render_route_error(&out, f->o.personality, status);
	answer(x, status, f->o.personality->error_type, buf_slice(&out));
	buf_finish(&out);
}
