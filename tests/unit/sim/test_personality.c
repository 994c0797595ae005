/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <yyjson.h>
#include "sim/personality.h"
#include "wire/chunk_facts.h"
#include "wire/sse.h"

static const struct sim_personality *const all[] = { &sim_vllm, &sim_sglang, &sim_llamacpp, &sim_hostile };

static const struct sim_answer_head chat = {
	.id = SLICE_INIT("X"),
	.created_s = 7,
	.model = SLICE_INIT("m"),
	.chat = true,
};

static void
assert_event(const struct sim_personality *p, const struct sim_answer_head *h, struct sim_chunk c,
	     const char *expected)
{
	struct buf out;

	buf_init(&out, 1 << 16);
	sim_render_chunk(&out, p, NULL, h, &c);
	assert_string_equal(buf_cstr(&out), expected);
	buf_finish(&out);
}

static void
vllm_speaks_as_the_real_one(void **state)
{
	struct sim_usage usage = { .prompt_tok = 9, .completion_tok = 3 };
	struct sim_answer_head text = chat;

	(void)state;
	text.chat = false;
#define HEAD                                                                                       \
	"data: {\"id\":\"chatcmpl-X\",\"object\":\"chat.completion.chunk\",\"created\":7,\"model\":\"m\",\"choices\":["
	assert_event(&sim_vllm, &chat, (struct sim_chunk){ .kind = SIM_CHUNK_ROLE },
		     HEAD
		     "{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"},\"logprobs\":null,"
		     "\"finish_reason\":null}],\"prompt_token_ids\":null,\"prompt_text\":null}\n\n");
	assert_event(&sim_vllm, &chat, (struct sim_chunk){ .kind = SIM_CHUNK_TEXT, .text = SLICE("Hi") },
		     HEAD "{\"index\":0,\"delta\":{\"content\":\"Hi\"},\"logprobs\":null,\"finish_reason\":null,"
			  "\"token_ids\":null}]}\n\n");
	assert_event(&sim_vllm, &chat,
		     (struct sim_chunk){
			     .kind = SIM_CHUNK_TEXT, .text = SLICE(""), .finish = "stop", .last = true },
		     HEAD
		     "{\"index\":0,\"delta\":{\"content\":\"\"},\"logprobs\":null,\"finish_reason\":\"stop\","
		     "\"stop_reason\":null,\"token_ids\":null}],\"system_fingerprint\":\"vllm-0.32.0-simulated\"}\n\n");
	assert_event(&sim_vllm, &chat,
		     (struct sim_chunk){ .kind = SIM_CHUNK_TEXT, .text = SLICE("Hi"), .usage = &usage },
		     HEAD "{\"index\":0,\"delta\":{\"content\":\"Hi\"},\"logprobs\":null,\"finish_reason\":null,"
			  "\"token_ids\":null}],\"usage\":{\"prompt_tokens\":9,\"total_tokens\":12,\"completion_tokens\":3,"
			  "\"completion_tokens_details\":null}}\n\n");
	assert_event(&sim_vllm, &chat,
		     (struct sim_chunk){ .kind = SIM_CHUNK_USAGE, .usage = &usage, .last = true },
		     HEAD "],\"usage\":{\"prompt_tokens\":9,\"total_tokens\":12,\"completion_tokens\":3},"
			  "\"system_fingerprint\":\"vllm-0.32.0-simulated\"}\n\n");
#undef HEAD
	assert_event(&sim_vllm, &text,
		     (struct sim_chunk){ .kind = SIM_CHUNK_TEXT, .text = SLICE("a\"b") },
		     "data: {\"id\":\"cmpl-X\",\"object\":\"text_completion\",\"created\":7,\"model\":\"m\",\"choices\":["
		     "{\"index\":0,\"text\":\"a\\\"b\",\"logprobs\":null,\"finish_reason\":null,\"stop_reason\":null,"
		     "\"prompt_token_ids\":null,\"token_ids\":null}]}\n\n");
}

static void
sglang_has_bare_ids_and_a_finish_without_content(void **state)
{
	struct sim_usage usage = { .prompt_tok = 9, .completion_tok = 3 };
	struct sim_answer_head text = chat;

	(void)state;
	text.chat = false;
	assert_event(&sim_sglang, &text,
		     (struct sim_chunk){ .kind = SIM_CHUNK_TEXT, .text = SLICE("a") },
		     "data: {\"id\":\"X\",\"object\":\"text_completion\",\"created\":7,\"model\":\"m\",\"choices\":["
		     "{\"index\":0,\"text\":\"a\",\"logprobs\":null,\"finish_reason\":null,\"matched_stop\":null}],"
		     "\"usage\":null}\n\n");
	assert_event(&sim_sglang, &text, (struct sim_chunk){ .kind = SIM_CHUNK_USAGE, .usage = &usage },
		     "data: {\"id\":\"X\",\"object\":\"text_completion\",\"created\":7,\"model\":\"m\",\"choices\":[],"
		     "\"usage\":{\"prompt_tokens\":9,\"total_tokens\":12,\"completion_tokens\":3,\"reasoning_tokens\":0}}\n\n");
#define HEAD                                                                                       \
	"data: {\"id\":\"X\",\"object\":\"chat.completion.chunk\",\"created\":7,\"model\":\"m\",\"choices\":["
	assert_event(&sim_sglang, &chat, (struct sim_chunk){ .kind = SIM_CHUNK_ROLE },
		     HEAD "{\"index\":0,\"delta\":{\"reasoning_content\":null,\"role\":\"assistant\",\"content\":\"\"},"
			  "\"logprobs\":null,\"finish_reason\":null,\"matched_stop\":null}]}\n\n");
	assert_event(&sim_sglang, &chat,
		     (struct sim_chunk){ .kind = SIM_CHUNK_FINISH, .finish = "length" },
		     HEAD "{\"index\":0,\"delta\":{\"reasoning_content\":null},\"logprobs\":null,"
			  "\"finish_reason\":\"length\",\"matched_stop\":null}]}\n\n");
#undef HEAD
}

