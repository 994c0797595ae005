/* SPDX-License-Identifier: MIT */
/* vLLM 0.32, as its OpenAI-compatible server writes: pydantic models without unset fields, no spaces. */
#include <inttypes.h>
#include <stdio.h>
#include "sim/personality.h"

#define FINGERPRINT "vllm-0.32.0-simulated"

static void
begin(struct json_writer *w, const struct sim_answer_head *h, const char *object)
{
	char id[160];

	snprintf(id, sizeof(id), "%s-" SLICE_FMT, h->chat ? "chatcmpl" : "cmpl", SLICE_ARG(h->id));
	jw_object(w);
	jw_kv_str(w, "id", id);
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
tool_call(struct json_writer *w, const struct sim_answer_head *h, const struct sim_chunk *c)
{
	char id[160];

	jw_key(w, "tool_calls");
	jw_array(w);
	jw_object(w);
	if (c->kind == SIM_CHUNK_TOOL) {
		snprintf(id, sizeof(id), "chatcmpl-tool-" SLICE_FMT, SLICE_ARG(h->id));
		jw_kv_str(w, "id", id);
		jw_kv_str(w, "type", "function");
	}
	jw_kv_uint(w, "index", 0);
	jw_key(w, "function");
	jw_object(w);
	if (c->kind == SIM_CHUNK_TOOL)
		jw_kv_slice(w, "name", c->tool);
	jw_kv_slice(w, "arguments", c->text);
	jw_end_object(w);
	jw_end_object(w);
	jw_end_array(w);
}

static void
delta(struct json_writer *w, const struct sim_answer_head *h, const struct sim_chunk *c)
{
	jw_key(w, "delta");
	jw_object(w);
	if (c->kind == SIM_CHUNK_ROLE)
		jw_kv_str(w, "role", "assistant");
	if (c->kind == SIM_CHUNK_TOOL || c->kind == SIM_CHUNK_ARGUMENTS)
		tool_call(w, h, c);
	else
		jw_kv_slice(w, "content", c->kind == SIM_CHUNK_TEXT ? c->text : SLICE(""));
	jw_end_object(w);
}

static void
chat_choice(struct json_writer *w, const struct sim_answer_head *h, const struct sim_chunk *c)
{
	jw_object(w);
	jw_kv_uint(w, "index", c->index);
	delta(w, h, c);
	null_key(w, "logprobs");
	jw_kv_str(w, "finish_reason", c->finish);
	if (c->finish)
		null_key(w, "stop_reason");
	if (c->kind != SIM_CHUNK_ROLE)
		null_key(w, "token_ids");
	jw_end_object(w);
}

static void
text_choice(struct json_writer *w, const struct sim_chunk *c)
{
	jw_object(w);
	jw_kv_uint(w, "index", c->index);
	jw_kv_slice(w, "text", c->text);
	null_key(w, "logprobs");
	jw_kv_str(w, "finish_reason", c->finish);
	null_key(w, "stop_reason");
	null_key(w, "prompt_token_ids");
	null_key(w, "token_ids");
	jw_end_object(w);
}

static void
usage(struct json_writer *w, const struct sim_usage *u, bool details)
{
	jw_key(w, "usage");
	jw_object(w);
	sim_render_usage(w, u);
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
	if (c->kind != SIM_CHUNK_USAGE && h->chat)
		chat_choice(w, h, c);
	else if (c->kind != SIM_CHUNK_USAGE)
		text_choice(w, c);
	jw_end_array(w);
	if (c->usage)
		usage(w, c->usage, h->chat && c->kind != SIM_CHUNK_USAGE);
	if (c->last)
		jw_kv_str(w, "system_fingerprint", FINGERPRINT);
	if (c->kind == SIM_CHUNK_ROLE) {
		null_key(w, "prompt_token_ids");
		null_key(w, "prompt_text");
	}
	jw_end_object(w);
}

static void
message(struct json_writer *w, const struct sim_answer_head *h, const struct sim_choice *c)
{
	struct sim_chunk call = { .kind = SIM_CHUNK_TOOL, .tool = c->tool, .text = c->text };

	jw_key(w, "message");
	jw_object(w);
	jw_kv_str(w, "role", "assistant");
	if (c->tool.p)
		null_key(w, "content");
	else
		jw_kv_slice(w, "content", c->text);
	null_key(w, "refusal");
	null_key(w, "annotations");
	null_key(w, "audio");
	null_key(w, "function_call");
	if (c->tool.p)
		tool_call(w, h, &call);
	null_key(w, "reasoning");
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
		null_key(w, "stop_reason");
		null_key(w, "token_ids");
		if (!h->chat) {
			null_key(w, "prompt_logprobs");
			null_key(w, "prompt_token_ids");
		}
		null_key(w, "routed_experts");
		jw_end_object(w);
	}
	jw_end_array(w);
	null_key(w, "service_tier");
	jw_kv_str(w, "system_fingerprint", FINGERPRINT);
	jw_key(w, "usage");
	jw_object(w);
	sim_render_usage(w, u);
	null_key(w, "prompt_tokens_details");
	null_key(w, "completion_tokens_details");
	jw_end_object(w);
	if (h->chat) {
		null_key(w, "prompt_logprobs");
		null_key(w, "prompt_token_ids");
		null_key(w, "prompt_text");
	}
	null_key(w, "kv_transfer_params");
	null_key(w, "ec_transfer_params");
	null_key(w, "metrics");
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
	case 500:
		return "InternalServerError";
	default:
		return sim_status_phrase(status);
	}
}

