/* SPDX-License-Identifier: MIT */
/*
 * Every test reads its body in all chunkings that matter: whole, byte by byte, and cut in two at
 * each place.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "support/wire_show.h"
#include "wire/request_facts.h"

#define TRY_ALL_CUTS_MAX 400 /* bytes; longer bodies are cut at 64 places */

static struct request_facts f;

/*
 * Copies to the heap in its exact size, so that a read past the piece is seen by the address
 * sanitizer.
 */
static bool
feed_copy(struct request_facts *to, struct slice s)
{
	char *copy = malloc(s.n ? s.n : 1);
	bool ok;

	memcpy(copy, s.p, s.n);
	ok = request_facts_feed(to, (struct slice){ copy, s.n });
	free(copy);
	return ok;
}

static bool
read_in_steps(struct request_facts *to, struct slice body, size_t step, size_t first)
{
	size_t at = first;

	request_facts_init(to);
	if (first && !feed_copy(to, (struct slice){ body.p, first }))
		return false;
	for (; at < body.n; at += step)
		if (!feed_copy(to, (struct slice){ body.p + at, MIN(step, body.n - at) }))
			return false;
	return request_facts_end(to);
}

/* Reads @body into f, and checks that every chunking finds the same. */
static bool
facts_of(struct slice body)
{
	static struct request_facts other;
	struct buf want, got;
	bool ok = read_in_steps(&f, body, body.n + 1, 0);
	size_t stride = body.n <= TRY_ALL_CUTS_MAX ? 1 : body.n / 64;

	buf_init(&want, BUF_MAX_DEFAULT);
	buf_init(&got, BUF_MAX_DEFAULT);
	show_request_facts(&want, &f, ok);
	for (size_t first = 0; first < body.n; first += stride) {
		/* The cut at 0 stands for byte by byte. */
		show_request_facts(&got, &other, read_in_steps(&other, body, first ? body.n : 1, first));
		assert_string_equal(buf_cstr(&got), buf_cstr(&want));
	}
	buf_finish(&want);
	buf_finish(&got);
	return ok;
}

static bool
facts_of_str(const char *body)
{
	return facts_of(slice_of(body));
}

#define assert_refused(body, err) assert_refused_at(body, err, NULL, __LINE__)
#define assert_refused_naming(body, err, key) assert_refused_at(body, err, key, __LINE__)

static void
assert_refused_at(struct slice body, enum wire_error e, const char *param, int line)
{
	if (facts_of(body))
		fail_msg("line %d: accepted", line);
	if (f.error != e)
		fail_msg("line %d: refused as %s: %s", line, wire_error_info(f.error)->code, f.message);
	assert_true(f.message[0]);
	if (param) {
		assert_string_equal(f.param, param);
		assert_non_null(strstr(f.message, param));
	}
}

static struct slice
span_text(const char *body, struct wire_span s)
{
	return (struct slice){ body + s.off, s.n };
}

static void
a_chat_request_gives_its_facts(void **state)
{
	static const char body[] =
		"{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}],\"stream\":true,\"max_tokens\":16,"
		"\"n\":2,\"user\":\"u1\",\"service_tier\":\"flex\",\"priority\":-3}";

	(void)state;
	assert_true(facts_of_str(body));
	assert_string_equal(f.model, "m");
	assert_string_equal(f.user, "u1");
	assert_string_equal(f.service_tier, "flex");
	assert_true(f.stream);
	assert_int_equal(f.max_tokens, 16);
	assert_int_equal(f.n, 2);
	assert_int_equal(f.best_of, 1);
	assert_int_equal(f.priority, -3);
	assert_int_equal(f.open_at, 1);
	assert_true(request_facts_has(&f, WIRE_KEY_STREAM));
	assert_false(request_facts_has(&f, WIRE_KEY_STREAM_OPTIONS));
	assert_true(slice_eq(span_text(body, f.span[WIRE_KEY_MAX_TOKENS]), SLICE("16")));
	assert_true(slice_eq(span_text(body, f.span[WIRE_KEY_MESSAGES]),
			     SLICE("[{\"role\":\"user\",\"content\":\"hi\"}]")));
	assert_int_equal(f.prompt_bytes, strlen("[{\"role\":\"user\",\"content\":\"hi\"}]"));
}

