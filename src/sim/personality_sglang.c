/* SPDX-License-Identifier: MIT */
/* SGLang 0.5.23: bare ids, reasoning_content in every delta, a finish chunk without content, flat errors. */
#include <inttypes.h>
#include <stdio.h>
#include "sim/personality.h"

static void
begin(struct json_writer *w, const struct sim_answer_head *h, const char *object)
{
	jw_object(w);
	jw_kv_slice(w, "id", h->id);
	jw_kv_str(w, "object", object);
	jw_kv_uint(w, "created", h->created_s);
	jw_kv_slice(w, "model", h->model);
}

static void
null_key(struct json_writer *w, const char *key)
{
	jw_key(w, key);
	jw_null(w);
}

static void
tool_call(struct json_writer *w, const struct sim_answer_head *h, struct slice name, struct slice arguments)
{
	char id[160];

	jw_key(w, "tool_calls");
	jw_array(w);
	jw_object(w);
	snprintf(id, sizeof(id), "call_" SLICE_FMT, SLICE_ARG(h->id));
	jw_kv_str(w, "id", name.p ? id : NULL);
	jw_kv_uint(w, "index", 0);
	jw_kv_str(w, "type", "function");
	jw_key(w, "function");
	jw_object(w);
	jw_key(w, "name");
	if (name.p)
		jw_slice(w, name);
	else
		jw_null(w);
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
	null_key(w, "reasoning_content");
	if (c->kind == SIM_CHUNK_ROLE) {
		jw_kv_str(w, "role", "assistant");
		jw_kv_str(w, "content", "");
	} else if (c->kind == SIM_CHUNK_TEXT) {
		jw_kv_slice(w, "content", c->text);
	} else if (c->kind == SIM_CHUNK_TOOL || c->kind == SIM_CHUNK_ARGUMENTS) {
		tool_call(w, h, c->tool, c->text);
	}
	jw_end_object(w);
}

static void
usage(struct json_writer *w, const struct sim_usage *u, bool details)
{
	jw_key(w, "usage");
	jw_object(w);
	sim_render_usage(w, u);
	if (details)
		null_key(w, "prompt_tokens_details");
	jw_kv_uint(w, "reasoning_tokens", 0);
	if (details)
		null_key(w, "completion_tokens_details");
	jw_end_object(w);
}

static void
chunk(struct json_writer *w, const struct sim_answer_head *h, const struct sim_chunk *c)
{
	begin(w, h, h->chat ? "chat.completion.chunk" : "text_completion");
	jw_key(w, "choices");
	jw_array(w);
	if (c->kind != SIM_CHUNK_USAGE) {
		jw_object(w);
		jw_kv_uint(w, "index", c->index);
		if (h->chat)
			delta(w, h, c);
		else
			jw_kv_slice(w, "text", c->text);
		null_key(w, "logprobs");
		jw_kv_str(w, "finish_reason", c->finish);
		null_key(w, "matched_stop");
		jw_end_object(w);
	}
	jw_end_array(w);
	if (!h->chat && !c->usage)
		null_key(w, "usage");
	else if (c->usage && !(h->chat && (c->kind == SIM_CHUNK_ROLE || c->kind == SIM_CHUNK_FINISH)))
		usage(w, c->usage, h->chat || c->kind != SIM_CHUNK_USAGE);
	jw_end_object(w);
}

static void
message(struct json_writer *w, const struct sim_answer_head *h, const struct sim_choice *c)
{
	jw_key(w, "message");
	jw_object(w);
	jw_kv_str(w, "role", "assistant");
	if (c->tool.p)
		null_key(w, "content");
	else
		jw_kv_slice(w, "content", c->text);
	null_key(w, "reasoning_content");
	if (c->tool.p)
		tool_call(w, h, c->tool, c->text);
	jw_end_object(w);
}

static void
answer(struct json_writer *w, const struct sim_answer_head *h, const struct sim_choice *choices,
       unsigned n, const struct sim_usage *u)
{
	begin(w, h, h->chat ? "chat.completion" : "text_completion");
	jw_key(w, "choices");
	jw_array(w);
	for (unsigned i = 0; i < n; i++) {
		jw_object(w);
		jw_kv_uint(w, "index", i);
		if (h->chat)
			message(w, h, &choices[i]);
		else
			jw_kv_slice(w, "text", choices[i].text);
		null_key(w, "logprobs");
		jw_kv_str(w, "finish_reason", choices[i].finish);
		null_key(w, "matched_stop");
		jw_end_object(w);
	}
	jw_end_array(w);
	usage(w, u, true);
	jw_key(w, "metadata");
	jw_object(w);
	jw_kv_str(w, "weight_version", "default");
	jw_key(w, "weight_versions");
	jw_array(w);
	jw_object(w);
	jw_kv_str(w, "version", "default");
	jw_kv_uint(w, "start", 0);
	jw_kv_uint(w, "end", u->completion_tok);
	jw_end_object(w);
	jw_end_array(w);
	jw_end_object(w);
	jw_end_object(w);
}

