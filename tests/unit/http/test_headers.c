/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "http/headers.h"

static const struct http_header fields[] = {
	{ SLICE_INIT("Content-Type"), SLICE_INIT("text/plain") },
	{ SLICE_INIT("connection"), SLICE_INIT("close, X-Private") },
	{ SLICE_INIT("CONTENT-TYPE"), SLICE_INIT("second") },
	{ SLICE_INIT("Connection"), SLICE_INIT(" \tUpgrade ,, keep-alive") },
	{ SLICE_INIT("x-empty"), SLICE_INIT("") },
};
static const struct http_headers h = { ARRAY_LEN(fields), fields };

static void
the_first_field_of_a_name_is_found_in_any_case(void **state)
{
	(void)state;
	assert_true(slice_eq(http_header_get(&h, SLICE("content-type")), SLICE("text/plain")));
	assert_non_null(http_header_get(&h, SLICE("X-Empty")).p);
	assert_int_equal(http_header_get(&h, SLICE("X-Empty")).n, 0);
	assert_null(http_header_get(&h, SLICE("content-typ")).p);
	assert_null(http_header_get(&h, SLICE("content-types")).p);
}

static void
tokens_are_looked_for_in_every_line_of_a_list(void **state)
{
	(void)state;
	assert_true(http_header_has_token(&h, SLICE("connection"), SLICE("Close")));
	assert_true(http_header_has_token(&h, SLICE("connection"), SLICE("upgrade")));
	assert_true(http_header_has_token(&h, SLICE("connection"), SLICE("keep-alive")));
	assert_false(http_header_has_token(&h, SLICE("connection"), SLICE("keep")));
	assert_false(http_header_has_token(&h, SLICE("connection"), SLICE("alive")));
	assert_false(http_header_has_token(&h, SLICE("x-empty"), SLICE("close")));
}

static void
fields_of_one_hop_end_here_with_those_that_connection_names(void **state)
{
	static const char *const hop[] = {
		"Connection",
		"keep-alive",
		"Proxy-Connection",
		"proxy-authenticate",
		"TE",
		"Trailer",
		"Transfer-Encoding",
		"upgrade",
		"Expect",
		"proxy-authorization",
		"Content-Length",
		"host",
		"X-Private",
		"x-private",
	};
	static const char *const end_to_end[] = { "content-type", "date",     "traceparent",
						  "x-request-id", "accept",   "x-privately",
						  "server",	  "close-ish" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(hop); i++)
		assert_true(http_header_is_hop(&h, slice_of(hop[i])));
	for (size_t i = 0; i < ARRAY_LEN(end_to_end); i++)
		assert_false(http_header_is_hop(&h, slice_of(end_to_end[i])));
}

static void
secrets_of_the_client_are_known_in_any_case(void **state)
{
	(void)state;
	assert_true(http_header_is_secret(SLICE("AUTHORIZATION")));
	assert_true(http_header_is_secret(SLICE("x-api-key")));
	assert_true(http_header_is_secret(SLICE("Api-Key")));
	assert_true(http_header_is_secret(SLICE("x-goog-api-key")));
	assert_true(http_header_is_secret(SLICE("Cookie")));
	assert_false(http_header_is_secret(SLICE("x-api-keys")));
	assert_false(http_header_is_secret(SLICE("accept")));
}

static void
a_request_id_is_short_and_harmless(void **state)
{
	char longest[129];

	(void)state;
	memset(longest, 'a', sizeof(longest));
	assert_true(http_request_id_valid(SLICE("req_01:A.b-9")));
	assert_true(http_request_id_valid((struct slice){ longest, 128 }));
	assert_false(http_request_id_valid((struct slice){ longest, 129 }));
	assert_false(http_request_id_valid(SLICE("")));
	assert_false(http_request_id_valid(SLICE("a b")));
	assert_false(http_request_id_valid(SLICE("a\r\nx: y")));
	assert_false(http_request_id_valid(SLICE("a\"b")));
	assert_false(http_request_id_valid(SLICE("a\0b")));
	assert_false(http_request_id_valid(SLICE("\xc3\xa9")));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_first_field_of_a_name_is_found_in_any_case),
		cmocka_unit_test(tokens_are_looked_for_in_every_line_of_a_list),
		cmocka_unit_test(fields_of_one_hop_end_here_with_those_that_connection_names),
		cmocka_unit_test(secrets_of_the_client_are_known_in_any_case),
		cmocka_unit_test(a_request_id_is_short_and_harmless),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