static void
a_body_without_any_key_that_matters_is_accepted_and_says_so(void **state)
{
	(void)state;
	assert_true(facts_of_str(" \r\n\t{ } "));
	assert_true(f.empty_object);
	assert_string_equal(f.model, "");
	assert_int_equal(f.max_tokens, -1);
	assert_false(f.stream);
	assert_int_equal(f.open_at, 5);
	assert_true(facts_of_str("{\"x\":{\"model\":\"inner\"},\"y\":[{\"stream\":true}]}"));
	assert_string_equal(f.model, "");
	assert_false(f.stream);
	assert_false(f.empty_object);
}

static void
null_means_absent_where_a_key_is_optional(void **state)
{
	(void)state;
	assert_true(facts_of_str("{\"model\":\"m\",\"max_tokens\":null,\"stream\":null,\"n\":null,\"user\":null,"
				 "\"stream_options\":null,\"service_tier\":null,\"best_of\":null}"));
	assert_int_equal(f.max_tokens, -1);
	assert_false(f.stream);
	assert_int_equal(f.n, 1);
	assert_false(request_facts_has(&f, WIRE_KEY_MAX_TOKENS));
	assert_true(f.span[WIRE_KEY_MAX_TOKENS].off > 0); /* but it stands there, to be replaced */
	assert_refused_naming(SLICE("{\"model\":null}"), WIRE_ERR_WRONG_TYPE, "model");
}

static void
each_synonym_of_max_tokens_is_known_and_the_least_one_counts(void **state)
{
	static const char *const names[] = { "max_tokens", "max_completion_tokens",
					     "max_output_tokens", "n_predict" };
	char body[200];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		snprintf(body, sizeof(body), "{\"%s\":77}", names[i]);
		assert_true(facts_of_str(body));
		assert_int_equal(f.max_tokens, 77);
	}
	assert_true(facts_of_str("{\"max_tokens\":50,\"max_completion_tokens\":40}"));
	assert_int_equal(f.max_tokens, 40);
	assert_true(facts_of_str("{\"max_tokens\":30,\"max_completion_tokens\":null}"));
	assert_int_equal(f.max_tokens, 30);
	assert_true(facts_of_str("{\"n_predict\":-1}"));
	assert_int_equal(f.max_tokens, -1);
	assert_true(facts_of_str("{\"max_tokens\":1e300}"));
	assert_int_equal(f.max_tokens, WIRE_TOKENS_MAX);
	assert_true(facts_of_str("{\"max_tokens\":1.6e1}"));
	assert_int_equal(f.max_tokens, 16);
}

static void
a_wrong_type_is_refused_by_name_with_what_was_expected(void **state)
{
	(void)state;
	assert_refused_naming(SLICE("{\"model\":7}"), WIRE_ERR_WRONG_TYPE, "model");
	assert_non_null(strstr(f.message, "a string"));
	assert_refused_naming(SLICE("{\"model\":[\"m\"]}"), WIRE_ERR_WRONG_TYPE, "model");
	assert_refused_naming(SLICE("{\"max_tokens\":\"16\"}"), WIRE_ERR_WRONG_TYPE, "max_tokens");
	assert_non_null(strstr(f.message, "an integer"));
	assert_refused_naming(SLICE("{\"max_tokens\":1.5}"), WIRE_ERR_WRONG_TYPE, "max_tokens");
	assert_refused_naming(SLICE("{\"max_tokens\":true}"), WIRE_ERR_WRONG_TYPE, "max_tokens");
	assert_refused_naming(SLICE("{\"max_tokens\":{}}"), WIRE_ERR_WRONG_TYPE, "max_tokens");
	assert_refused_naming(SLICE("{\"stream\":\"true\"}"), WIRE_ERR_WRONG_TYPE, "stream");
	assert_refused_naming(SLICE("{\"stream\":1}"), WIRE_ERR_WRONG_TYPE, "stream");
	assert_refused_naming(SLICE("{\"stream_options\":[]}"), WIRE_ERR_WRONG_TYPE, "stream_options");
	assert_refused_naming(SLICE("{\"user\":{}}"), WIRE_ERR_WRONG_TYPE, "user");
	assert_refused_naming(SLICE("{\"n\":\"2\"}"), WIRE_ERR_WRONG_TYPE, "n");
	assert_refused_naming(SLICE("{\"service_tier\":1}"), WIRE_ERR_WRONG_TYPE, "service_tier");
	assert_refused_naming(SLICE("{\"stream_options\":{\"include_usage\":\"yes\"}}"),
			      WIRE_ERR_WRONG_TYPE, "stream_options.include_usage");
}