static const char *
error_name(unsigned status)
{
	switch (status) {
	case 400:
		return "BadRequestError";
	case 404:
		return "NotFoundError";
	case 503:
		return "ServiceUnavailableError";
	default:
		return "InternalServerError";
	}
}

static void
flat_error(struct json_writer *w, const struct sim_error *e)
{
	jw_object(w);
	jw_kv_str(w, "object", "error");
	jw_kv_slice(w, "message", e->message);
	jw_kv_str(w, "type", e->unreadable ? sim_status_phrase(e->status) : error_name(e->status));
	jw_kv_str(w, "param", e->param);
	jw_kv_uint(w, "code", e->status);
	jw_end_object(w);
}

static void
error(struct buf *out, const struct sim_error *e)
{
	struct json_writer w;

	if (e->status == 401) {
		buf_add_str(out, "{\"error\":\"Unauthorized\"}");
		return;
	}
	jw_init(&w, out);
	flat_error(&w, e);
}

static void
too_long(struct buf *out, unsigned prompt_tok, uint64_t out_tok, unsigned limit_tok)
{
	if (out_tok > 0)
		buf_addf(out,
			 "Requested token count exceeds the model's maximum context length of %u tokens. You "
			 "requested a total of %" PRIu64
			 " tokens: %u tokens from the input messages and %" PRIu64
			 " tokens for the completion. Please reduce the number of tokens in the input messages or "
			 "the completion to fit within the limit.",
			 limit_tok, prompt_tok + out_tok, prompt_tok, out_tok);
	else
		buf_addf(out, "The input (%u tokens) is longer than the model's context length (%u tokens).",
			 prompt_tok, limit_tok);
}

static void
stream_error(struct buf *out, const struct sim_error *e)
{
	struct json_writer w;

	jw_init(&w, out);
	jw_object(&w);
	jw_key(&w, "error");
	flat_error(&w, e);
	jw_end_object(&w);
}

static void
health(struct buf *out)
{
	(void)out;
}

static void
models(struct json_writer *w, const char *const *names, unsigned n, uint64_t created_s,
       unsigned max_model_len)
{
	sim_render_openai_models(w, "sglang", names, n, created_s, max_model_len);
}

static void
series(struct buf *out, const char *labels, const char *type, const char *name, double v)
{
	buf_addf(out, "# TYPE sglang:%s %s\nsglang:%s{%s} %.17g\n", name, type, name, labels, v);
}

static void
metrics(struct buf *out, const struct sim_face_stats *s)
{
	char labels[320];

	snprintf(labels, sizeof(labels), "engine_type=\"unified\",model_name=\"%s\",tp_rank=\"0\"",
		 s->model);
	series(out, labels, "gauge", "num_running_reqs", s->running);
	series(out, labels, "gauge", "num_queue_reqs", s->waiting);
	series(out, labels, "gauge", "num_used_tokens", s->kv_usage * (double)s->kv_tokens);
	series(out, labels, "gauge", "token_usage", s->kv_usage);
	series(out, labels, "gauge", "cache_hit_rate",
	       s->prompt_tok ? (double)s->cached_tok / (double)s->prompt_tok : 0);
	series(out, labels, "gauge", "max_total_num_tokens", (double)s->kv_tokens);
	series(out, labels, "gauge", "kv_used_tokens", s->kv_usage * (double)s->kv_tokens);
	series(out, labels, "gauge", "kv_available_tokens", (1 - s->kv_usage) * (double)s->kv_tokens);
	series(out, labels, "gauge", "num_paused_reqs", 0);
	series(out, labels, "gauge", "num_retracted_reqs", (double)s->preemptions);
	series(out, labels, "counter", "prompt_tokens_total", (double)s->prompt_tok);
	series(out, labels, "counter", "generation_tokens_total", (double)s->generated_tok);
	series(out, labels, "counter", "cached_tokens_total", (double)s->cached_tok);
	series(out, labels, "counter", "num_requests_total", (double)s->requests);
	series(out, labels, "counter", "num_aborted_requests_total", (double)s->aborted);
	sim_histogram_render(out, "sglang:time_to_first_token_seconds", labels, &s->ttft);
	sim_histogram_render(out, "sglang:inter_token_latency_seconds", labels, &s->itl);
	sim_histogram_render(out, "sglang:e2e_request_latency_seconds", labels, &s->e2e);
	sim_histogram_render(out, "sglang:queue_time_seconds", labels, &s->queue);
}

const struct sim_personality sim_sglang = {
	.name = "sglang",
	.stream_type = "text/event-stream; charset=utf-8",
	.json_type = "application/json",
	.error_type = "application/json",
	.line_end = "\n",
	.loading = SIM_LOADING_REFUSED_THEN_503,
	.server = "uvicorn",
	.head_at_once = true,
	.chat_finish_apart = true,
	.chat_skips_empty = true,
	.done_after_error = true,
	.any_model = true,
	.only_json = true,
	.detail_errors = true,
	.strict_length = true,
	.chunk = chunk,
	.answer = answer,
	.error = error,
	.too_long = too_long,
	.stream_error = stream_error,
	.health = health,
	.models = models,
	.metrics = metrics,
};
