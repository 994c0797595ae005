/* SPDX-License-Identifier: MIT */
/* Every text is read at once, and in pieces cut at each place: the facts must be the same. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "support/wire_show.h"
#include "wire/chunk_facts.h"

static struct chunk_facts f;

static void
feed_copy(struct answer_facts *a, struct slice s)
{
	char *copy = malloc(s.n ? s.n : 1);

	memcpy(copy, s.p, s.n);
	answer_facts_feed(a, (struct slice){ copy, s.n });
	free(copy);
}

static void
read_slice(struct slice json)
{
	static struct answer_facts a;
	struct buf want, got;

	buf_init(&want, BUF_MAX_DEFAULT);
	buf_init(&got, BUF_MAX_DEFAULT);
	chunk_facts_read(&f, json);
	show_chunk_facts(&want, &f);
	for (size_t first = 0; first <= json.n; first++) {
		size_t step = first ? json.n : 1; /* the cut at 0 stands for byte by byte */

		answer_facts_init(&a);
		feed_copy(&a, (struct slice){ json.p, first });
		for (size_t at = first; at < json.n; at += step)
			feed_copy(&a, (struct slice){ json.p + at, MIN(step, json.n - at) });
		answer_facts_end(&a);
		show_chunk_facts(&got, &a.facts);
		assert_string_equal(buf_cstr(&got), buf_cstr(&want));
	}
	buf_finish(&want);
	buf_finish(&got);
}

static void
read_str(const char *json)
{
	read_slice(slice_of(json));
	assert_false(f.bad);
}

static void
a_role_chunk_is_not_the_first_token(void **state)
{
	(void)state;
	read_str("{\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"},"
		 "\"logprobs\":null,\"finish_reason\":null}]}");
	assert_false(f.has_token);
	assert_int_equal(f.choices, 1);
	assert_false(f.has_finish);
	read_str("{\"choices\":[{\"delta\":{\"role\":\"assistant\",\"content\":null,\"reasoning_content\":null,\"tool_calls\":[]}}]}");
	assert_false(f.has_token);
	read_str("{\"choices\":[{\"delta\":{\"role\":\"assistant\",\"content\":null}}],\"prompt_progress\":{\"total\":9}}");
	assert_false(f.has_token);
	assert_int_equal(f.token_choices, 0);
}

static void
content_reasoning_tool_calls_and_text_are_tokens(void **state)
{
	static const char *const with_token[] = {
		"{\"choices\":[{\"delta\":{\"content\":\"H\"}}]}",
		"{\"choices\":[{\"finish_reason\":null,\"index\":0,\"delta\":{\"content\":\" \"}}],\"created\":1}",
		"{\"choices\":[{\"delta\":{\"content\":\"\\u0000\"}}]}",
		"{\"choices\":[{\"delta\":{\"reasoning\":\"so\"}}]}",
		"{\"choices\":[{\"delta\":{\"reasoning_content\":\"so\",\"content\":null}}]}",
		"{\"choices\":[{\"delta\":{\"refusal\":\"no\"}}]}",
		"{\"choices\":[{\"delta\":{\"tool_calls\":[{\"index\":0,\"function\":{\"name\":\"f\",\"arguments\":\"\"}}]}}]}",
		"{\"choices\":[{\"delta\":{\"function_call\":{\"name\":\"f\"}}}]}",
		"{\"choices\":[{\"index\":0,\"text\":\"H\",\"finish_reason\":null}]}",
		"{\"choices\":[{\"message\":{\"role\":\"assistant\",\"content\":\"whole\"}}]}",
		"{\"\\u0063hoices\":[{\"delta\":{\"content\":\"escaped key\"}}]}",
		"{\"type\":\"response.output_text.delta\",\"delta\":\"H\"}",
		"{\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"H\"}}",
		"{\"type\":\"content_block_delta\",\"delta\":{\"type\":\"thinking_delta\",\"thinking\":\"H\"}}",
		"{\"type\":\"content_block_delta\",\"delta\":{\"type\":\"input_json_delta\",\"partial_json\":\"{\"}}",
		"{\"type\":\"content_block_start\",\"content_block\":{\"type\":\"tool_use\",\"name\":\"f\",\"input\":{}}}",
		"{\"content\":\"native\",\"stop\":false}",
	};
	static const char *const without[] = {
		"{}",
		"[]",
		"1",
		"\"choices\"",
		"null",
		"{\"choices\":null}",
		"{\"choices\":\"x\"}",
		"{\"choices\":[1,null,[]]}",
		"{\"choices\":[{\"text\":\"\"}]}",
		"{\"choices\":[{\"delta\":{}}]}",
		"{\"choices\":[{\"delta\":null}]}",
		"{\"choices\":[{\"delta\":{\"function_call\":null}}]}",
		"{\"choices\":[{\"other\":{\"content\":\"x\"}}]}",
		"{\"other\":[{\"delta\":{\"content\":\"x\"}}]}",
		"{\"choices\":[[{\"delta\":{\"content\":\"x\"}}]]}",
		"{\"choices\":[{\"delta\":{\"x\":{\"content\":\"x\"}}}]}",
		"{\"choices\":{\"delta\":{\"content\":\"x\"}}}",
		"{\"choices\":{\"a\":{\"text\":\"x\"}}}",
		"{\"choices\":[{\"text\":{\"a\":1}}]}",
		"{\"type\":\"content_block_start\",\"content_block\":{\"type\":\"text\",\"text\":\"\"}}",
		"{\"type\":\"response.output_text.delta\",\"delta\":\"\"}",
		"{\"type\":\"ping\"}",
		"{\"choices\":[{\"logprobs\":{\"content\":[{\"token\":\"x\"}]}}]}",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(with_token); i++) {
		read_str(with_token[i]);
		if (!f.has_token)
			fail_msg("no token in %s", with_token[i]);
	}
	for (size_t i = 0; i < ARRAY_LEN(without); i++) {
		read_str(without[i]);
		if (f.has_token)
			fail_msg("a token in %s", without[i]);
	}
}

