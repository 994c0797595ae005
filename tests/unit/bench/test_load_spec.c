/* SPDX-License-Identifier: MIT */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/str.h"
#include "bench/arrival.h"
#include "bench/load_spec.h"

#define DRAWS 100000

static struct load_tenant_spec t;

static int
parse(const char *text)
{
	struct diag d = { 0 };
	int err = load_tenant_parse(&t, slice_of(text), &d);

	assert_true((err != 0) == (d.what[0] != '\0'));
	return err;
}

static void
poisson_gaps_have_the_mean_and_the_spread_of_an_exponential(void **state)
{
	double sum = 0, squares = 0, mean;
	struct rng rng;

	(void)state;
	rng_init(&rng, 7);
	for (int i = 0; i < DRAWS; i++) {
		double gap = arrival_gap_us(LOAD_POISSON, 5, &rng);

		sum += gap;
		squares += gap * gap;
	}
	mean = sum / DRAWS;
	assert_true(fabs(mean - 200000) < 3000);
	assert_true(fabs(sqrt(squares / DRAWS - mean * mean) / mean - 1) < 0.02);
}

static void
constant_gaps_are_all_the_same(void **state)
{
	struct rng rng;

	(void)state;
	rng_init(&rng, 7);
	for (int i = 0; i < 10; i++)
		assert_true(arrival_gap_us(LOAD_CONSTANT, 4, &rng) == 250000);
}

static void
lengths_are_around_their_median_and_within_their_bounds(void **state)
{
	struct load_length constant = { 64, 0 }, spread = { 64, 3 };
	unsigned below = 0, low = 0;
	struct rng rng;

	(void)state;
	rng_init(&rng, 7);
	for (int i = 0; i < DRAWS; i++) {
		unsigned tok = load_length_draw(&spread, &rng);

		assert_in_range(tok, 1, LOAD_LENGTH_MAX_TOK);
		below += tok < 64;
		low += tok < 4; /* 64 e^-2.77: 0.92 sigma below */
	}
	assert_true(fabs((double)below / DRAWS - 0.5) < 0.02);
	assert_true(low > DRAWS / 10 && low < DRAWS / 4);
	assert_int_equal(load_length_draw(&constant, &rng), 64);
}

static void
a_tenant_is_read_from_one_word(void **state)
{
	(void)state;
	assert_int_equal(parse("flooder:rate=90.5,in=100,out=32~0.5,outstanding=256,key=sk-1"), 0);
	assert_string_equal(t.name, "flooder");
	assert_true(t.arrival == LOAD_POISSON && t.rate_rps == 90.5);
	assert_true(t.in.median_tok == 100 && t.in.sigma == 0);
	assert_true(t.out.median_tok == 32 && t.out.sigma == 0.5);
	assert_int_equal(t.outstanding, 256);
	assert_string_equal(t.key, "sk-1");
	assert_string_equal(t.header, "x-tenant-id");
}

static void
what_is_written_is_read_back_the_same(void **state)
{
	static const char *const texts[] = {
		"quiet:rate=0.3333333333333333",
		"p:arrival=closed,outstanding=64,out=32~0.7,header=x-who,key=k",
		"c:arrival=constant,rate=12,in=1",
	};

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		struct load_tenant_spec before;
		struct buf out;

		assert_int_equal(parse(texts[i]), 0);
		before = t;
		buf_init(&out, 4096);
		load_tenant_format(&t, &out);
		assert_int_equal(parse(buf_cstr(&out)), 0);
		assert_memory_equal(&before, &t, sizeof(t));
		buf_finish(&out);
	}
}

static void
what_makes_no_sense_is_refused_with_a_word(void **state)
{
	static const char *const texts[] = {
		"",
		":rate=1",
		"a",
		"a:rate=0",
		"a:rate=-1",
		"a:rate=nan",
		"a:rate=1,in=0",
		"a:rate=1,out=x",
		"a:speed=1",
		"a:rate",
		"a:rate=1,in=8~",
		"a:rate=1,outstanding=0",
		"a b:rate=1",
		"a:rate=1,key",
		"a:arrival=closed",
		"a:arrival=sometimes,rate=1",
		"a:rate=1,header=x\r\ny: z",
		"a:rate=1,in=999999999",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++)
		assert_int_not_equal(parse(texts[i]), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(poisson_gaps_have_the_mean_and_the_spread_of_an_exponential),
		cmocka_unit_test(constant_gaps_are_all_the_same),
		cmocka_unit_test(lengths_are_around_their_median_and_within_their_bounds),
		cmocka_unit_test(a_tenant_is_read_from_one_word),
		cmocka_unit_test(what_is_written_is_read_back_the_same),
		cmocka_unit_test(what_makes_no_sense_is_refused_with_a_word),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
