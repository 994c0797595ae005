/* SPDX-License-Identifier: MIT */
/* The contract of one tenant: what is admitted, what is refused, what that costs, and what is told about it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "tenant/tenant.h"

#define S 1000000ull
#define T0 (1000 * S)

struct world {
	struct tenant_table *table;
	struct tenant_rules rules;
	struct tenant *t;
	struct tenant_refusal why;
};

static struct tenant_limits
limits(double rpm, double burst)
{
	return (struct tenant_limits){ .rate_rpm = rpm, .rate_burst = burst, .weight = 1 };
}

static void
start(struct world *w, struct tenant_limits l)
{
	w->rules = (struct tenant_rules){ .defaults = l };
	w->table = tenant_table_create(4, 4, 1);
	assert_int_equal(tenant_table_configure(w->table, &w->rules, T0), 0);
	w->t = tenant_by_name(w->table, SLICE("noisy"), T0);
	assert_non_null(w->t);
}

static void
stop(struct world *w)
{
	tenant_table_destroy(w->table);
}

static bool
admit(struct world *w, double tokens, uint64_t now_us, struct tenant_ticket *ticket)
{
	*ticket = (struct tenant_ticket){ 0 };
	return tenant_admit(w->t, tokens, now_us, ticket, &w->why);
}

/* Admits @n times in the same instant, settling each at once; returns how many passed. */
static unsigned
burst(struct world *w, unsigned n, uint64_t now_us)
{
	struct tenant_ticket ticket;
	unsigned passed = 0;

	for (unsigned i = 0; i < n; i++)
		if (admit(w, 0, now_us, &ticket)) {
			passed++;
			tenant_settle(&ticket, 0, now_us);
		}
	return passed;
}

static void
the_eleventh_of_a_burst_of_ten_is_refused(void **state)
{
	struct world w;

	(void)state;
	start(&w, limits(600, 10));
	assert_int_equal(burst(&w, 10, T0), 10);
	assert_int_equal(burst(&w, 1, T0), 0);
	assert_int_equal(w.why.limit, TENANT_LIMIT_RATE);
	assert_int_equal(w.why.action, TENANT_REJECT);
	assert_int_equal(w.why.retry_us, S / 10);
	assert_int_equal(burst(&w, 2, T0 + S / 10), 1);
	stop(&w);
}

/* With no burst given, the capacity is one minute's worth; a flooder passes with all of it, at once. */
static void
a_capacity_of_a_minute_lets_a_minute_pass_at_once(void **state)
{
	struct world w;

	(void)state;
	start(&w, limits(600, 600));
	assert_int_equal(burst(&w, 1000, T0), 600);
	assert_int_equal(burst(&w, 1000, T0 + 60 * S), 600);
	stop(&w);
}

static void
a_flooder_is_throttled_in_the_first_instant(void **state)
{
	struct world w;
	unsigned passed = 0;

	(void)state;
	start(&w, limits(60, 5));
	for (unsigned i = 0; i < 320; i++) /* 32 a second for ten seconds */
		passed += burst(&w, 1, T0 + i * S / 32);
	assert_in_range(passed, 14, 15); /* its burst and one each second */
	stop(&w);
}

static void
no_rate_no_refusal(void **state)
{
	struct world w;

	(void)state;
	start(&w, limits(0, 0));
	assert_int_equal(burst(&w, 100000, T0), 100000);
	stop(&w);
}

static void
a_refusal_for_concurrency_keeps_the_token(void **state)
{
	struct tenant_limits l = limits(600, 2);
	struct tenant_ticket first, second;
	struct world w;

	(void)state;
	l.max_concurrent = 1;
	l.concurrency_action = TENANT_QUEUE;
	start(&w, l);
	assert_true(admit(&w, 0, T0, &first));
	for (unsigned i = 0; i < 5; i++)
		assert_false(admit(&w, 0, T0, &second));
	assert_null(second.tenant);
	assert_int_equal(w.why.limit, TENANT_LIMIT_CONCURRENCY);
	assert_int_equal(w.why.action, TENANT_QUEUE);
	assert_true(w.why.retry_us > 0);
	tenant_settle(&first, 0, T0);
	assert_true(admit(&w, 0, T0, &second)); /* the second token is still there */
	tenant_settle(&second, 0, T0);
	stop(&w);
}