static void
error(struct buf *out, const struct sim_error *e)
{
	struct json_writer w;

	jw_init(&w, out);
	jw_object(&w);
	if (e->status == 401) {
		jw_kv_str(&w, "error", "Unauthorized");
		jw_end_object(&w);
		return;
	}
	jw_key(&w, "error");
	jw_object(&w);
	jw_kv_slice(&w, "message", e->message);
	jw_kv_str(&w, "type", e->unreadable ? sim_status_phrase(e->status) : error_name(e->status));
	jw_kv_str(&w, "param", e->param);
	jw_kv_uint(&w, "code", e->status);
	jw_end_object(&w);
	jw_end_object(&w);
}

static void
too_long(struct buf *out, unsigned prompt_tok, uint64_t out_tok, unsigned limit_tok)
{
	if (out_tok > 0)
		buf_addf(out,
			 "max_tokens=%" PRIu64 " cannot be greater than max_model_len=%u. Please request fewer "
			 "output tokens. (parameter=max_tokens, value=%" PRIu64 ")",
			 out_tok, limit_tok, out_tok);
	else
		buf_addf(out,
			 "This model's maximum context length is %u tokens. However, your prompt contains %u input "
			 "tokens, which exceeds this limit even without any output tokens. Please reduce the length "
			 "of the input prompt. (parameter=input_tokens, value=%u)",
			 limit_tok, prompt_tok, prompt_tok);
}

static void
health(struct buf *out)
{
	(void)out; /* 200 and an empty body */
}

static void
models(struct json_writer *w, const char *const *names, unsigned n, uint64_t created_s,
       unsigned max_model_len)
{
	sim_render_openai_models(w, "vllm", names, n, created_s, max_model_len);
}

static void
series(struct buf *out, const char *labels, const char *type, const char *name, double v)
{
	buf_addf(out, "# TYPE vllm:%s %s\nvllm:%s{%s} %.17g\n", name, type, name, labels, v);
}

static void
metrics(struct buf *out, const struct sim_face_stats *s)
{
	char labels[320];

	snprintf(labels, sizeof(labels), "engine=\"0\",model_name=\"%s\"", s->model);
	series(out, labels, "gauge", "num_requests_running", s->running);
	series(out, labels, "gauge", "num_requests_waiting", s->waiting);
	buf_addf(out,
		 "# TYPE vllm:num_requests_waiting_by_reason gauge\n"
		 "vllm:num_requests_waiting_by_reason{%s,reason=\"capacity\"} %u\n"
		 "vllm:num_requests_waiting_by_reason{%s,reason=\"deferred\"} 0\n",
		 labels, s->waiting, labels);
	buf_addf(out,
		 "# TYPE vllm:engine_sleep_state gauge\n"
		 "vllm:engine_sleep_state{%s,sleep_state=\"awake\"} 1\n"
		 "vllm:engine_sleep_state{%s,sleep_state=\"weights_offloaded\"} 0\n"
		 "vllm:engine_sleep_state{%s,sleep_state=\"discard_all\"} 0\n",
		 labels, labels, labels);
	series(out, labels, "gauge", "kv_cache_usage_perc", s->kv_usage);
	series(out, labels, "counter", "prefix_cache_queries_total", (double)s->prompt_tok);
	series(out, labels, "counter", "prefix_cache_hits_total", (double)s->cached_tok);
	series(out, labels, "counter", "num_preemptions_total", (double)s->preemptions);
	series(out, labels, "counter", "prompt_tokens_total", (double)s->prompt_tok);
	series(out, labels, "counter", "prompt_tokens_cached_total", (double)s->cached_tok);
	series(out, labels, "counter", "generation_tokens_total", (double)s->generated_tok);
	buf_addf(out,
		 "# TYPE vllm:request_success_total counter\n"
		 "vllm:request_success_total{%s,finished_reason=\"length\"} %" PRIu64 "\n"
		 "vllm:request_success_total{%s,finished_reason=\"stop\"} %" PRIu64 "\n"
		 "vllm:request_success_total{%s,finished_reason=\"abort\"} %" PRIu64 "\n",
		 labels, s->finished_length, labels, s->finished_stop, labels, s->aborted);
	sim_histogram_render(out, "vllm:time_to_first_token_seconds", labels, &s->ttft);
	sim_histogram_render(out, "vllm:inter_token_latency_seconds", labels, &s->itl);
	sim_histogram_render(out, "vllm:request_time_per_output_token_seconds", labels, &s->tpot);
	sim_histogram_render(out, "vllm:e2e_request_latency_seconds", labels, &s->e2e);
	sim_histogram_render(out, "vllm:request_queue_time_seconds", labels, &s->queue);
	sim_histogram_render(out, "vllm:request_prefill_time_seconds", labels, &s->prefill);
	sim_histogram_render(out, "vllm:request_decode_time_seconds", labels, &s->decode);
	buf_addf(out,
		 "# TYPE vllm:cache_config_info gauge\nvllm:cache_config_info{%s,block_size=\"16\",num_gpu_blocks=\"%" PRIu64
		 "\"} 1\n",
		 labels, s->kv_tokens / 16);
}

const struct sim_personality sim_vllm = {
	.name = "vllm",
	.stream_type = "text/event-stream; charset=utf-8",
	.json_type = "application/json",
	.error_type = "application/json",
	.line_end = "\n",
	.loading = SIM_LOADING_REFUSED,
	.server = "uvicorn",
	.head_at_once = true,
	.done_after_error = true,
	.takes_request_id = true,
	.short_ids = true,
	.only_json = true,
	.detail_errors = true,
	.bounds_max_tokens = true,
	.chunk = chunk,
	.answer = answer,
	.error = error,
	.too_long = too_long,
	.stream_error = error,
	.health = health,
	.models = models,
	.metrics = metrics,
};
