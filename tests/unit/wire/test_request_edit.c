/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "wire/request_edit.h"

static struct request_facts facts;
static struct request_edit edit;
static struct slice body;

static void
read_body(const char *text)
{
	body = slice_of(text);
	request_facts_init(&facts);
	assert_true(request_facts_feed(&facts, body));
	assert_true(request_facts_end(&facts));
	request_edit_init(&edit);
}

/* The edited body, which must be a body that the scanner takes. */
static void
assert_edited(const char *want)
{
	struct slice parts[2 * REQUEST_EDITS_MAX + 1];
	static struct request_facts again;
	struct buf got;
	unsigned n = request_edit_apply(&edit, body, parts);

	assert_in_range(n, 1, ARRAY_LEN(parts));
	buf_init(&got, BUF_MAX_DEFAULT);
	request_facts_init(&again);
	for (unsigned i = 0; i < n; i++) {
		assert_true(parts[i].n > 0);
		buf_add_slice(&got, parts[i]);
		assert_true(request_facts_feed(&again, parts[i]));
	}
	assert_string_equal(buf_cstr(&got), want);
	assert_true(request_facts_end(&again));
	buf_finish(&got);
}

static void
a_body_without_edits_is_itself_byte_for_byte(void **state)
{
	struct slice parts[2 * REQUEST_EDITS_MAX + 1];

	(void)state;
	read_body(" {\"model\" : \"m\",\n\"x\":1e0 }\n");
	assert_int_equal(request_edit_apply(&edit, body, parts), 1);
	assert_ptr_equal(parts[0].p, body.p);
	assert_int_equal(parts[0].n, body.n);
}

static void
usage_is_asked_for_wherever_the_client_did_not(void **state)
{
	static const struct {
		const char *body, *want;
	} cases[] = {
		{ "{\"model\":\"m\"}", "{\"stream_options\":{\"include_usage\":true},\"model\":\"m\"}" },
		{ " { \"model\":\"m\"}", " {\"stream_options\":{\"include_usage\":true}, \"model\":\"m\"}" },
		{ "{}", "{\"stream_options\":{\"include_usage\":true}}" },
		{ "{\"stream_options\":null}", "{\"stream_options\":{\"include_usage\":true}}" },
		{ "{\"stream_options\": {} }", "{\"stream_options\": {\"include_usage\":true} }" },
		{ "{\"stream_options\":{ }}", "{\"stream_options\":{\"include_usage\":true}}" },
		{ "{\"stream_options\":{\"a\":1}}",
		  "{\"stream_options\":{\"include_usage\":true,\"a\":1}}" },
		{ "{\"stream_options\":{\"include_usage\":false}}",
		  "{\"stream_options\":{\"include_usage\":true}}" },
		{ "{\"stream_options\":{\"a\":[], \"include_usage\" : null }}",
		  "{\"stream_options\":{\"a\":[], \"include_usage\" : true }}" },
		{ "{\"stream_options\":{\"include_usage\":true}}",
		  "{\"stream_options\":{\"include_usage\":true}}" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		read_body(cases[i].body);
		assert_true(request_edit_include_usage(&edit, &facts));
		assert_edited(cases[i].want);
	}
}

static void
a_key_is_replaced_where_it_stands_or_added_in_front(void **state)
{
	(void)state;
	read_body("{\"a\":[1], \"priority\" : 7 ,\"model\":\"short\"}");
	assert_true(request_edit_set(&edit, &facts, WIRE_KEY_MODEL, SLICE("\"the/long-name\"")));
	assert_true(request_edit_set(&edit, &facts, WIRE_KEY_PRIORITY, SLICE("-2")));
	assert_true(request_edit_set(&edit, &facts, WIRE_KEY_MAX_TOKENS, SLICE("16")));
	assert_edited("{\"max_tokens\":16,\"a\":[1], \"priority\" : -2 ,\"model\":\"the/long-name\"}");
}

static void
several_keys_are_added_to_an_empty_body_with_commas_between(void **state)
{
	(void)state;
	read_body("{ }");
	assert_true(request_edit_set(&edit, &facts, WIRE_KEY_MODEL, SLICE("\"m\"")));
	assert_true(request_edit_set(&edit, &facts, WIRE_KEY_N, SLICE("1")));
	assert_true(request_edit_include_usage(&edit, &facts));
	assert_edited("{\"model\":\"m\",\"n\":1,\"stream_options\":{\"include_usage\":true} }");
}

static void
edits_beyond_the_bounds_are_refused_and_leave_the_others(void **state)
{
	char big[REQUEST_EDIT_TEXT_MAX + 1];

	(void)state;
	memset(big, '1', sizeof(big));
	read_body("{\"model\":\"m\",\"n\":1}");
	assert_false(request_edit_set(&edit, &facts, WIRE_KEY_N, (struct slice){ big, sizeof(big) }));
	assert_false(request_edit_set(&edit, &facts, WIRE_KEY_MAX_TOKENS,
				      (struct slice){ big, sizeof(big) - 5 }));
	assert_true(request_edit_set(&edit, &facts, WIRE_KEY_N, SLICE("2")));
	assert_edited("{\"model\":\"m\",\"n\":2}");
	for (int i = 1; i < REQUEST_EDITS_MAX; i++)
		assert_true(request_edit_splice(&edit, body.n, 0, SLICE(" ")));
	assert_false(request_edit_splice(&edit, body.n, 0, SLICE(" ")));
}

static void
bytes_can_be_taken_out_without_a_replacement(void **state)
{
	(void)state;
	read_body("{\"model\":\"m\"}   ");
	assert_true(request_edit_splice(&edit, 13, 3, (struct slice){ NULL, 0 }));
	assert_edited("{\"model\":\"m\"}");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_body_without_edits_is_itself_byte_for_byte),
		cmocka_unit_test(usage_is_asked_for_wherever_the_client_did_not),
		cmocka_unit_test(a_key_is_replaced_where_it_stands_or_added_in_front),
		cmocka_unit_test(several_keys_are_added_to_an_empty_body_with_commas_between),
		cmocka_unit_test(edits_beyond_the_bounds_are_refused_and_leave_the_others),
		cmocka_unit_test(bytes_can_be_taken_out_without_a_replacement),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
