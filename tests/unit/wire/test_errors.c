/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include <yyjson.h>

#include "wire/errors.h"

static const char *
text_at(yyjson_doc *doc, const char *path)
{
	return yyjson_get_str(yyjson_ptr_get(yyjson_doc_get_root(doc), path));
}

static void
every_error_of_the_table_has_a_status_a_type_a_code_and_a_sentence(void **state)
{
	(void)state;
	for (int e = 0; e < WIRE_ERRORS; e++) {
		const struct wire_error_info *i = wire_error_info((enum wire_error)e);

		assert_in_range(i->status, 400, 599);
		assert_true(i->type[0] && i->code[0]);
		assert_int_equal(i->text[strlen(i->text) - 1], '.');
		assert_null(strpbrk(i->code, " -\"")); /* a word that programs compare */
	}
}

static void
statuses_are_those_that_sdks_map_to_the_right_class(void **state)
{
	static const struct {
		enum wire_error e;
		unsigned status;
		const char *code;
	} want[] = {
		{ WIRE_ERR_DUPLICATE_KEY, 400, "duplicate_key" },
		{ WIRE_ERR_INVALID_API_KEY, 401, "invalid_api_key" },
		{ WIRE_ERR_MODEL_NOT_FOUND, 404, "model_not_found" },
		{ WIRE_ERR_METHOD_NOT_ALLOWED, 405, "method_not_allowed" },
		{ WIRE_ERR_BODY_TOO_LARGE, 413, "request_too_large" },
		{ WIRE_ERR_RATE_LIMITED, 429, "rate_limit_exceeded" },
		{ WIRE_ERR_QUEUE_FULL, 429, "queue_full" },
		{ WIRE_ERR_OVERLOADED, 503, "server_overloaded" },
		{ WIRE_ERR_BAD_GATEWAY, 502, "bad_gateway" },
		{ WIRE_ERR_ENGINE_TIMEOUT, 504, "engine_timeout" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(want); i++) {
		assert_int_equal(wire_error_info(want[i].e)->status, want[i].status);
		assert_string_equal(wire_error_info(want[i].e)->code, want[i].code);
	}
	/* What the client itself did wrong is not cured by trying again. */
	assert_int_equal(wire_error_info(WIRE_ERR_INVALID_API_KEY)->retry, WIRE_RETRY_NO);
	assert_int_not_equal(wire_error_info(WIRE_ERR_RATE_LIMITED)->retry, WIRE_RETRY_NO);
}

static void
every_error_renders_in_openais_shape_whatever_its_message(void **state)
{
	struct buf out;

	(void)state;
	buf_init(&out, BUF_MAX_DEFAULT);
	for (int e = 0; e < WIRE_ERRORS; e++) {
		yyjson_doc *doc;

		buf_clear(&out);
		wire_error_body(&out, (enum wire_error)e, WIRE_OPENAI, "bad \"key\"\n\xff", "mo\"del");
		doc = yyjson_read(out.p, out.n, 0);
		assert_non_null(doc);
		assert_string_equal(text_at(doc, "/error/message"), "bad \"key\"\n\xef\xbf\xbd");
		assert_string_equal(text_at(doc, "/error/type"),
				    wire_error_info((enum wire_error)e)->type);
		assert_string_equal(text_at(doc, "/error/code"),
				    wire_error_info((enum wire_error)e)->code);
		assert_string_equal(text_at(doc, "/error/param"), "mo\"del");
		assert_int_equal(yyjson_obj_size(yyjson_doc_get_root(doc)), 1);
		yyjson_doc_free(doc);
	}
	buf_finish(&out);
}

static void
the_table_speaks_when_nobody_else_does(void **state)
{
	struct buf out;
	yyjson_doc *doc;

	(void)state;
	buf_init(&out, BUF_MAX_DEFAULT);
	wire_error_body(&out, WIRE_ERR_NOT_FOUND, WIRE_OPENAI, NULL, NULL);
	doc = yyjson_read(out.p, out.n, 0);
	assert_string_equal(text_at(doc, "/error/message"), wire_error_info(WIRE_ERR_NOT_FOUND)->text);
	assert_true(yyjson_is_null(yyjson_ptr_get(yyjson_doc_get_root(doc), "/error/param")));
	yyjson_doc_free(doc);
	buf_finish(&out);
}

static void
anthropics_clients_read_their_own_shape_and_an_overload_is_529(void **state)
{
	static const struct {
		enum wire_error e;
		unsigned status;
		const char *type;
	} want[] = {
		{ WIRE_ERR_OVERLOADED, 529, "overloaded_error" },
		{ WIRE_ERR_RATE_LIMITED, 429, "rate_limit_error" },
		{ WIRE_ERR_INVALID_API_KEY, 401, "authentication_error" },
		{ WIRE_ERR_FORBIDDEN, 403, "permission_error" },
		{ WIRE_ERR_MODEL_NOT_FOUND, 404, "not_found_error" },
		{ WIRE_ERR_INVALID_JSON, 400, "invalid_request_error" },
		{ WIRE_ERR_BODY_TOO_LARGE, 413, "request_too_large" },
		{ WIRE_ERR_INTERNAL, 500, "api_error" },
	};
	struct buf out;

	(void)state;
	buf_init(&out, BUF_MAX_DEFAULT);
	for (size_t i = 0; i < ARRAY_LEN(want); i++) {
		yyjson_doc *doc;

		assert_int_equal(wire_error_status(want[i].e, WIRE_ANTHROPIC), want[i].status);
		buf_clear(&out);
		wire_error_body(&out, want[i].e, WIRE_ANTHROPIC, "why", NULL);
		doc = yyjson_read(out.p, out.n, 0);
		assert_string_equal(text_at(doc, "/type"), "error");
		assert_string_equal(text_at(doc, "/error/type"), want[i].type);
		assert_string_equal(text_at(doc, "/error/message"), "why");
		yyjson_doc_free(doc);
	}
	assert_int_equal(wire_error_status(WIRE_ERR_OVERLOADED, WIRE_OPENAI), 503);
	buf_finish(&out);
}

static void
an_error_inside_a_stream_is_one_whole_event(void **state)
{
	struct buf out;

	(void)state;
	buf_init(&out, BUF_MAX_DEFAULT);
	wire_error_event(&out, WIRE_ERR_BAD_GATEWAY, WIRE_OPENAI, "two\nlines");
	assert_true(slice_starts(buf_slice(&out), SLICE("data: {\"error\":{\"message\":\"two\\nlines\"")));
	assert_string_equal(buf_cstr(&out) + out.n - 3, "}\n\n");
	assert_ptr_equal(strchr(buf_cstr(&out), '\n'), out.p + out.n - 2); /* no line end inside */
	buf_clear(&out);
	wire_error_event(&out, WIRE_ERR_OVERLOADED, WIRE_ANTHROPIC, NULL);
	assert_true(slice_starts(buf_slice(&out), SLICE("event: error\ndata: {\"type\":\"error\"")));
	buf_finish(&out);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_error_of_the_table_has_a_status_a_type_a_code_and_a_sentence),
		cmocka_unit_test(statuses_are_those_that_sdks_map_to_the_right_class),
		cmocka_unit_test(every_error_renders_in_openais_shape_whatever_its_message),
		cmocka_unit_test(the_table_speaks_when_nobody_else_does),
		cmocka_unit_test(anthropics_clients_read_their_own_shape_and_an_overload_is_529),
		cmocka_unit_test(an_error_inside_a_stream_is_one_whole_event),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