/* The rate is looked at first, as in the original: its refusal is what a client of both hears. */
static void
over_rate_and_concurrency_the_rate_is_named(void **state)
{
	struct tenant_limits l = limits(600, 1);
	struct tenant_ticket first, second;
	struct world w;

	(void)state;
	l.max_concurrent = 1;
	l.rate_action = TENANT_QUEUE;
	start(&w, l);
	assert_true(admit(&w, 0, T0, &first));
	assert_false(admit(&w, 0, T0, &second));
	assert_int_equal(w.why.limit, TENANT_LIMIT_RATE);
	assert_int_equal(w.why.action, TENANT_QUEUE);
	tenant_settle(&first, 0, T0);
	stop(&w);
}

static void
a_seat_comes_back_exactly_once(void **state)
{
	struct tenant_limits l = limits(0, 0);
	struct tenant_ticket a, b, c;
	struct world w;

	(void)state;
	l.max_concurrent = 2;
	start(&w, l);
	assert_true(admit(&w, 0, T0, &a));
	assert_true(admit(&w, 0, T0, &b));
	assert_int_equal(w.t->active, 2);
	tenant_settle(&a, 0, T0);
	tenant_settle(&a, 0, T0);
	assert_int_equal(w.t->active, 1);
	assert_true(admit(&w, 0, T0, &c));
	assert_false(admit(&w, 0, T0, &a));
	tenant_settle(&b, 0, T0);
	tenant_settle(&c, 0, T0);
	assert_int_equal(w.t->active, 0);
	stop(&w);
}

static struct tenant_limits
token_limits(double tokens_rpm, double tokens_burst)
{
	struct tenant_limits l = limits(600, 100);

	l.tokens_rpm = tokens_rpm;
	l.tokens_burst = tokens_burst;
	return l;
}

static double
requests_left(struct world *w, uint64_t now_us)
{
	struct tenant_headroom requests, tokens;

	tenant_headroom(w->t, now_us, &requests, &tokens);
	return requests.remaining;
}

static double
tokens_left(struct world *w, uint64_t now_us)
{
	struct tenant_headroom requests, tokens;

	tenant_headroom(w->t, now_us, &requests, &tokens);
	return tokens.remaining;
}

static void
a_refusal_for_tokens_spends_nothing(void **state)
{
	struct tenant_ticket a, b;
	struct world w;

	(void)state;
	start(&w, token_limits(600, 1000));
	assert_true(admit(&w, 900, T0, &a));
	assert_false(admit(&w, 200, T0, &b));
	assert_int_equal(w.why.limit, TENANT_LIMIT_TOKENS);
	assert_int_equal(w.why.retry_us, 10 * S); /* 100 missing, 10 a second */
	assert_true(requests_left(&w, T0) == 99 && tokens_left(&w, T0) == 100);
	assert_int_equal(w.t->active, 1);
	assert_true(admit(&w, 100, T0, &b));
	tenant_settle(&a, 900, T0);
	tenant_settle(&b, 100, T0);
	stop(&w);
}

static void
what_was_reserved_too_much_comes_back(void **state)
{
	struct tenant_ticket a;
	struct world w;

	(void)state;
	start(&w, token_limits(600, 1000));
	assert_true(admit(&w, 900, T0, &a));
	tenant_settle(&a, 150, T0);
	assert_true(tokens_left(&w, T0) == 850);
	tenant_settle(&a, 0, T0); /* a second settlement gives nothing back */
	assert_true(tokens_left(&w, T0) == 850);
	stop(&w);
}

static void
what_was_used_beyond_the_reservation_overdraws(void **state)
{
	struct tenant_ticket a, b;
	struct world w;

	(void)state;
	start(&w, token_limits(600, 1000));
	assert_true(admit(&w, 100, T0, &a));
	tenant_settle(&a, 1200, T0);
	assert_true(tokens_left(&w, T0) == 0); /* shown as none, not as less than none */
	assert_false(admit(&w, 1, T0 + 20 * S, &b));
	assert_true(admit(&w, 1, T0 + 20 * S + S / 10, &b)); /* 200 of debt and one, at 10 a second */
	tenant_settle(&b, 1, T0 + 21 * S);
	stop(&w);
}

