/* SPDX-License-Identifier: MIT */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "bench/stats.h"

static struct stats_samples s;

static void
assert_quantile(double q, double want)
{
	assert_true(fabs(stats_quantile(&s, q) - want) < 1e-9);
}

static int
setup(void **state)
{
	(void)state;
	stats_init(&s, 1000);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	stats_finish(&s);
	return 0;
}

static void
a_quantile_lies_between_two_samples_by_linear_interpolation(void **state)
{
	static const double v[] = { 40, 10, 30, 20 };

	(void)state;
	for (size_t i = 0; i < 4; i++)
		stats_add(&s, v[i]);
	assert_quantile(0, 10);
	assert_quantile(0.5, 25);
	assert_quantile(0.9, 37);
	assert_quantile(1, 40);
}

static void
samples_may_come_after_a_quantile_was_asked_for(void **state)
{
	(void)state;
	stats_add(&s, 5);
	assert_quantile(0.5, 5);
	stats_add(&s, 1);
	assert_quantile(0.5, 3);
}

/* Nine of ten answered: the median is known, and whatever touches the tenth is not. */
static void
a_request_that_never_ended_is_the_worst_one(void **state)
{
	(void)state;
	stats_add(&s, INFINITY);
	for (int i = 1; i <= 9; i++)
		stats_add(&s, i);
	assert_quantile(0.5, 5.5);
	assert_true(isinf(stats_quantile(&s, 0.9)));
	assert_true(isinf(stats_quantile(&s, 1)));
	assert_quantile(8.0 / 9, 9);
}

static void
no_samples_have_no_quantile(void **state)
{
	(void)state;
	assert_true(isnan(stats_quantile(&s, 0.5)));
}

static void
samples_beyond_the_bound_are_counted_and_not_kept(void **state)
{
	(void)state;
	for (int i = 0; i < 1003; i++)
		stats_add(&s, i);
	assert_int_equal(s.n, 1000);
	assert_int_equal(s.lost, 3);
	assert_quantile(1, 999);
}

static void
a_ratio_to_nothing_is_unknown_and_of_the_worst_is_infinite(void **state)
{
	(void)state;
	assert_true(stats_ratio(6, 3) == 2);
	assert_true(isinf(stats_ratio(INFINITY, 3)));
	assert_true(isnan(stats_ratio(6, 0)));
	assert_true(isnan(stats_ratio(6, INFINITY)));
	assert_true(isnan(stats_ratio(NAN, 3)));
	assert_true(isnan(stats_ratio(6, NAN)));
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_quantile_lies_between_two_samples_by_linear_interpolation),
		T(samples_may_come_after_a_quantile_was_asked_for),
		T(a_request_that_never_ended_is_the_worst_one),
		T(no_samples_have_no_quantile),
		T(samples_beyond_the_bound_are_counted_and_not_kept),
		T(a_ratio_to_nothing_is_unknown_and_of_the_worst_is_infinite),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