static void
a_top_level_key_that_stands_twice_is_refused_by_name(void **state)
{
	(void)state;
	assert_refused_naming(SLICE("{\"model\":\"a\",\"model\":\"b\"}"), WIRE_ERR_DUPLICATE_KEY, "model");
	assert_refused_naming(SLICE("{\"x\":1,\"y\":2,\"x\":1}"), WIRE_ERR_DUPLICATE_KEY, "x");
	assert_refused_naming(SLICE("{\"\":1,\"\":2}"), WIRE_ERR_DUPLICATE_KEY, "");
	assert_true(facts_of_str("{\"a\":{\"x\":1,\"x\":2}}")); /* inside, it is the engine's business */
	assert_true(facts_of_str("{\"ab\":1,\"a\":2,\"b\":3}"));
	assert_refused_naming(SLICE("{\"stream_options\":{\"include_usage\":true,\"include_usage\":false}}"),
			      WIRE_ERR_DUPLICATE_KEY, "stream_options.include_usage");
}

static void
an_escaped_key_is_the_same_key(void **state)
{
	(void)state;
	assert_refused_naming(SLICE("{\"model\":\"a\",\"\\u006dodel\":\"b\"}"),
			      WIRE_ERR_DUPLICATE_KEY, "model");
	assert_refused_naming(SLICE("{\"m\\u006F\\u0064el\":\"a\",\"model\":\"b\"}"),
			      WIRE_ERR_DUPLICATE_KEY, "model");
	assert_refused_naming(SLICE("{\"\\ud83d\\ude00\":1,\"\xf0\x9f\x98\x80\":2}"),
			      WIRE_ERR_DUPLICATE_KEY, "\xf0\x9f\x98\x80");
	assert_true(facts_of_str("{\"\\u006dodel\":\"a\\u0062\\n\\\"\\/\"}"));
	assert_string_equal(f.model, "ab\n\"/");
	assert_true(facts_of_str("{\"\\\\u006dodel\":\"a\"}")); /* an escaped backslash, then plain text */
	assert_string_equal(f.model, "");
	assert_true(facts_of_str("{\"model\":\"a\",\"model\\u0000\":\"b\"}")); /* NUL is a character like any other */
	assert_string_equal(f.model, "a");
}

static void
keys_are_bounded_in_number_and_length(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, BUF_MAX_DEFAULT);
	for (int n = WIRE_TOP_KEYS_MAX; n <= WIRE_TOP_KEYS_MAX + 1; n++) {
		buf_clear(&b);
		for (int i = 0; i < n; i++)
			buf_addf(&b, "%c\"k%d\":%d", i ? ',' : '{', i, i);
		buf_add_char(&b, '}');
		if (n == WIRE_TOP_KEYS_MAX) {
			assert_true(facts_of(buf_slice(&b)));
		} else {
			assert_refused(buf_slice(&b), WIRE_ERR_INVALID_REQUEST);
			assert_non_null(strstr(f.message, "too many"));
		}
	}
	buf_clear(&b);
	buf_addf(&b, "{\"%0*d\":1}", JSON_TEXT_MAX, 0);
	assert_true(facts_of(buf_slice(&b)));
	buf_clear(&b);
	buf_addf(&b, "{\"%0*d\":1}", JSON_TEXT_MAX + 1, 0);
	assert_refused(buf_slice(&b), WIRE_ERR_INVALID_REQUEST);
	buf_clear(&b);
	buf_addf(&b, "{\"model\":\"%0*d\"}", WIRE_MODEL_MAX, 0);
	assert_true(facts_of(buf_slice(&b)));
	assert_int_equal(strlen(f.model), WIRE_MODEL_MAX);
	buf_clear(&b);
	buf_addf(&b, "{\"model\":\"%0*d\"}", WIRE_MODEL_MAX + 1, 0);
	assert_refused_naming(buf_slice(&b), WIRE_ERR_INVALID_REQUEST, "model");
	buf_clear(&b);
	buf_addf(&b, "{\"user\":\"%0*d\"}", 5000, 0);
	assert_true(facts_of(buf_slice(&b)));
	assert_int_equal(strlen(f.user), WIRE_USER_MAX); /* only for the log: cut */
	buf_finish(&b);
}

