/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/str.h"

static void
slices_are_equal_by_bytes_and_optionally_without_case(void **state)
{
	(void)state;
	assert_true(slice_eq(SLICE("a\0b"), SLICE("a\0b")));
	assert_false(slice_eq(SLICE("a\0b"), SLICE("a\0c")));
	assert_true(slice_eq((struct slice){ NULL, 0 }, SLICE("")));
	assert_true(slice_ieq(SLICE("Content-Type"), SLICE("content-TYPE")));
	assert_false(slice_ieq(SLICE("a"), SLICE("ab")));
	assert_false(slice_ieq(SLICE("["), SLICE("{"))); /* a letter's bit apart, but no letters */
	assert_true(slice_starts(SLICE("abc"), SLICE("ab")));
	assert_true(slice_starts(SLICE("abc"), SLICE("")));
	assert_false(slice_starts(SLICE("ab"), SLICE("abc")));
	assert_true(slice_eq(slice_trim(SLICE(" \t a b\t ")), SLICE("a b")));
	assert_int_equal(slice_trim(SLICE(" \t ")).n, 0);
}

static void
numbers_fill_the_whole_slice_or_are_none(void **state)
{
	static const char *const bad[] = { "", " 1", "1 ", "+1", "-1", "0x1", "1.", "a", "1a" };
	uint64_t v = 7;

	(void)state;
	assert_int_equal(slice_to_u64(SLICE("18446744073709551615"), &v), 0);
	assert_true(v == UINT64_MAX);
	assert_int_equal(slice_to_u64(SLICE("18446744073709551616"), &v), -ERANGE);
	assert_int_equal(slice_to_u64(SLICE("99999999999999999999999"), &v), -ERANGE);
	assert_int_equal(slice_to_u64(SLICE("000"), &v), 0);
	assert_int_equal(v, 0);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(slice_to_u64(slice_of(bad[i]), &v), -EINVAL);
}

static void
decimal_fractions_are_read_and_other_spellings_refused(void **state)
{
	static const char *const bad[] = { "",	 "inf", "nan", "0x1p3", " 1", "1 ",
					   "e5", ".",	"1e",  "--1",	"1,5" };
	double v;

	(void)state;
	assert_int_equal(slice_to_double(SLICE("-1.5e2"), &v), 0);
	assert_true(v == -150.0);
	assert_int_equal(slice_to_double(SLICE("0.1"), &v), 0);
	assert_true(v == 0.1);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(slice_to_double(slice_of(bad[i]), &v), -EINVAL);
}

static void
globs_match_as_a_shell_would(void **state)
{
	static const struct {
		const char *text, *glob;
		bool match;
	} cases[] = {
		{ "team-a", "team-*", true },
		{ "team-", "team-*", true },
		{ "team", "team-*", false },
		{ "", "*", true },
		{ "", "", true },
		{ "", "?", false },
		{ "abc", "a?c", true },
		{ "ac", "a?c", false },
		{ "aXbXc", "a*b*c", true },
		{ "aXbX", "a*b*c", false },
		{ "aab", "*ab", true },
		{ "abab", "*ab", true },
		{ "abc", "abcd", false },
		{ "abc", "***", true },
		{ "a*c", "a*c", true },
	};
	char many[1000], stars[60];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		if (slice_glob(slice_of(cases[i].text), slice_of(cases[i].glob)) != cases[i].match)
			fail_msg("'%s' and '%s'", cases[i].text, cases[i].glob);
	/* A pattern made to make a naive matcher try every split. */
	memset(many, 'a', sizeof(many));
	for (size_t i = 0; i < sizeof(stars); i++)
		stars[i] = i % 2 ? 'a' : '*';
	stars[sizeof(stars) - 1] = 'b';
	assert_false(slice_glob((struct slice){ many, sizeof(many) },
				(struct slice){ stars, sizeof(stars) }));
}

static void
edit_distance_finds_the_nearest_name_and_stops_at_its_limit(void **state)
{
	(void)state;
	assert_int_equal(slice_distance(SLICE("tenants"), SLICE("tenants"), 3), 0);
	assert_int_equal(slice_distance(SLICE("tenant"), SLICE("tenants"), 3), 1);
	assert_int_equal(slice_distance(SLICE("kitten"), SLICE("sitting"), 3), 3);
	assert_int_equal(slice_distance(SLICE("kitten"), SLICE("sitting"), 2), 3);
	assert_int_equal(slice_distance(SLICE("a"), SLICE("abcdefgh"), 3), 4);
	assert_int_equal(slice_distance(SLICE(""), SLICE("ab"), 3), 2);
}

static void
a_buffer_grows_to_its_bound_and_not_over_it(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 10);
	buf_add_str(&b, "12345");
	buf_add_slice(&b, SLICE("67890"));
	assert_false(b.overflow);
	buf_add_char(&b, 'x');
	assert_true(b.overflow);
	assert_int_equal(b.n, 10);
	assert_memory_equal(b.p, "1234567890", 10);
	assert_true(b.cap <= 10);
	assert_string_equal(buf_cstr(&b), "1234567890");
	buf_clear(&b);
	assert_false(b.overflow);
	assert_string_equal(buf_cstr(&b), "");
	buf_finish(&b);
	assert_null(b.p);
	buf_finish(&b);
}

static void
an_append_that_does_not_fit_changes_nothing_but_the_mark(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 100);
	buf_add_str(&b, "keep");
	buf_addf(&b, "%0200d", 1);
	assert_true(b.overflow);
	assert_string_equal(buf_cstr(&b), "keep");
	assert_int_equal(buf_reserve(&b, 97), -ENOSPC);
	assert_int_equal(buf_reserve(&b, 96), 0);
	assert_int_equal(buf_reserve(&b, SIZE_MAX), -ENOSPC);
	buf_finish(&b);
}

static void
formatted_text_and_dropped_bytes_keep_their_order(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, BUF_MAX_DEFAULT);
	for (int i = 0; i < 1000; i++)
		buf_addf(&b, "%d,", i);
	assert_int_equal(b.n, 10 * 2 + 90 * 3 + 900 * 4);
	buf_drop_front(&b, 10 * 2 + 90 * 3);
	assert_true(slice_starts(buf_slice(&b), SLICE("100,101,")));
	buf_drop_front(&b, b.n);
	assert_int_equal(b.n, 0);
	buf_add(&b, NULL, 0);
	assert_int_equal(b.n, 0);
	buf_finish(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(slices_are_equal_by_bytes_and_optionally_without_case),
		cmocka_unit_test(numbers_fill_the_whole_slice_or_are_none),
		cmocka_unit_test(decimal_fractions_are_read_and_other_spellings_refused),
		cmocka_unit_test(globs_match_as_a_shell_would),
		cmocka_unit_test(edit_distance_finds_the_nearest_name_and_stops_at_its_limit),
		cmocka_unit_test(a_buffer_grows_to_its_bound_and_not_over_it),
		cmocka_unit_test(an_append_that_does_not_fit_changes_nothing_but_the_mark),
		cmocka_unit_test(formatted_text_and_dropped_bytes_keep_their_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
