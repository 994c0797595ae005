/* SPDX-License-Identifier: MIT */
/* Pages without a generation: health, models, metrics, and the simulator's own. */
#include "sim/face_impl.h"

#define PAGE_MAX ((size_t)1 << 20)

enum page_when {
	WHEN_READY,
	ALWAYS
};

enum page_key {
	OPEN,
	WITH_KEY,
	METRICS /* with the key where the engine asks for it */
};

struct page {
	const char *method, *path;
	enum page_when when;
	enum page_key key;
	const struct sim_personality *only; /* NULL: all have it */
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
	buf_add_str(out, "{\"version\":\"0.32.0+simulated\"}");
}

static void
nothing(struct sim_face *f, struct buf *out, const char **type)
{
	(void)f;
	(void)out;
	(void)type;
}

static void
load(struct sim_face *f, struct buf *out, const char **type)
{
	(void)type;
	buf_addf(out, "{\"server_load\":%u}", f->n_running);
}

/* SGLang's feed for those in front of it. */
static void
loads(struct sim_face *f, struct buf *out, const char **type)
{
	struct sim_face_stats s;
	struct json_writer w;

	(void)type;
	sim_face_stats(f, &s);
	jw_init(&w, out);
	jw_object(&w);
	jw_kv_str(&w, "version", "0.5.23+simulated");
	jw_key(&w, "loads");
	jw_array(&w);
	jw_object(&w);
	jw_kv_uint(&w, "dp_rank", 0);
	jw_kv_uint(&w, "num_running_reqs", s.running);
	jw_kv_uint(&w, "num_waiting_reqs", s.waiting);
	jw_kv_uint(&w, "num_used_tokens", (uint64_t)(s.kv_usage * (double)s.kv_tokens));
	jw_kv_uint(&w, "max_total_num_tokens", s.kv_tokens);
	jw_kv_double(&w, "token_usage", s.kv_usage, 6);
	jw_end_object(&w);
	jw_end_array(&w);
	jw_end_object(&w);
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
	{ "GET", "/health", WHEN_READY, OPEN, NULL, health },
	{ "GET", "/v1/health", WHEN_READY, OPEN, &sim_llamacpp, health },
	{ "GET", "/v1/models", WHEN_READY, WITH_KEY, NULL, models },
	{ "GET", "/metrics", WHEN_READY, METRICS, NULL, metrics },
	{ "GET", "/version", WHEN_READY, OPEN, &sim_vllm, version },
	{ "GET", "/ping", WHEN_READY, OPEN, &sim_vllm, nothing },
	{ "GET", "/ping", WHEN_READY, OPEN, &sim_sglang, nothing },
	{ "GET", "/load", WHEN_READY, OPEN, &sim_vllm, load },
	{ "GET", "/v1/loads", WHEN_READY, WITH_KEY, &sim_sglang, loads },
	{ "GET", "/sim/state", ALWAYS, OPEN, NULL, sim_state },
	{ "POST", "/sim/reset", ALWAYS, OPEN, NULL, sim_reset },
};

/* @allow: the method that is served, or NULL. */
static void
answer(const struct sim_face *f, struct http_exchange *x, unsigned status, const char *type,
       const char *allow, struct slice body)
{
	const char *server = f->o.personality->server;
	struct http_header v[3];
	struct http_headers h = { 0, v };

	if (server)
		v[h.n++] = (struct http_header){ SLICE("server"), slice_of(server) };
	if (body.n > 0)
		v[h.n++] = (struct http_header){ SLICE("content-type"), slice_of(type) };
	if (allow)
		v[h.n++] = (struct http_header){ SLICE("allow"), slice_of(allow) };
	http_respond(x, status, &h, body);
}

static void
answer_error(const struct sim_face *f, struct http_exchange *x, const struct sim_error *e)
{
	struct buf out;

	buf_init(&out, PAGE_MAX);
	f->o.personality->error(&out, e);
	answer(f, x, e->status, f->o.personality->error_type, NULL, buf_slice(&out));
	buf_finish(&out);
}

static bool
method_fits(const struct sim_face *f, struct slice method, const struct page *p)
{
	return slice_eq(method, slice_of(p->method)) ||
	       (slice_eq(method, SLICE("HEAD")) && p->method[0] == 'G' &&
		(f->o.personality->head_pages || p->when == ALWAYS));
}

static void
answer_page(struct sim_face *f, struct http_exchange *x, const struct page *p)
{
	static const struct sim_error loading = { .status = 503, .message = SLICE_INIT("Loading model") };
	static const struct sim_error no_key = { .status = 401,
						 .message = SLICE_INIT("Invalid API Key") };
	const struct sim_personality *who = f->o.personality;
	bool keyed = p->key == WITH_KEY || (p->key == METRICS && who->metrics_need_key);
	const char *type = "application/json";
	struct buf out;

	if (!method_fits(f, http_method(x), p)) {
		face_answer_unknown(f, x, 405, p->method);
	} else if (p->when == WHEN_READY && !face_is_ready(f)) {
		if (who->loading == SIM_LOADING_REFUSED_THEN_503)
			answer(f, x, 503, type, NULL, SLICE(""));
		else
			answer_error(f, x, &loading);
	} else if (keyed && !face_key_fits(f, x)) {
		answer_error(f, x, &no_key);
	} else {
		buf_init(&out, PAGE_MAX);
		p->render(f, &out, &type);
		answer(f, x, 200, type, NULL, buf_slice(&out));
		buf_finish(&out);
	}
}

bool
face_answer_page(struct sim_face *f, struct http_exchange *x)
{
	for (unsigned i = 0; i < ARRAY_LEN(pages); i++) {
		if (!slice_eq(http_path(x), slice_of(pages[i].path)) ||
		    (pages[i].only && pages[i].only != f->o.personality))
			continue;
		answer_page(f, x, &pages[i]);
		return true;
	}
	return false;
}

void
face_answer_unknown(struct sim_face *f, struct http_exchange *x, unsigned status, const char *allow)
{
	const struct sim_personality *who = f->o.personality;
	struct buf out;

	if (status == 405 && who->no_405)
		status = 404;
	buf_init(&out, PAGE_MAX);
	sim_render_route_error(&out, who, status);
	answer(f, x, status, who->error_type, status == 405 ? allow : NULL, buf_slice(&out));
	buf_finish(&out);
}