static void
a_model_name_with_a_nul_in_it_is_refused(void **state)
{
	(void)state;
	assert_refused_naming(SLICE("{\"model\":\"a\\u0000b\"}"), WIRE_ERR_INVALID_REQUEST, "model");
}

static void
what_is_not_json_is_refused(void **state)
{
	static const char *const bad[] = {
		"",
		" ",
		"{",
		"}",
		"{\"a\"",
		"{\"a\":",
		"{\"a\":1",
		"{\"a\":1,",
		"{\"a\":1,}",
		"{,}",
		"{a:1}",
		"{'a':1}",
		"{\"a\" 1}",
		"{\"a\":1 \"b\":2}",
		"{\"a\":1}}",
		"{\"a\":1}{}",
		"{\"a\":1} x",
		"{\"a\":[1,]}",
		"{\"a\":[,1]}",
		"{\"a\":[1 2]}",
		"{\"a\":[1}}",
		"{\"a\":{\"b\":1]}",
		"{\"a\":tru}",
		"{\"a\":truee}",
		"{\"a\":True}",
		"{\"a\":nul",
		"{\"a\":NaN}",
		"{\"a\":Infinity}",
		"{\"a\":-Infinity}",
		"{\"a\":01}",
		"{\"a\":-}",
		"{\"a\":+1}",
		"{\"a\":1.}",
		"{\"a\":.5}",
		"{\"a\":1e}",
		"{\"a\":1e+}",
		"{\"a\":0x10}",
		"{\"a\":1_000}",
		"{\"a\":--1}",
		"{\"a\":\"\\x\"}",
		"{\"a\":\"\\u12\"}",
		"{\"a\":\"\\u12g4\"}",
		"{\"a\":\"\n\"}",
		"{\"a\":\"\t\"}",
		"{\"a\":\"\x01\"}",
		"{\"a\":\"unterminated}",
		"{\"a\":\"x\\\"}",
		"{\"a\":1}/* c */",
		"// c\n{}",
		"{1:2}",
		"{\"a\":\f1}",
		"{\"a\":1}\v",
		"{\"a\":\"\\ud800\"}",
		"{\"a\":\"\\udc00\"}",
		"{\"a\":\"\\ud800x\"}",
		"{\"a\":\"\\ud800\\n\"}",
		"{\"a\":\"\\ud800\\u0041\"}",
		"{\"a\":\"\\ud800\\ud800\"}",
		"{\"a\":\"\\ud800\\ue000\"}",
		"{\"a\":\"a control character \x1f far from both ends\"}",
		"{\"a\":\"\\ud83d\\ude0\"}",
		"\xef\xbb\xbf{}",
		"{\"a\":\xc3\xa4}",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		if (facts_of_str(bad[i]))
			fail_msg("accepted: %s", bad[i]);
		if (f.error != WIRE_ERR_INVALID_JSON)
			fail_msg("%s: %s", bad[i], f.message);
	}
	assert_refused(((struct slice){ "{\"a\":1}\0", 8 }), WIRE_ERR_INVALID_JSON);
	assert_refused(((struct slice){ "{\"a\":\"\0\"}", 9 }), WIRE_ERR_INVALID_JSON);
	assert_refused(((struct slice){ "{\"a\":\"\\\0\"}", 10 }), WIRE_ERR_INVALID_JSON);
}

static void
a_body_that_is_json_but_no_object_is_refused_as_such(void **state)
{
	static const char *const bad[] = { "[]",   "\"model\"",		 "1", "-1.5e3 ", "null",
					   "true", "[{\"model\":\"m\"}]" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		assert_false(facts_of_str(bad[i]));
		assert_int_equal(f.error, WIRE_ERR_INVALID_REQUEST);
		assert_non_null(strstr(f.message, "object"));
	}
}

