/* SPDX-License-Identifier: MIT */
/* llama.cpp's server: "choices" comes first, the role chunk has content null, usage comes with timings. */
#include <stdio.h>
#include "sim/personality.h"

static void
null_key(struct json_writer *w, const char *key)
{
	jw_key(w, key);
	jw_null(w);
}

static void
answer_id(struct json_writer *w, const struct sim_answer_head *h)
{
	char id[160];

	snprintf(id, sizeof(id), "chatcmpl-" SLICE_FMT, SLICE_ARG(h->id)); /* for completions too */
	jw_kv_str(w, "id", id);
}

static void
after_choices(struct json_writer *w, const struct sim_answer_head *h, const char *object, bool with_id)
{
	jw_kv_uint(w, "created", h->created_s);
	if (with_id)
		answer_id(w, h);
	jw_kv_slice(w, "model", h->model);
	jw_kv_str(w, "system_fingerprint", "b7000-simulated");
	jw_kv_str(w, "object", object);
}

static void
tool_call(struct json_writer *w, const struct sim_answer_head *h, struct slice name, struct slice arguments)
{
	jw_key(w, "tool_calls");
	jw_array(w);
	jw_object(w);
	jw_kv_uint(w, "index", 0);
	if (name.p) {
		jw_kv_slice(w, "id", h->id);
		jw_kv_str(w, "type", "function");
	}
	jw_key(w, "function");
	jw_object(w);
	if (name.p)
		jw_kv_slice(w, "name", name);
	jw_kv_slice(w, "arguments", arguments);
	jw_end_object(w);
	jw_end_object(w);
	jw_end_array(w);
}

static void
delta(struct json_writer *w, const struct sim_answer_head *h, const struct sim_chunk *c)
{
	jw_key(w, "delta");
	jw_object(w);
	if (c->kind == SIM_CHUNK_ROLE) {
		jw_kv_str(w, "role", "assistant");
		null_key(w, "content");
	} else if (c->kind == SIM_CHUNK_TEXT) {
		jw_kv_slice(w, "content", c->text);
	} else if (c->kind == SIM_CHUNK_TOOL || c->kind == SIM_CHUNK_ARGUMENTS) {
		tool_call(w, h, c->tool, c->text);
	}
	jw_end_object(w);
}

static void
usage(struct json_writer *w, const struct sim_usage *u)
{
	jw_key(w, "usage");
	jw_object(w);
	jw_kv_uint(w, "completion_tokens", u->completion_tok);
	jw_kv_uint(w, "prompt_tokens", u->prompt_tok);
	jw_kv_uint(w, "total_tokens", u->prompt_tok + u->completion_tok);
	jw_key(w, "prompt_tokens_details");
	jw_object(w);
	jw_kv_uint(w, "cached_tokens", u->cached_tok);
	jw_end_object(w);
	jw_end_object(w);
}

static void
timings(struct json_writer *w, const struct sim_usage *u)
{
	jw_key(w, "timings");
	jw_object(w);
	jw_kv_uint(w, "cache_n", u->cached_tok);
	jw_kv_uint(w, "prompt_n", u->prompt_tok - u->cached_tok);
	jw_kv_uint(w, "predicted_n", u->completion_tok);
	jw_end_object(w);
}

static void
chunk(struct json_writer *w, const struct sim_answer_head *h, const struct sim_chunk *c)
{
	jw_object(w);
	jw_key(w, "choices");
	jw_array(w);
	if (c->kind != SIM_CHUNK_USAGE && h->chat) {
		jw_object(w);
		jw_kv_str(w, "finish_reason", c->finish);
		jw_kv_uint(w, "index", c->index);
		delta(w, h, c);
		jw_end_object(w);
	} else if (c->kind != SIM_CHUNK_USAGE) {
		jw_object(w);
		jw_kv_slice(w, "text", c->text);
		jw_kv_uint(w, "index", c->index);
		null_key(w, "logprobs");
		jw_kv_str(w, "finish_reason", c->finish);
		jw_end_object(w);
	}
	jw_end_array(w);
	after_choices(w, h, h->chat ? "chat.completion.chunk" : "text_completion", h->chat);
	if (c->usage)
		usage(w, c->usage);
	if (!h->chat)
		answer_id(w, h);
	if (c->usage)
		timings(w, c->usage);
	jw_end_object(w);
}

static void
choice(struct json_writer *w, const struct sim_answer_head *h, const struct sim_choice *c, unsigned index)
{
	jw_object(w);
	if (!h->chat) {
		jw_kv_slice(w, "text", c->text);
		jw_kv_uint(w, "index", index);
		null_key(w, "logprobs");
		jw_kv_str(w, "finish_reason", c->finish);
		jw_end_object(w);
		return;
	}
	jw_kv_str(w, "finish_reason", c->finish);
	jw_kv_uint(w, "index", index);
	jw_key(w, "message");
	jw_object(w);
	jw_kv_str(w, "role", "assistant");
	if (c->tool.p) {
		null_key(w, "content");
		tool_call(w, h, c->tool, c->text);
	} else {
		jw_kv_slice(w, "content", c->text);
	}
	jw_end_object(w);
	jw_end_object(w);
}

static void
answer(struct json_writer *w, const struct sim_answer_head *h, const struct sim_choice *choices,
       unsigned n, const struct sim_usage *u)
{
	jw_object(w);
	jw_key(w, "choices");
	jw_array(w);
	for (unsigned i = 0; i < n; i++)
		choice(w, h, &choices[i], i);
	jw_end_array(w);
	after_choices(w, h, h->chat ? "chat.completion" : "text_completion", false);
	usage(w, u);
	answer_id(w, h);
	timings(w, u);
	jw_end_object(w);
}

