/* SPDX-License-Identifier: MIT */
/* rng and digest: chance that repeats, and chance that must not. */
#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/digest.h"
#include "base/rng.h"

static void
the_same_seed_gives_the_same_numbers_and_streams_differ(void **state)
{
	struct rng a, b, c;
	unsigned same = 0;

	(void)state;
	rng_init(&a, 5);
	rng_init(&b, 5);
	for (int i = 0; i < 100; i++)
		assert_true(rng_u64(&a) == rng_u64(&b));
	rng_init_stream(&a, 5, 0);
	rng_init_stream(&b, 5, 1);
	rng_init_stream(&c, 6, 0);
	for (int i = 0; i < 100; i++) {
		uint64_t x = rng_u64(&a);

		same += x == rng_u64(&b);
		same += x == rng_u64(&c);
	}
	assert_int_equal(same, 0);
}

/* Traces are compared byte by byte between machines and releases: this number may not change. */
static void
the_generator_is_xoshiro256_starstar_seeded_by_splitmix64(void **state)
{
	struct rng r = { { 1, 2, 3, 4 } };

	(void)state;
	assert_true(rng_u64(&r) == 11520u);
	assert_true(rng_u64(&r) == 0u);
	assert_true(rng_u64(&r) == 1509978240u);
	rng_init(&r, 1234567);
	assert_true(r.s[0] == 6457827717110365317u);
	assert_true(r.s[1] == 3203168211198807973u);
}

static void
distributions_have_their_means(void **state)
{
	enum {
		N = 200000
	};
	double unit = 0, expo = 0, normal = 0, square = 0;
	unsigned count[7] = { 0 };
	struct rng r;

	(void)state;
	rng_init(&r, 3);
	for (int i = 0; i < N; i++) {
		double u = rng_unit(&r), e = rng_exp(&r, 2.0), z = rng_normal(&r);

		assert_true(u >= 0 && u < 1 && e >= 0);
		unit += u, expo += e, normal += z, square += z * z;
		count[rng_below(&r, 7)]++;
	}
	assert_true(fabs(unit / N - 0.5) < 0.005);
	assert_true(fabs(expo / N - 2.0) < 0.03);
	assert_true(fabs(normal / N) < 0.01);
	assert_true(fabs(square / N - 1.0) < 0.02);
	for (int i = 0; i < 7; i++)
		assert_in_range(count[i], N / 7 - 800, N / 7 + 800);
}

static void
a_key_is_compared_by_its_sha256(void **state)
{
	struct sha256 a, b;

	(void)state;
	digest_sha256("abc", 3, &a);
	assert_int_equal(digest_from_hex(SLICE("ba7816bf8f01cfea414140de5dae2223B00361A396177A9CB410FF61F20015AD"),
					 &b),
			 0);
	assert_true(digest_equal(&a, &b));
	b.b[31] ^= 1;
	assert_false(digest_equal(&a, &b));
	assert_int_equal(digest_from_hex(SLICE("ba78"), &b), -EINVAL);
	assert_int_equal(digest_from_hex(SLICE("ga7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
					 &b),
			 -EINVAL);
}

static void
random_bytes_are_not_the_same_twice(void **state)
{
	unsigned char a[16] = { 0 }, b[16] = { 0 };

	(void)state;
	digest_random(a, sizeof(a));
	digest_random(b, sizeof(b));
	assert_memory_not_equal(a, b, sizeof(a));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_same_seed_gives_the_same_numbers_and_streams_differ),
		cmocka_unit_test(the_generator_is_xoshiro256_starstar_seeded_by_splitmix64),
		cmocka_unit_test(distributions_have_their_means),
		cmocka_unit_test(a_key_is_compared_by_its_sha256),
		cmocka_unit_test(random_bytes_are_not_the_same_twice),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