static void
all_that_the_grammar_allows_is_accepted(void **state)
{
	static const char *const good[] = {
		"{\"a\":0}",
		"{\"a\":-0}",
		"{\"a\":-0.0e-0}",
		"{\"a\":1E+9}",
		"{\"a\":123456789012345678901234567890}",
		"{\"a\":[]}",
		"{\"a\":[[],{}]}",
		"{\"a\" : [ 1 , 2 ] }",
		"{\"a\":\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e4\"}",
		"{\"a\":\"\\ud83d\\ude00\"}",
		"{\"a\":\"\x7f\"}",
		"\n{\"a\":null,\"b\":true,\"c\":false}\r\n",
		"{\"a\":\"\xc2\x80 \xdf\xbf \xe0\xa0\x80 \xed\x9f\xbf \xee\x80\x80 \xef\xbf\xbf \xf0\x90\x80\x80 \xf4\x8f\xbf\xbf\"}",
		"{\"a\":\"\\u0000\\ufffe\"}",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(good); i++)
		if (!facts_of_str(good[i]))
			fail_msg("%s: %s", good[i], f.message);
}

static void
bytes_that_are_not_utf8_are_refused_by_that_name(void **state)
{
	static const char *const bad[] = {
		"\x80",
		"\xbf",
		"\xc0\x80",
		"\xc1\xbf",
		"\xc3",
		"\xc3(",
		"\xe0\x80\x80",
		"\xe0\x9f\xbf",
		"\xe4\xb8",
		"\xe4\xb8(",
		"\xed\xa0\x80",
		"\xed\xbf\xbf",
		"\xf0\x80\x80\x80",
		"\xf0\x8f\xbf\xbf",
		"\xf0\x9f\x98",
		"\xf4\x90\x80\x80",
		"\xf5\x80\x80\x80",
		"\xff",
		"\xfe",
		"\xc3\\n",
		"\xe4\\u0041",
	};
	char body[100];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		for (int key = 0; key < 2; key++) {
			snprintf(body, sizeof(body),
				 key ? "{\"plain text %s\":1}" : "{\"a\":\"plain text %s\"}", bad[i]);
			assert_false(facts_of_str(body));
			assert_int_equal(f.error, WIRE_ERR_INVALID_JSON);
			if (!strstr(f.message, "UTF-8"))
				fail_msg("case %zu: %s", i, f.message);
		}
	}
}

static void
nesting_is_bounded_without_recursion(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, BUF_MAX_DEFAULT);
	for (int depth = JSON_DEPTH_MAX; depth <= JSON_DEPTH_MAX + 1; depth++) {
		buf_clear(&b);
		buf_add_str(&b, "{\"a\":");
		for (int i = 1; i < depth; i++)
			buf_add_char(&b, '[');
		for (int i = 1; i < depth; i++)
			buf_add_char(&b, ']');
		buf_add_char(&b, '}');
		if (depth == JSON_DEPTH_MAX)
			assert_true(facts_of(buf_slice(&b)));
		else
			assert_refused(buf_slice(&b), WIRE_ERR_INVALID_JSON);
	}
	/* Objects and arrays alternate, so that each level must be remembered. */
	buf_clear(&b);
	for (int i = 0; i < 100; i++)
		buf_add_str(&b, "{\"a\":[");
	for (int i = 0; i < 100; i++)
		buf_add_str(&b, "]}");
	assert_true(facts_of(buf_slice(&b)));
	b.p[b.n - 6] = '}';
	assert_refused(buf_slice(&b), WIRE_ERR_INVALID_JSON);
	buf_finish(&b);
}

static void
stream_options_show_whether_usage_is_asked_for(void **state)
{
	static const char body[] =
		"{\"stream_options\": { \"x\":[{\"include_usage\":true}], \"include_usage\" : false } }";

	(void)state;
	assert_true(facts_of_str("{\"stream_options\":{\"include_usage\":true}}"));
	assert_true(f.include_usage);
	assert_true(facts_of_str(body));
	assert_false(f.include_usage);
	assert_true(f.has_include_usage);
	assert_int_equal(f.stream_options_keys, 2);
	assert_true(slice_eq(span_text(body, f.include_usage_span), SLICE("false")));
	assert_true(facts_of_str(
		"{\"x\":{\"include_usage\":true},\"stream_options\":{\"continuous_usage_stats\":true}}"));
	assert_false(f.has_include_usage);
	assert_int_equal(f.stream_options_keys, 1);
	assert_true(facts_of_str("{\"stream_options\":{\"include_usage\":null}}"));
	assert_false(f.include_usage);
	assert_true(f.has_include_usage);
}