static void
choices_that_carry_a_token_are_counted_one_by_one(void **state)
{
	(void)state;
	read_str("{\"choices\":[{\"index\":0,\"delta\":{\"content\":\"ab\"}},{\"index\":1,\"delta\":{\"content\":\"\"}},"
		 "{\"index\":2,\"delta\":{\"content\":\"c\",\"reasoning\":\"d\"}}]}");
	assert_int_equal(f.choices, 3);
	assert_int_equal(f.token_choices, 2);
	assert_int_equal(f.text_bytes, 4);
}

static void
the_end_of_a_choice_is_seen(void **state)
{
	(void)state;
	read_str("{\"choices\":[{\"delta\":{\"content\":\"\"},\"finish_reason\":\"stop\"}]}");
	assert_true(f.has_finish);
	read_str("{\"choices\":[{\"finish_reason\":\"tool_calls\",\"delta\":{}}]}");
	assert_true(f.has_finish);
	read_str("{\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"},\"usage\":{\"output_tokens\":15}}");
	assert_true(f.has_finish);
	assert_int_equal(f.usage.completion_tok, 15);
	read_str("{\"type\":\"message_stop\"}");
	assert_true(f.has_finish);
	read_str("{\"type\":\"response.completed\",\"response\":{\"usage\":{\"input_tokens\":4,\"output_tokens\":5,"
		 "\"input_tokens_details\":{\"cached_tokens\":3}},\"error\":null}}");
	assert_true(f.has_finish);
	assert_false(f.has_error);
	assert_int_equal(f.usage.prompt_tok, 4);
	assert_int_equal(f.usage.completion_tok, 5);
	assert_int_equal(f.usage.cached_tok, 3);
	assert_int_equal(f.usage_span.off, 0); /* not ours to take out: it is inside */
	read_str("{\"finish_reason\":\"stop\",\"choices\":[{\"delta\":{\"content\":\"x\"},\"finish_reason\":null}]}");
	assert_false(f.has_finish);
}

static void
usage_is_read_wherever_it_stands(void **state)
{
	static const char last[] =
		"{\"usage\" : {\"prompt_tokens\":9,\"total_tokens\":12,\"completion_tokens\":3,"
		"\"prompt_tokens_details\":{\"cached_tokens\":8}} ,\"choices\":[]}";

	(void)state;
	read_str(last);
	assert_true(f.usage.known);
	assert_int_equal(f.usage.prompt_tok, 9);
	assert_int_equal(f.usage.completion_tok, 3);
	assert_int_equal(f.usage.cached_tok, 8);
	assert_true(f.usage_only);
	assert_memory_equal(last + f.usage_span.off, "{\"prompt_tokens\"", 16);
	assert_memory_equal(last + f.usage_span.off + f.usage_span.n - 2, "}} ,", 4);

	read_str("{\"choices\":[{\"delta\":{\"content\":\"x\"}}],\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":2}}");
	assert_true(f.usage.known);
	assert_false(f.usage_only);
	read_str("{\"choices\":[{\"delta\":{\"content\":\"x\"}}],\"usage\":null}");
	assert_false(f.usage.known);
	assert_true(f.usage_span.off > 0);
	assert_int_equal(f.usage_span.n, 4);
	read_str("{\"choices\":[],\"usage\":null}");
	assert_false(f.usage_only);
	read_str("{\"data\":[],\"usage\":{\"prompt_tokens\":5,\"total_tokens\":5}}");
	assert_int_equal(f.usage.prompt_tok, 5);
	assert_int_equal(f.usage.completion_tok, 0);
	assert_false(f.usage_only);
	read_str("{\"usage\":{\"prompt_tokens\":\"9\",\"completion_tokens\":-4},\"choices\":[]}");
	assert_false(f.usage.known);
	read_str("{\"usage\":{\"prompt_tokens\":1e400,\"completion_tokens\":3.0,\"prompt_tokens_details\":null},\"choices\":[]}");
	assert_true(f.usage.prompt_tok > 0);
	assert_int_equal(f.usage.completion_tok, 3);
}