static void
llamacpp_puts_choices_before_the_id(void **state)
{
	struct sim_usage usage = { .prompt_tok = 9, .completion_tok = 3, .cached_tok = 2 };
	struct sim_answer_head text = chat;

	(void)state;
	text.chat = false;
	assert_event(&sim_llamacpp, &text,
		     (struct sim_chunk){ .kind = SIM_CHUNK_FINISH, .finish = "length", .usage = &usage },
		     "data: {\"choices\":[{\"text\":\"\",\"index\":0,\"logprobs\":null,\"finish_reason\":\"length\"}],"
		     "\"created\":7,\"model\":\"m\",\"system_fingerprint\":\"b7000-simulated\",\"object\":\"text_completion\","
		     "\"usage\":{\"completion_tokens\":3,\"prompt_tokens\":9,\"total_tokens\":12,"
		     "\"prompt_tokens_details\":{\"cached_tokens\":2}},\"id\":\"chatcmpl-X\","
		     "\"timings\":{\"cache_n\":2,\"prompt_n\":7,\"predicted_n\":3}}\n\n");
#define TAIL                                                                                                \
	"],\"created\":7,\"id\":\"chatcmpl-X\",\"model\":\"m\",\"system_fingerprint\":\"b7000-simulated\"," \
	"\"object\":\"chat.completion.chunk\"}\n\n"
	assert_event(&sim_llamacpp, &chat, (struct sim_chunk){ .kind = SIM_CHUNK_ROLE },
		     "data: {\"choices\":[{\"finish_reason\":null,\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":null}}" TAIL);
	assert_event(&sim_llamacpp, &chat,
		     (struct sim_chunk){ .kind = SIM_CHUNK_FINISH, .finish = "length" },
		     "data: {\"choices\":[{\"finish_reason\":\"length\",\"index\":0,\"delta\":{}}" TAIL);
#undef TAIL
}

/* What a relay must understand whoever the engine is: read by the gateway's own readers. */
struct seen {
	unsigned events, tokens, finishes, usages;
	struct wire_usage usage;
};

static void
look(void *ctx, const struct sse_event *ev)
{
	struct seen *s = ctx;
	struct chunk_facts facts;
	yyjson_doc *doc;

	if (!ev->has_data)
		return;
	doc = yyjson_read(ev->data.p, ev->data.n, 0);
	assert_non_null(doc);
	yyjson_doc_free(doc);
	chunk_facts_read(&facts, ev->data);
	assert_false(facts.bad);
	s->events++;
	s->tokens += facts.has_token;
	s->finishes += facts.has_finish;
	s->usages += facts.usage_only;
	wire_usage_merge(&s->usage, &facts.usage);
}

static void
every_personality_is_understood(void **state)
{
	struct sim_usage usage = { .prompt_tok = 9, .completion_tok = 3 };
	struct sim_chunk chunks[] = {
		{ .kind = SIM_CHUNK_ROLE },
		{ .kind = SIM_CHUNK_TEXT, .text = SLICE("") },
		{ .kind = SIM_CHUNK_TEXT, .text = SLICE("a\n\"\\\xc3\xa4") },
		{ .kind = SIM_CHUNK_TOOL, .tool = SLICE("f") },
		{ .kind = SIM_CHUNK_ARGUMENTS, .text = SLICE("{}") },
		{ .kind = SIM_CHUNK_FINISH, .finish = "length" },
		{ .kind = SIM_CHUNK_USAGE, .usage = &usage },
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(all); i++) {
		struct seen s = { 0 };
		struct buf out;
		struct sse sse;

		buf_init(&out, 1 << 20);
		for (unsigned k = 0; k < ARRAY_LEN(chunks); k++)
			sim_render_chunk(&out, all[i], NULL, &chat, &chunks[k]);
		sse_init(&sse);
		sse_feed(&sse, buf_slice(&out), look, &s);
		assert_int_equal(s.events, ARRAY_LEN(chunks));
		assert_int_equal(s.tokens, 3);
		assert_int_equal(s.finishes, 1);
		assert_int_equal(s.usages, 1);
		assert_int_equal(s.usage.prompt_tok, 9);
		assert_int_equal(s.usage.completion_tok, 3);
		sse_finish(&sse);
		buf_finish(&out);
	}
}

