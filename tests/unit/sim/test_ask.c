/* SPDX-License-Identifier: MIT */
/* Requests and fault specifications, as text. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "sim/ask.h"
#include "sim/fault.h"

static int
parse(struct sim_ask *a, bool chat, const char *body)
{
	const char *param;
	struct buf why;
	int err;

	buf_init(&why, 1024);
	err = sim_ask_parse(a, chat, slice_of(body), 1000, &why, &param);
	assert_int_equal(err != 0, why.n > 0);
	buf_finish(&why);
	return err;
}

static void
a_chat_request_is_read(void **state)
{
	struct sim_ask a;

	(void)state;
	assert_int_equal(parse(&a, true,
			       "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"12345678\"},"
			       "{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"1234\"}]}],\"max_tokens\":5,"
			       "\"stream\":true,\"stream_options\":{\"include_usage\":true},\"n\":2,\"ignore_eos\":true}"),
			 0);
	assert_string_equal(a.model, "m");
	assert_true(a.stream && a.include_usage && a.ignore_eos && !a.continuous_usage);
	assert_int_equal(a.max_tok, 5);
	assert_int_equal(a.n, 2);
	assert_int_equal(a.n_prompts, 1);
	assert_int_equal(a.prompts[0].n, 2 * 4 + 3); /* a template for each message, and four bytes a token */
	sim_ask_finish(&a);
}

static void
a_prompt_may_be_text_ids_or_lists_of_them(void **state)
{
	struct sim_ask a;

	(void)state;
	assert_int_equal(parse(&a, false, "{\"prompt\":\"12345\"}"), 0);
	assert_int_equal(a.prompts[0].n, 2);
	sim_ask_finish(&a);
	assert_int_equal(parse(&a, false, "{\"prompt\":[1,2,3]}"), 0);
	assert_int_equal(a.n_prompts, 1);
	assert_int_equal(a.prompts[0].n, 3);
	sim_ask_finish(&a);
	assert_int_equal(parse(&a, false, "{\"prompt\":[\"a\",[7,8]]}"), 0);
	assert_int_equal(a.n_prompts, 2);
	assert_int_equal(a.prompts[1].tokens[1], 8);
	sim_ask_finish(&a);
}

static void
a_bad_request_is_refused(void **state)
{
	static const char *const bad[] = {
		"",
		"[]",
		"{\"prompt\":",
		"{}",
		"{\"prompt\":[]}",
		"{\"prompt\":5}",
		"{\"prompt\":[1,\"a\"]}",
		"{\"prompt\":\"a\",\"max_tokens\":0}",
		"{\"prompt\":\"a\",\"max_tokens\":\"5\"}",
		"{\"prompt\":\"a\",\"n\":129}",
	};
	struct sim_ask a;

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(parse(&a, false, bad[i]), -EINVAL);
	assert_int_equal(parse(&a, true, "{\"messages\":[]}"), -EINVAL);
	assert_int_equal(parse(&a, true, "{\"messages\":[{\"content\":\"x\"}]}"), -EINVAL);
}

static void
a_prompt_over_the_bound_is_refused_before_it_is_copied(void **state)
{
	struct sim_ask a;
	struct buf body;

	(void)state;
	buf_init(&body, 1 << 20);
	buf_add_str(&body, "{\"prompt\":[1");
	for (unsigned i = 0; i < 1000; i++)
		buf_add_str(&body, ",1");
	buf_add_str(&body, "]}");
	assert_int_equal(parse(&a, false, buf_cstr(&body)), -EINVAL);
	buf_finish(&body);
}

static void
a_tool_is_called_only_when_it_must(void **state)
{
	struct sim_ask a;

#define TOOLS "{\"prompt\":\"x\",\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\"}}]"
	(void)state;
	assert_int_equal(parse(&a, false, TOOLS "}"), 0);
	assert_string_equal(a.tool, "");
	sim_ask_finish(&a);
	assert_int_equal(parse(&a, false, TOOLS ",\"tool_choice\":\"required\"}"), 0);
	assert_string_equal(a.tool, "f");
	sim_ask_finish(&a);
	assert_int_equal(parse(&a, false,
			       TOOLS ",\"tool_choice\":{\"type\":\"function\",\"function\":{\"name\":\"g\"}}}"),
			 0);
	assert_string_equal(a.tool, "g");
	sim_ask_finish(&a);
}

static void
faults_are_parsed_and_joined(void **state)
{
	struct sim_faults f = { 0 };

	(void)state;
	assert_int_equal(sim_faults_parse(&f, SLICE("hang-after=3, stall=500@10"), NULL), 0);
	assert_int_equal(sim_faults_parse(&f, SLICE("status=429:7,line-crlf,error-in-stream@2"), NULL), 0);
	assert_true(sim_fault_at(&f, SIM_FAULT_HANG_AFTER, 3));
	assert_false(sim_fault_at(&f, SIM_FAULT_HANG_AFTER, 2));
	assert_true(sim_fault_at(&f, SIM_FAULT_STALL, 10));
	assert_int_equal(f.f[SIM_FAULT_STALL].value, 500);
	assert_int_equal(f.f[SIM_FAULT_STATUS].second, 7);
	assert_true(sim_fault_on(&f, SIM_FAULT_LINE_CRLF));
	assert_false(sim_fault_on(&f, SIM_FAULT_ONE_BYTE));
	assert_true(sim_faults_count_tokens(&f));
}

static void
a_wrong_fault_changes_nothing_and_is_named(void **state)
{
	static const char *const bad[] = { "hang",    "hang-after",	 "hang-after=x",
					   "stall=5", "malformed-sse=3", "one-byte=1",
					   "status",  "hang-after=3@2",	 "hang-after=99999999999" };
	struct sim_faults f = { 0 }, none = { 0 };

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(bad); i++) {
		struct diag d = { 0 };
		struct buf spec;

		buf_init(&spec, 256);
		buf_addf(&spec, "one-byte,%s", bad[i]);
		assert_int_equal(sim_faults_parse(&f, buf_slice(&spec), &d), -EINVAL);
		assert_non_null(strstr(d.what, bad[i]));
		assert_memory_equal(&f, &none, sizeof(f));
		buf_finish(&spec);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_chat_request_is_read),
		cmocka_unit_test(a_prompt_may_be_text_ids_or_lists_of_them),
		cmocka_unit_test(a_bad_request_is_refused),
		cmocka_unit_test(a_prompt_over_the_bound_is_refused_before_it_is_copied),
		cmocka_unit_test(a_tool_is_called_only_when_it_must),
		cmocka_unit_test(faults_are_parsed_and_joined),
		cmocka_unit_test(a_wrong_fault_changes_nothing_and_is_named),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