static void
prompts_of_every_shape_are_sized(void **state)
{
	(void)state;
	assert_true(facts_of_str("{\"prompt\":\"abc\"}"));
	assert_int_equal(f.prompt_bytes, 5);
	assert_int_equal(f.prompt_items, 1);
	assert_false(f.prompt_is_tokens);
	assert_true(facts_of_str("{\"prompt\":[\"abc\",\"de\"]}"));
	assert_int_equal(f.prompt_items, 2);
	assert_false(f.prompt_is_tokens);
	assert_true(facts_of_str("{\"prompt\":[1,22,333]}"));
	assert_int_equal(f.prompt_items, 3);
	assert_true(f.prompt_is_tokens);
	assert_true(facts_of_str("{\"prompt\":[[1,2],[3]]}"));
	assert_int_equal(f.prompt_items, 2);
	assert_false(f.prompt_is_tokens);
	assert_true(facts_of_str("{\"prompt\":[]}"));
	assert_int_equal(f.prompt_items, 1);
	assert_true(facts_of_str("{\"input\":[\"a\",\"b\",\"c\"]}"));
	assert_int_equal(f.prompt_items, 3);
	assert_true(facts_of_str("{\"system\":\"ab\",\"messages\":[],\"tools\":[{}]}"));
	assert_int_equal(f.prompt_bytes, 4 + 2 + 4);
	assert_int_equal(f.prompt_items, 1);
}

static void
a_body_of_32_mib_of_numbers_is_read_in_bounded_memory(void **state)
{
	enum {
		TOTAL = 32 << 20,
		PIECE = 64 << 10
	};
	static char piece[PIECE];

	(void)state;
	for (size_t i = 0; i < sizeof(piece); i += 2)
		memcpy(piece + i, "1,", 2);
	request_facts_init(&f);
	assert_true(request_facts_feed(&f, SLICE("{\"prompt\":[")));
	for (size_t n = 0; n < TOTAL; n += PIECE)
		assert_true(request_facts_feed(&f, (struct slice){ piece, PIECE }));
	assert_true(request_facts_feed(&f, SLICE("1],\"model\":\"m\"}")));
	assert_true(request_facts_end(&f));
	assert_int_equal(f.prompt_items, TOTAL / 2 + 1);
	assert_int_equal(f.prompt_bytes, TOTAL + 3);
	assert_string_equal(f.model, "m");

	request_facts_init(&f); /* the same as the whole body is no object, which its first byte says */
	assert_false(request_facts_feed(&f, SLICE("[1,1,1")));
	assert_int_equal(f.error, WIRE_ERR_INVALID_REQUEST);
}

static void
a_refused_body_stays_refused(void **state)
{
	(void)state;
	request_facts_init(&f);
	assert_false(request_facts_feed(&f, SLICE("{\"model\":1")));
	assert_false(request_facts_feed(&f, SLICE("}")));
	assert_false(request_facts_end(&f));
	assert_int_equal(f.error, WIRE_ERR_WRONG_TYPE);
	assert_string_equal(f.param, "model");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_chat_request_gives_its_facts),
		cmocka_unit_test(a_body_without_any_key_that_matters_is_accepted_and_says_so),
		cmocka_unit_test(null_means_absent_where_a_key_is_optional),
		cmocka_unit_test(each_synonym_of_max_tokens_is_known_and_the_least_one_counts),
		cmocka_unit_test(a_wrong_type_is_refused_by_name_with_what_was_expected),
		cmocka_unit_test(a_top_level_key_that_stands_twice_is_refused_by_name),
		cmocka_unit_test(an_escaped_key_is_the_same_key),
		cmocka_unit_test(keys_are_bounded_in_number_and_length),
		cmocka_unit_test(a_model_name_with_a_nul_in_it_is_refused),
		cmocka_unit_test(what_is_not_json_is_refused),
		cmocka_unit_test(a_body_that_is_json_but_no_object_is_refused_as_such),
		cmocka_unit_test(all_that_the_grammar_allows_is_accepted),
		cmocka_unit_test(bytes_that_are_not_utf8_are_refused_by_that_name),
		cmocka_unit_test(nesting_is_bounded_without_recursion),
		cmocka_unit_test(stream_options_show_whether_usage_is_asked_for),
		cmocka_unit_test(prompts_of_every_shape_are_sized),
		cmocka_unit_test(a_body_of_32_mib_of_numbers_is_read_in_bounded_memory),
		cmocka_unit_test(a_refused_body_stays_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