/* Else it could never pass, however long it waits. */
static void
a_request_larger_than_the_bucket_passes_when_the_bucket_is_full(void **state)
{
	struct tenant_ticket a, b;
	struct world w;

	(void)state;
	start(&w, token_limits(600, 1000));
	assert_true(admit(&w, 1, T0, &a));
	assert_false(admit(&w, 5000, T0, &b));
	assert_int_equal(w.why.retry_us, S / 10);
	assert_true(admit(&w, 5000, T0 + S / 10, &b));
	assert_int_equal(token_bucket_wait_us(&w.t->tokens, 0, T0 + S / 10), 400 * S);
	tenant_settle(&a, 1, T0 + S);
	tenant_settle(&b, 5000, T0 + S);
	stop(&w);
}

static void
headroom_names_the_limit_the_rest_and_when_it_is_full(void **state)
{
	struct tenant_headroom requests, tokens;
	struct world w;

	(void)state;
	start(&w, limits(600, 10));
	assert_int_equal(burst(&w, 4, T0), 4);
	tenant_headroom(w.t, T0 + S / 20, &requests, &tokens);
	assert_true(requests.limit == 600);
	assert_true(requests.remaining == 6); /* six and a half */
	assert_in_range(requests.reset_us, 350000, 350001);
	assert_true(tokens.limit == 0 && tokens.remaining == 0 && tokens.reset_us == 0);
	stop(&w);
}

static void
durations_read_as_openai_writes_them(void **state)
{
	static const struct {
		uint64_t us;
		const char *text;
	} cases[] = {
		{ 0, "0ms" },
		{ 12000, "12ms" },
		{ 11001, "12ms" },
		{ 1000000, "1s" },
		{ 999999, "1s" },
		{ 1500000, "1.5s" },
		{ 1050000, "1.05s" },
		{ 1234000, "1.234s" },
		{ 59999500, "1m0s" },
		{ 360000000, "6m0s" },
		{ 61500000, "1m2s" }, /* never earlier than it is true */
		{ 3599000001, "1h0m0s" },
		{ 3661000000, "1h1m1s" },
		{ 90061000000, "25h1m1s" },
	};
	char text[TENANT_DURATION_LEN];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		tenant_duration(cases[i].us, text);
		assert_string_equal(text, cases[i].text);
	}
	tenant_duration(UINT64_MAX, text);
	assert_true(strlen(text) < sizeof(text));
}

static void
a_name_is_printable_ascii_of_bounded_length(void **state)
{
	char longest[TENANT_ID_MAX + 1];

	(void)state;
	memset(longest, 'x', sizeof(longest));
	assert_true(tenant_id_valid(SLICE("team-a/user@example.com")));
	assert_true(tenant_id_valid((struct slice){ longest, TENANT_ID_MAX }));
	assert_false(tenant_id_valid((struct slice){ longest, TENANT_ID_MAX + 1 }));
	assert_false(tenant_id_valid(SLICE("")));
	assert_false(tenant_id_valid(SLICE("a b")));
	assert_false(tenant_id_valid(SLICE("a\tb")));
	assert_false(tenant_id_valid(SLICE("a\0b")));
	assert_false(tenant_id_valid(SLICE("\x7f")));
	assert_false(tenant_id_valid(SLICE("\xc3\xa9")));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_eleventh_of_a_burst_of_ten_is_refused),
		cmocka_unit_test(a_capacity_of_a_minute_lets_a_minute_pass_at_once),
		cmocka_unit_test(a_flooder_is_throttled_in_the_first_instant),
		cmocka_unit_test(no_rate_no_refusal),
		cmocka_unit_test(a_refusal_for_concurrency_keeps_the_token),
		cmocka_unit_test(over_rate_and_concurrency_the_rate_is_named),
		cmocka_unit_test(a_seat_comes_back_exactly_once),
		cmocka_unit_test(a_refusal_for_tokens_spends_nothing),
		cmocka_unit_test(what_was_reserved_too_much_comes_back),
		cmocka_unit_test(what_was_used_beyond_the_reservation_overdraws),
		cmocka_unit_test(a_request_larger_than_the_bucket_passes_when_the_bucket_is_full),
		cmocka_unit_test(headroom_names_the_limit_the_rest_and_when_it_is_full),
		cmocka_unit_test(durations_read_as_openai_writes_them),
		cmocka_unit_test(a_name_is_printable_ascii_of_bounded_length),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