static void
usage_of_several_events_is_joined(void **state)
{
	struct wire_usage all = { 0 };

	(void)state;
	read_str("{\"type\":\"message_start\",\"message\":{\"usage\":{\"input_tokens\":25,\"output_tokens\":1}}}");
	wire_usage_merge(&all, &f.usage);
	read_str("{\"type\":\"message_delta\",\"usage\":{\"output_tokens\":15}}");
	wire_usage_merge(&all, &f.usage);
	assert_true(all.known);
	assert_int_equal(all.prompt_tok, 25);
	assert_int_equal(all.completion_tok, 15);
}

static void
usage_is_hidden_from_a_client_that_did_not_ask_and_the_content_stays(void **state)
{
	const struct slice raw = SLICE("data: {\"choices\":[{\"text\":\"x\"}], \"usage\": "
				       "{\"prompt_tokens\":9,\"completion_tokens\":1} }\r\n\r\n");
	const struct slice data = { raw.p + 6, raw.n - 10 };
	struct slice parts[3];
	struct buf out;

	(void)state;
	read_slice(data);
	assert_int_equal(chunk_facts_hide_usage(&f, raw, data, parts), 3);
	buf_init(&out, BUF_MAX_DEFAULT);
	for (int i = 0; i < 3; i++)
		buf_add_slice(&out, parts[i]);
	assert_string_equal(buf_cstr(&out),
			    "data: {\"choices\":[{\"text\":\"x\"}], \"usage\": null }\r\n\r\n");
	buf_finish(&out);
	/* Data that was put together from several lines lies elsewhere. */
	assert_int_equal(chunk_facts_hide_usage(&f, SLICE("data: {\n\n"), data, parts), 1);
	read_str("{\"choices\":[{\"text\":\"x\"}],\"usage\":null}");
	assert_int_equal(chunk_facts_hide_usage(&f, raw, data, parts), 1);
	assert_ptr_equal(parts[0].p, raw.p);
	assert_int_equal(parts[0].n, raw.n);
}