static void
every_whole_answer_is_json_with_usage(void **state)
{
	struct sim_usage usage = { .prompt_tok = 9, .completion_tok = 3 };
	struct sim_choice choices[] = {
		{ .text = SLICE("one"), .finish = "length" },
		{ .text = SLICE("{}"), .tool = SLICE("f"), .finish = "tool_calls" },
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(all); i++) {
		struct answer_facts a;
		struct json_writer w;
		struct buf out;
		yyjson_doc *doc;

		buf_init(&out, 1 << 16);
		jw_init(&w, &out);
		all[i]->answer(&w, &chat, choices, 2, &usage);
		doc = yyjson_read(out.p, out.n, 0);
		assert_non_null(doc);
		assert_string_equal(yyjson_get_str(yyjson_ptr_get(yyjson_doc_get_root(doc),
								  "/choices/0/message/content")),
				    "one");
		assert_string_equal(yyjson_get_str(yyjson_ptr_get(yyjson_doc_get_root(doc),
								  "/choices/1/message/tool_calls/0/function/name")),
				    "f");
		yyjson_doc_free(doc);
		answer_facts_init(&a);
		answer_facts_feed(&a, buf_slice(&out));
		answer_facts_end(&a);
		assert_int_equal(a.facts.usage.completion_tok, 3);
		buf_finish(&out);
	}
}

static void
errors_have_the_shape_of_each_engine(void **state)
{
	static const char *const expected[] = {
		"{\"error\":{\"message\":\"no\",\"type\":\"NotFoundError\",\"param\":\"model\",\"code\":404}}",
		"{\"object\":\"error\",\"message\":\"no\",\"type\":\"NotFoundError\",\"param\":\"model\",\"code\":404}",
		"{\"error\":{\"message\":\"no\",\"type\":\"not_found_error\",\"code\":404}}",
		"<html><title>404</title><body>no</body></html>\n",
	};
	struct sim_error e = { .status = 404, .message = SLICE("no"), .param = "model" };

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(all); i++) {
		struct chunk_facts facts;
		struct buf out;

		buf_init(&out, 4096);
		all[i]->error(&out, &e);
		assert_string_equal(buf_cstr(&out), expected[i]);
		buf_clear(&out);
		all[i]->stream_error(&out, &e);
		chunk_facts_read(&facts, buf_slice(&out));
		assert_true(facts.has_error);
		assert_string_equal(facts.error_message, "no");
		buf_finish(&out);
	}
}

static void
metrics_have_the_names_of_each_engine(void **state)
{
	struct sim_face_stats s = {
		.model = "m", .running = 3, .waiting = 2, .kv_usage = 0.5, .kv_tokens = 1600
	};
	static const char *const llamacpp[] = {
		"\nllamacpp:prompt_seconds_total ",
		"\nllamacpp:tokens_predicted_seconds_total ",
		"\nllamacpp:n_decode_total ",
		"\nllamacpp:n_tokens_max ",
		"\nllamacpp:n_busy_slots_per_decode ",
		"\nllamacpp:prompt_tokens_seconds ",
		"\nllamacpp:predicted_tokens_seconds ",
		"\nllamacpp:requests_deferred 2\n",
	};
	struct buf out;

	(void)state;
	buf_init(&out, 1 << 16);
	sim_histogram_add(&s.ttft, 0.03);
	sim_vllm.metrics(&out, &s);
	assert_non_null(strstr(buf_cstr(&out),
			       "\nvllm:num_requests_running{engine=\"0\",model_name=\"m\"} 3\n"));
	assert_non_null(strstr(buf_cstr(&out),
			       "\nvllm:kv_cache_usage_perc{engine=\"0\",model_name=\"m\"} 0.5\n"));
	assert_non_null(
		strstr(buf_cstr(&out),
		       "time_to_first_token_seconds_bucket{engine=\"0\",model_name=\"m\",le=\"0.04\"} 1\n"));
	buf_clear(&out);
	sim_sglang.metrics(&out, &s);
	assert_non_null(
		strstr(buf_cstr(&out),
		       "\nsglang:num_queue_reqs{engine_type=\"unified\",model_name=\"m\",tp_rank=\"0\"} 2\n"));
	buf_clear(&out);
	sim_llamacpp.metrics(&out, &s);
	assert_non_null(strstr(buf_cstr(&out), "\nllamacpp:requests_processing 3\n"));
	for (unsigned i = 0; i < ARRAY_LEN(llamacpp); i++)
		assert_non_null(strstr(buf_cstr(&out), llamacpp[i]));
	buf_finish(&out);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(vllm_speaks_as_the_real_one),
		cmocka_unit_test(sglang_has_bare_ids_and_a_finish_without_content),
		cmocka_unit_test(llamacpp_puts_choices_before_the_id),
		cmocka_unit_test(every_personality_is_understood),
		cmocka_unit_test(every_whole_answer_is_json_with_usage),
		cmocka_unit_test(errors_have_the_shape_of_each_engine),
		cmocka_unit_test(metrics_have_the_names_of_each_engine),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
