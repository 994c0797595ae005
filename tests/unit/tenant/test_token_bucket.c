/* SPDX-License-Identifier: MIT */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tenant/token_bucket.h"

#define S 1000000u
#define START (5u * S)

static void
assert_level(struct token_bucket *b, uint64_t now_us, double want)
{
	assert_true(fabs(token_bucket_level(b, now_us) - want) < 1e-6);
}

static void
it_starts_full(void **state)
{
	struct token_bucket b;

	(void)state;
	token_bucket_init(&b, 10, 600, START);
	assert_level(&b, START, 600);
}

/* The original: tokens = min(capacity, tokens + elapsed * rate), whatever the capacity is. */
static void
it_refills_at_its_rate_whatever_its_capacity(void **state)
{
	struct token_bucket small, large;

	(void)state;
	token_bucket_init(&small, 10, 10, START);
	token_bucket_init(&large, 10, 600, START);
	token_bucket_take(&small, 10, START);
	token_bucket_take(&large, 600, START);
	assert_level(&small, START + S / 2, 5);
	assert_level(&large, START + S / 2, 5);
}

static void
refill_ends_at_the_capacity(void **state)
{
	struct token_bucket b;

	(void)state;
	token_bucket_init(&b, 10, 10, START);
	token_bucket_take(&b, 3, START);
	assert_level(&b, START + 3600ull * S, 10);
}

static void
time_that_runs_backwards_is_no_time(void **state)
{
	struct token_bucket b;

	(void)state;
	token_bucket_init(&b, 10, 10, START);
	token_bucket_take(&b, 10, START);
	assert_level(&b, START - S, 0);
	assert_level(&b, START + S / 10, 1);
	assert_level(&b, START, 1);
	assert_level(&b, START + 2 * S / 10, 2); /* and the time before is not counted again */
}

static void
a_settlement_may_overdraw_and_is_filled_from_below_zero(void **state)
{
	struct token_bucket b;

	(void)state;
	token_bucket_init(&b, 10, 100, START);
	token_bucket_take(&b, 130, START);
	assert_level(&b, START, -30);
	assert_int_equal(token_bucket_wait_us(&b, 0, START), 3 * S);
	assert_level(&b, START + 4 * S, 10);
}

static void
what_is_given_back_never_passes_the_capacity(void **state)
{
	struct token_bucket b;

	(void)state;
	token_bucket_init(&b, 10, 100, START);
	token_bucket_take(&b, 20, START);
	token_bucket_take(&b, -15, START);
	assert_level(&b, START, 95);
	token_bucket_take(&b, -15, START);
	assert_level(&b, START, 100);
}

static void
a_rate_of_zero_is_no_limit(void **state)
{
	struct token_bucket b;

	(void)state;
	token_bucket_init(&b, 0, 0, START);
	assert_true(token_bucket_unlimited(&b));
	token_bucket_take(&b, 1e9, START);
	assert_int_equal(token_bucket_wait_us(&b, 1e9, START), 0);
}

/* A need above the capacity can only wait for a full bucket. */
static void
the_wait_is_for_what_is_missing_at_most_for_a_full_bucket(void **state)
{
	struct token_bucket b;

	(void)state;
	token_bucket_init(&b, 2, 10, START);
	assert_int_equal(token_bucket_wait_us(&b, 10, START), 0);
	token_bucket_take(&b, 10, START);
	assert_int_equal(token_bucket_wait_us(&b, 1, START), S / 2);
	assert_int_equal(token_bucket_wait_us(&b, 10, START), 5 * S);
	assert_int_equal(token_bucket_wait_us(&b, 1000, START), 5 * S);
	assert_int_equal(token_bucket_wait_us(&b, 1, START + S / 4), S / 4);
}

/* Who comes back when he was told to must not be turned away for a rounding error. */
static void
after_the_wait_the_need_is_there(void **state)
{
	(void)state;
	for (unsigned rpm = 1; rpm < 3000; rpm++)
		for (unsigned late = 0; late < 3; late++) {
			struct token_bucket b;
			uint64_t now = 1764106000123457ull + late * 333333, wait;

			token_bucket_init(&b, rpm / 60.0, rpm, now - 7777);
			token_bucket_take(&b, rpm + late * 0.1, now);
			wait = token_bucket_wait_us(&b, 1, now);
			assert_true(wait > 0);
			assert_false(token_bucket_has(&b, 1, now));
			if (wait > 1000)
				assert_false(token_bucket_has(&b, 1, now + wait - 1000));
			for (unsigned i = 1; i <= 10; i++) /* looked at in between, too */
				token_bucket_level(&b, now + wait * i / 11);
			assert_true(token_bucket_has(&b, 1, now + wait));
			assert_int_equal(token_bucket_wait_us(&b, 1, now + wait), 0);
		}
}

/* A rate next to nothing: the wait is long, not wrapped around. */
static void
an_endless_wait_stays_a_long_wait(void **state)
{
	struct token_bucket b;

	(void)state;
	token_bucket_init(&b, 1e-15, 1e9, START);
	token_bucket_take(&b, 1e9, START);
	assert_true(token_bucket_wait_us(&b, 1e9, START) > 1000000ull * S);
	assert_true(token_bucket_wait_us(&b, 1e9, START) < UINT64_MAX / 2);
}

static void
a_change_keeps_what_is_in_it(void **state)
{
	struct token_bucket b;

	(void)state;
	token_bucket_init(&b, 1, 10, START);
	token_bucket_take(&b, 6, START);
	token_bucket_change(&b, 10, 100, START + S); /* one second at the old rate */
	assert_level(&b, START + S, 5);
	assert_level(&b, START + 2 * S, 15);
	token_bucket_change(&b, 10, 8, START + 2 * S); /* cut to what it holds now */
	assert_level(&b, START + 2 * S, 8);
	token_bucket_take(&b, 10, START + 2 * S);
	token_bucket_change(&b, 20, 50, START + 2 * S); /* debts stay too */
	assert_level(&b, START + 2 * S, -2);
}

static void
a_limit_that_is_new_starts_full(void **state)
{
	struct token_bucket b;

	(void)state;
	token_bucket_init(&b, 0, 0, START);
	token_bucket_change(&b, 1, 10, START + S);
	assert_level(&b, START + S, 10);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_starts_full),
		cmocka_unit_test(it_refills_at_its_rate_whatever_its_capacity),
		cmocka_unit_test(refill_ends_at_the_capacity),
		cmocka_unit_test(time_that_runs_backwards_is_no_time),
		cmocka_unit_test(a_settlement_may_overdraw_and_is_filled_from_below_zero),
		cmocka_unit_test(what_is_given_back_never_passes_the_capacity),
		cmocka_unit_test(a_rate_of_zero_is_no_limit),
		cmocka_unit_test(the_wait_is_for_what_is_missing_at_most_for_a_full_bucket),
		cmocka_unit_test(after_the_wait_the_need_is_there),
		cmocka_unit_test(an_endless_wait_stays_a_long_wait),
		cmocka_unit_test(a_change_keeps_what_is_in_it),
		cmocka_unit_test(a_limit_that_is_new_starts_full),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