static void
an_error_event_is_recognised_in_every_engines_shape(void **state)
{
	static const struct {
		const char *json, *message, *type;
		int code;
	} cases[] = {
		{ "{\"error\":{\"message\":\"boom\",\"type\":\"InternalServerError\",\"param\":null,\"code\":500}}",
		  "boom", "InternalServerError", 500 },
		{ "{\"error\":{\"code\":503,\"message\":\"Loading model\",\"type\":\"unavailable_error\"}}",
		  "Loading model", "unavailable_error", 503 },
		{ "{\"error\":{\"object\":\"error\",\"message\":\"m\",\"type\":\"BadRequestError\",\"param\":null,\"code\":400}}",
		  "m", "BadRequestError", 400 },
		{ "{\"object\":\"error\",\"message\":\"flat\",\"type\":\"BadRequestError\",\"param\":null,\"code\":400}",
		  "flat", "BadRequestError", 400 },
		{ "{\"message\":\"flat\",\"code\":400,\"type\":\"BadRequestError\",\"object\":\"error\"}",
		  "flat", "BadRequestError", 400 },
		{ "{\"error\":\"Unauthorized\"}", "Unauthorized", "", 0 },
		{ "{\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"busy\"}}",
		  "busy", "overloaded_error", 0 },
		{ "{\"error\":{\"type\":\"overloaded_error\",\"message\":\"busy\"},\"type\":\"error\",\"message\":\"outer\",\"code\":7}",
		  "busy", "overloaded_error", 0 },
		{ "{\"type\":\"response.failed\",\"response\":{\"error\":{\"code\":\"server_error\",\"message\":\"x\"}}}",
		  "x", "", 0 },
		{ "{\"error\":{\"message\":\"m\",\"code\":\"429\"}}", "m", "", 429 },
		{ "{\"error\":{}}", "", "", 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		read_str(cases[i].json);
		if (!f.has_error)
			fail_msg("no error in %s", cases[i].json);
		assert_string_equal(f.error_message, cases[i].message);
		if (strcmp(cases[i].type, f.error_type) != 0 &&
		    strcmp(f.error_type, "response.failed") != 0)
			fail_msg("%s: type '%s'", cases[i].json, f.error_type);
		assert_int_equal(f.error_code, cases[i].code);
		assert_false(f.usage_only);
	}
}

static void
what_is_no_error_leaves_no_words_of_one(void **state)
{
	static const char *const cases[] = {
		"{\"error\":null,\"choices\":[]}",
		"{\"error\":false}",
		"{\"object\":\"chat.completion.chunk\",\"message\":\"hm\",\"type\":\"x\",\"code\":200}",
		"{\"choices\":[{\"delta\":{\"content\":\"error\",\"error\":{\"message\":\"deep\"}}}]}",
		"{\"type\":\"message_start\",\"message\":{\"id\":\"m\",\"usage\":{\"input_tokens\":1}}}",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		read_str(cases[i]);
		if (f.has_error || f.error_message[0] || f.error_type[0] || f.error_code)
			fail_msg("an error in %s", cases[i]);
	}
}

static void
long_words_are_cut_between_characters(void **state)
{
	struct buf b;
	size_t n;

	(void)state;
	buf_init(&b, BUF_MAX_DEFAULT);
	buf_add_str(&b, "{\"error\":{\"message\":\"");
	for (int i = 0; i < 400; i++)
		buf_add_str(&b, "\xc3\xa4");
	buf_add_str(&b, "\"}}");
	read_slice(buf_slice(&b));
	assert_true(f.has_error);
	n = strlen(f.error_message);
	assert_int_equal(n, CHUNK_MESSAGE_MAX - 2); /* 127 characters of two bytes */
	assert_int_equal((unsigned char)f.error_message[n - 1], 0xa4);
	buf_finish(&b);
}

static void
what_is_not_json_says_nothing_else(void **state)
{
	static const char *const bad[] = {
		"",
		"{",
		"x",
		"{\"choices\":[{\"delta\":{\"content\":\"x\"}}]",
		"{\"usage\":{\"prompt_tokens\":1}},",
		"{\"error\":{]}",
		"{\"choices\":[{\"delta\":{\"content\":\"\\ud800\"}}]}",
		"{\"choices\":[{\"delta\":{\"content\":\"\xff\"}}]}",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		read_slice(slice_of(bad[i]));
		assert_true(f.bad);
		assert_false(f.has_token || f.has_error || f.usage.known || f.has_finish || f.choices);
	}
}

static void
error_bodies_of_engines_give_their_message_for_the_log(void **state)
{
	(void)state;
	chunk_facts_read_error(&f, SLICE("{\"error\":\"Unauthorized\"}"));
	assert_string_equal(f.error_message, "Unauthorized");
	chunk_facts_read_error(&f, SLICE("{\"message\":\"flat\",\"type\":\"T\",\"code\":404}"));
	assert_true(f.has_error);
	assert_string_equal(f.error_message, "flat");
	assert_string_equal(f.error_type, "T");
	assert_int_equal(f.error_code, 404);
	chunk_facts_read_error(&f, SLICE("{\"detail\":\"Not Found\"}"));
	assert_string_equal(f.error_message, "Not Found");
	chunk_facts_read_error(&f, SLICE("Internal Server Error\r\nsecret trace"));
	assert_true(f.has_error);
	assert_string_equal(f.error_message, "Internal Server Error");
	chunk_facts_read_error(&f, SLICE(""));
	assert_true(f.has_error);
	chunk_facts_read_error(&f, (struct slice){ NULL, 0 });
	assert_true(f.has_error);
	assert_string_equal(f.error_message, "");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_role_chunk_is_not_the_first_token),
		cmocka_unit_test(content_reasoning_tool_calls_and_text_are_tokens),
		cmocka_unit_test(choices_that_carry_a_token_are_counted_one_by_one),
		cmocka_unit_test(the_end_of_a_choice_is_seen),
		cmocka_unit_test(usage_is_read_wherever_it_stands),
		cmocka_unit_test(usage_of_several_events_is_joined),
		cmocka_unit_test(usage_is_hidden_from_a_client_that_did_not_ask_and_the_content_stays),
		cmocka_unit_test(an_error_event_is_recognised_in_every_engines_shape),
		cmocka_unit_test(what_is_no_error_leaves_no_words_of_one),
		cmocka_unit_test(long_words_are_cut_between_characters),
		cmocka_unit_test(what_is_not_json_says_nothing_else),
		cmocka_unit_test(error_bodies_of_engines_give_their_message_for_the_log),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