static const char *
error_name(unsigned status)
{
	switch (status) {
	case 400:
		return "invalid_request_error";
	case 401:
		return "authentication_error";
	case 404:
		return "not_found_error";
	case 503:
		return "unavailable_error";
	default:
		return "server_error";
	}
}

static void
error(struct buf *out, const struct sim_error *e)
{
	bool late_code = e->status == 401 || e->status == 404; /* not from its handlers but before them */
	struct json_writer w;

	jw_init(&w, out);
	jw_object(&w);
	jw_key(&w, "error");
	jw_object(&w);
	if (!late_code)
		jw_kv_uint(&w, "code", e->status);
	jw_kv_slice(&w, "message", e->message);
	jw_kv_str(&w, "type", e->too_long_tok ? "exceed_context_size_error" : error_name(e->status));
	if (e->too_long_tok) {
		jw_kv_uint(&w, "n_prompt_tokens", e->too_long_tok);
		jw_kv_uint(&w, "n_ctx", e->limit_tok);
	}
	if (late_code)
		jw_kv_uint(&w, "code", e->status);
	jw_end_object(&w);
	jw_end_object(&w);
}

static void
too_long(struct buf *out, unsigned prompt_tok, uint64_t out_tok, unsigned limit_tok)
{
	(void)out_tok; /* never asked about it */
	buf_addf(out, "request (%u tokens) exceeds the available context size (%u tokens), try increasing it",
		 prompt_tok, limit_tok);
}

static void
health(struct buf *out)
{
	buf_add_str(out, "{\"status\":\"ok\"}");
}

/* Two lists of the same: Ollama's and OpenAI's. */
static void
models(struct json_writer *w, const char *const *names, unsigned n, uint64_t created_s,
       unsigned max_model_len)
{
	jw_object(w);
	jw_key(w, "models");
	jw_array(w);
	for (unsigned i = 0; i < n; i++) {
		jw_object(w);
		jw_kv_str(w, "name", names[i]);
		jw_kv_str(w, "model", names[i]);
		jw_kv_str(w, "type", "model");
		jw_end_object(w);
	}
	jw_end_array(w);
	jw_kv_str(w, "object", "list");
	jw_key(w, "data");
	jw_array(w);
	for (unsigned i = 0; i < n; i++) {
		jw_object(w);
		jw_kv_str(w, "id", names[i]);
		jw_kv_str(w, "object", "model");
		jw_kv_uint(w, "created", created_s);
		jw_kv_str(w, "owned_by", "llamacpp");
		jw_key(w, "meta");
		jw_object(w);
		jw_kv_uint(w, "n_ctx_train", max_model_len);
		jw_end_object(w);
		jw_end_object(w);
	}
	jw_end_array(w);
	jw_end_object(w);
}

static void
series(struct buf *out, const char *type, const char *name, const char *help, double v)
{
	buf_addf(out, "# HELP llamacpp:%s %s\n# TYPE llamacpp:%s %s\nllamacpp:%s %.17g\n", name,
		 help, name, type, name, v);
}

static double
ratio(double a, double b)
{
	return b > 0 ? a / b : 0;
}

static void
metrics(struct buf *out, const struct sim_face_stats *s)
{
	double computed = (double)(s->prompt_tok - MIN(s->cached_tok, s->prompt_tok));

	series(out, "counter", "prompt_tokens_total",
	       "Number of prompt tokens processed, excluding cached tokens", computed);
	series(out, "counter", "prompt_tokens_cached_total",
	       "Number of prompt tokens reused from the cache", (double)s->cached_tok);
	series(out, "counter", "prompt_seconds_total", "Total time spent processing prompts",
	       s->prefill_s);
	series(out, "counter", "tokens_predicted_total", "Number of generation tokens processed",
	       (double)s->generated_tok);
	series(out, "counter", "tokens_predicted_seconds_total",
	       "Total time spent generating tokens", s->decode_s);
	series(out, "counter", "n_decode_total", "Total number of llama_decode() calls", (double)s->steps);
	series(out, "counter", "n_tokens_max",
	       "Largest observed sequence length (prompt + generation)", (double)s->longest_tok);
	series(out, "gauge", "prompt_tokens_seconds", "Average prompt throughput in tokens/s",
	       ratio(computed, s->prefill_s));
	series(out, "gauge", "predicted_tokens_seconds", "Average generation throughput in tokens/s",
	       ratio((double)s->generated_tok, s->decode_s));
	series(out, "gauge", "requests_processing", "Number of requests processing", s->running);
	series(out, "gauge", "requests_deferred", "Number of requests deferred", s->waiting);
	series(out, "gauge", "n_busy_slots_per_decode",
	       "Average number of busy slots per llama_decode() call",
	       ratio((double)s->step_rows, (double)s->steps));
}

const struct sim_personality sim_llamacpp = {
	.name = "llamacpp",
	.stream_type = "text/event-stream",
	.json_type = "application/json; charset=utf-8",
	.error_type = "application/json; charset=utf-8",
	.line_end = "\n",
	.loading = SIM_LOADING_503,
	.server = "llama.cpp",
	.chat_finish_apart = true,
	.text_finish_apart = true,
	.text_usage_with_finish = true,
	.chat_skips_empty = true,
	.text_skips_empty = true,
	.any_model = true,
	.own_model = true,
	.no_405 = true,
	.head_pages = true,
	.metrics_need_key = true,
	.no_running_usage = true,
	.chunk = chunk,
	.answer = answer,
	.error = error,
	.too_long = too_long,
	.stream_error = error,
	.health = health,
	.models = models,
	.metrics = metrics,
};
