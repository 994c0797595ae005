/* SPDX-License-Identifier: MIT */
/* Windows, bounds of the queues, waits that are foretold, and how permits come back. */
#include "world.h"

/* windows ------------------------------------------------------------------------------------------------------- */

static unsigned
grants(void)
{
	unsigned n = 0;

	while (grant())
		n++;
	return n;
}

static void
an_engine_gets_as_many_as_its_window_holds(void **state)
{
	(void)state;
	world_start(ADMISSION_WINDOW, 3);
	arrive_many(&w.noisy, 10, 1);
	assert_int_equal(grants(), 3);
	assert_int_equal(engine_stats(0).window, 3);
	assert_int_equal(engine_stats(0).granted, 3);
	assert_int_equal(engine_stats(0).queued, 7);
	assert_int_equal(admission_granted(w.a), 3);
	assert_int_equal(admission_queued(w.a), 7);
	admission_set_window(w.a, 0, 5);
	assert_int_equal(grants(), 2);
	admission_set_window(w.a, 0, 1); /* what is inside stays */
	assert_int_equal(grants(), 0);
	world_stop();
}

static void
with_no_window_set_the_policy_says(void **state)
{
	(void)state;
	world_start(ADMISSION_WINDOW, 0);
	arrive_many(&w.noisy, 500, 1);
	assert_int_equal(grants(), ADMISSION_WINDOW_DEFAULT);
	world_stop();
	for (unsigned p = 0; p < ADMISSION_WINDOW; p++) {
		world_start(p, 0);
		arrive_many(&w.noisy, 500, 1);
		assert_int_equal(grants(), 500);
		assert_int_equal(engine_stats(0).window, 0);
		world_stop();
	}
}

static void
an_engine_that_is_not_ready_gets_nothing_and_keeps_what_it_has(void **state)
{
	struct admission_request *r;

	(void)state;
	world_start(ADMISSION_WINDOW, 2);
	r = arrive(&w.noisy, 1, -1);
	assert_ptr_equal(grant(), r);
	admission_engine_ready(w.a, 0, false);
	arrive(&w.quiet, 1, -1);
	assert_null(grant());
	assert_int_equal(engine_stats(0).granted, 1);
	admission_finish(w.a, r, -1, w.now);
	assert_null(grant());
	admission_engine_ready(w.a, 0, true);
	assert_ptr_equal(grant()->flow, &w.quiet);
	world_stop();
}

static void
one_bound_holds_over_all_engines_and_each_has_its_turn(void **state)
{
	struct admission_flow other;
	struct admission_request *r[4];
	unsigned of_other = 0;

	(void)state;
	world_start(ADMISSION_WINDOW, 64);
	w.p.max_concurrent = 4;
	admission_configure(w.a, &w.p, w.now);
	admission_set_window(w.a, 1, 64);
	admission_engine_ready(w.a, 1, true);
	world_flow(&other, 1, 1, NULL);
	arrive_many(&w.noisy, 50, 1);
	arrive_many(&other, 50, 1);
	for (unsigned i = 0; i < 4; i++) {
		r[i] = grant();
		assert_non_null(r[i]);
		of_other += r[i]->flow == &other;
	}
	assert_null(grant());
	assert_int_equal(of_other, 2);
	admission_finish(w.a, r[0], -1, w.now);
	assert_int_equal(grants(), 1);
	world_stop();
}

/* permits -------------------------------------------------------------------------------------------------------- */

#define LAG (100 * MS + 7)

/* The permit of an aborted request is the engine's until it has surely given the request up: never sooner, and not
 * much later. */
static void
an_aborted_permit_comes_back_after_the_lag(void **state)
{
	(void)state;
	for (unsigned early = 0; early < 100; early++) {
		struct admission_request *r;
		uint64_t at = T0 + early * 997, waited = 0;

		world_start(ADMISSION_WINDOW, 1);
		w.p.abort_lag_us = LAG;
		admission_configure(w.a, &w.p, w.now);
		w.now = at;
		r = arrive(&w.noisy, 1, -1);
		arrive(&w.quiet, 1, -1);
		assert_ptr_equal(grant(), r);
		admission_abort(w.a, r, -1, w.now);
		admission_abort(w.a, r, -1, w.now);
		assert_int_equal(engine_stats(0).draining, 1);
		assert_int_equal(engine_stats(0).granted, 0);
		assert_int_equal(engine_stats(0).aborted, 1);
		while (!grant()) {
			uint64_t next = admission_next_deadline(w.a);

			assert_true(next > w.now && next < at + 2 * LAG); /* and it says when to look */
			w.now = next - 1;
			admission_tick(w.a, w.now);
			assert_null(grant());
			w.now = next;
			admission_tick(w.a, w.now);
			waited = w.now - at;
		}
		assert_in_range(waited, LAG, LAG + LAG / 8);
		assert_int_equal(engine_stats(0).draining, 0);
		world_stop();
	}
}

static void
with_no_lag_the_permit_is_back_at_once(void **state)
{
	struct admission_request *r;

	(void)state;
	world_start(ADMISSION_WINDOW, 1);
	r = arrive(&w.noisy, 1, -1);
	arrive(&w.quiet, 1, -1);
	assert_ptr_equal(grant(), r);
	admission_abort(w.a, r, -1, w.now);
	assert_ptr_equal(grant()->flow, &w.quiet);
	world_stop();
}

/* Once a longer lag made the old slots lie far in the future, and the permits never came back. */
static void
permits_come_back_after_the_lag_was_changed(void **state)
{
	static const uint64_t lags[][2] = { { 0, LAG }, { LAG, 10 * LAG }, { 10 * LAG, LAG }, { LAG, 0 } };

	(void)state;
	for (unsigned i = 0; i < 4; i++) {
		struct admission_request *r[2];

		world_start(ADMISSION_WINDOW, 2);
		w.p.abort_lag_us = lags[i][0];
		admission_configure(w.a, &w.p, w.now);
		admission_tick(w.a, w.now);
		arrive_many(&w.noisy, 4, 1);
		r[0] = grant();
		r[1] = grant();
		admission_abort(w.a, r[0], -1, w.now);
		w.p.abort_lag_us = lags[i][1];
		admission_configure(w.a, &w.p, w.now);
		admission_abort(w.a, r[1], -1, w.now);
		w.now += 20 * LAG;
		admission_tick(w.a, w.now);
		assert_int_equal(engine_stats(0).draining, 0);
		assert_int_equal(grants(), 2);
		world_stop();
	}
}

static void
a_draining_permit_counts_under_the_bound_of_all_engines(void **state)
{
	struct admission_request *r;

	(void)state;
	world_start(ADMISSION_FIFO, 0);
	w.p.abort_lag_us = LAG;
	w.p.max_concurrent = 1;
	admission_configure(w.a, &w.p, w.now);
	r = arrive(&w.noisy, 1, -1);
	arrive(&w.noisy, 1, -1);
	assert_ptr_equal(grant(), r);
	admission_abort(w.a, r, -1, w.now);
	assert_null(grant());
	w.now += 2 * LAG;
	admission_tick(w.a, w.now);
	assert_non_null(grant());
	world_stop();
}

/* bounds of the queues ------------------------------------------------------------------------------------------- */

static void
a_tenants_queue_has_a_bound_of_requests(void **state)
{
	struct admission_request *r;
	uint64_t wait_us = 0;

	(void)state;
	world_start(ADMISSION_WINDOW, 1);
	w.noisy.max_requests = 2;
	arrive(&w.noisy, 1, -1);
	assert_non_null(grant());
	arrive_many(&w.noisy, 2, 1);
	assert_int_equal(world_try(&w.noisy, 1, -1, &r, &wait_us), ADMISSION_QUEUE_REQUESTS);
	assert_int_equal(r->state, ADMISSION_DONE);
	assert_true(wait_us > 0);
	assert_int_equal(engine_stats(0).rejected, 1);
	assert_int_equal(w.noisy.queued, 2);
	arrive(&w.quiet, 1, -1); /* the others' queues are their own */
	world_stop();
}

/* queue_size 0 of the original: nobody waits, but who can go at once goes. */
static void
a_queue_of_none_still_lets_through_what_can_go_at_once(void **state)
{
	struct admission_request *r;
	uint64_t wait_us;

	(void)state;
	world_start(ADMISSION_WINDOW, 1);
	w.noisy.max_requests = 0;
	arrive(&w.noisy, 1, -1);
	r = grant();
	assert_non_null(r);
	assert_int_equal(world_try(&w.noisy, 1, -1, &r, &wait_us), ADMISSION_QUEUE_REQUESTS);
	world_stop();
}

static void
a_tenants_queue_has_a_bound_of_bytes(void **state)
{
	struct admission_request *r;
	uint64_t wait_us;

	(void)state;
	world_start(ADMISSION_WINDOW, 1);
	w.noisy.max_bytes = 250; /* of 100 each */
	arrive(&w.noisy, 1, -1);
	assert_non_null(grant());
	arrive_many(&w.noisy, 2, 1);
	assert_int_equal(w.noisy.queued_bytes, 200);
	assert_int_equal(world_try(&w.noisy, 1, -1, &r, &wait_us), ADMISSION_QUEUE_BYTES);
	w.noisy.max_bytes = 300;
	arrive(&w.noisy, 1, -1);
	w.quiet.max_bytes = 50; /* a large one may wait where none else does */
	arrive(&w.quiet, 1, -1);
	world_stop();
}

static void
a_request_waits_as_long_as_it_may(void **state)
{
	struct admission_request *first, *second;

	(void)state;
	world_start(ADMISSION_WINDOW, 1);
	arrive(&w.third, 1, -1);
	assert_non_null(grant());
	w.noisy.max_age_us = 2 * S;
	w.quiet.max_age_us = 1 * S;
	first = arrive(&w.noisy, 1, -1);
	second = arrive(&w.quiet, 1, -1);
	assert_int_equal(admission_next_deadline(w.a), T0 + S);
	assert_null(admission_next_expired(w.a, T0 + S - 1));
	assert_ptr_equal(admission_next_expired(w.a, T0 + S), second);
	assert_int_equal(second->state, ADMISSION_DONE);
	assert_null(admission_next_expired(w.a, T0 + S));
	assert_ptr_equal(admission_next_expired(w.a, T0 + 5 * S), first);
	assert_int_equal(engine_stats(0).expired, 2);
	assert_int_equal(admission_queued(w.a), 0);
	assert_true(admission_next_deadline(w.a) == UINT64_MAX);
	world_stop();
}

static void
a_wait_without_end_does_not_wrap_around(void **state)
{
	struct admission_request *r;

	(void)state;
	world_start(ADMISSION_WINDOW, 1);
	w.noisy.max_age_us = UINT64_MAX;
	r = arrive(&w.noisy, 1, -1);
	assert_null(admission_next_expired(w.a, w.now + 1000 * S));
	assert_ptr_equal(grant(), r);
	world_stop();
}

/* timeout 0 of the original. */
static void
an_age_of_none_is_refused_when_it_would_have_to_wait(void **state)
{
	struct admission_request *r;
	uint64_t wait_us;

	(void)state;
	world_start(ADMISSION_WINDOW, 1);
	w.noisy.max_age_us = 0;
	arrive(&w.noisy, 1, -1);
	assert_non_null(grant());
	assert_int_equal(world_try(&w.noisy, 1, -1, &r, &wait_us), ADMISSION_QUEUE_AGE);
	world_stop();
}

static void
all_queues_together_have_a_bound(void **state)
{
	struct admission_request *r;
	uint64_t wait_us;

	(void)state;
	world_start(ADMISSION_WINDOW, 1);
	w.p.queue_requests = 3;
	admission_configure(w.a, &w.p, w.now);
	arrive(&w.noisy, 1, -1);
	assert_non_null(grant());
	arrive_many(&w.noisy, 2, 1);
	arrive(&w.quiet, 1, -1);
	assert_int_equal(world_try(&w.quiet, 1, -1, &r, &wait_us), ADMISSION_QUEUE_GLOBAL);
	assert_string_equal(admission_reason_name(ADMISSION_QUEUE_GLOBAL), "queue_full");
	world_stop();
}

/* What the gate holds back must not make the gateway refuse those who could go at once. */
static void
held_requests_are_in_nobodys_way(void **state)
{
	(void)state;
	world_start(ADMISSION_WINDOW, 4);
	w.p.queue_requests = 2;
	admission_configure(w.a, &w.p, w.now);
	w.shut = &w.noisy;
	w.shut_until_us = w.now + S;
	arrive_many(&w.noisy, 2, 1);
	assert_null(grant());
	w.quiet.max_age_us = 0;
	arrive(&w.quiet, 1, -1);
	assert_ptr_equal(grant()->flow, &w.quiet);
	w.third.max_requests = 0;
	arrive(&w.third, 1, -1);
	assert_ptr_equal(grant()->flow, &w.third);
	world_stop();
}

static void
an_abort_in_the_queue_frees_its_place(void **state)
{
	struct admission_request *r;

	(void)state;
	world_start(ADMISSION_WINDOW, 1);
	w.noisy.max_requests = 1;
	arrive(&w.quiet, 1, -1);
	assert_non_null(grant());
	r = arrive(&w.noisy, 1, -1);
	admission_abort(w.a, r, -1, w.now);
	assert_int_equal(r->state, ADMISSION_DONE);
	assert_int_equal(w.noisy.queued, 0);
	assert_int_equal(w.noisy.queued_bytes, 0);
	assert_int_equal(engine_stats(0).draining, 0); /* it had no permit */
	arrive(&w.noisy, 1, -1);
	world_stop();
}

/* what is foretold ------------------------------------------------------------------------------------------------ */

/* An engine that does one request of @cost each @each_us, for @n of them. */
static void
run_engine(struct admission_flow *f, unsigned n, double cost, uint64_t each_us)
{
	for (unsigned i = 0; i < n; i++) {
		struct admission_request *r;

		w.used = 0;
		r = arrive(f, cost, -1);
		assert_ptr_equal(grant(), r);
		w.now += each_us;
		admission_finish(w.a, r, cost, w.now);
	}
	w.used = 0;
}

static void
assert_wait_near(const struct admission_flow *f, double cost, double seconds)
{
	double got = (double)admission_predict_wait(w.a, f, cost, w.now) / 1e6;

	assert_true(got > seconds * 0.9 && got < seconds * 1.1);
}

static void
the_wait_is_the_work_before_it_over_its_share_of_the_rate(void **state)
{
	struct admission_flow member;
	struct admission_share org;

	(void)state;
	world_start(ADMISSION_WINDOW, 1);
	run_engine(&w.noisy, 100, 100, S / 10);
	assert_true(engine_stats(0).cost_rate > 990 && engine_stats(0).cost_rate < 1010);
	assert_wait_near(&w.quiet, 2000, 2); /* alone */
	arrive_many(&w.noisy, 200, 100);
	assert_wait_near(&w.quiet, 2000, 4);   /* half of the engine, whatever the flood */
	assert_wait_near(&w.noisy, 100, 20.1); /* which waits behind itself */
	admission_flow_update(w.a, &w.quiet, 3, NULL);
	assert_wait_near(&w.quiet, 3000, 4);
	admission_flow_update(w.a, &w.noisy, 9, NULL); /* while it waits */
	assert_wait_near(&w.quiet, 3000, 12);
	admission_flow_update(w.a, &w.noisy, 1, NULL);
	admission_share_init(&org, 1);
	world_flow(&member, 0, 1, &org);
	world_flow(&w.third, 0, 3, &org);
	arrive_many(&w.third, 10, 100);
	assert_wait_near(&member, 1000, 8); /* a quarter of the half */
	world_stop();
}

static void
in_order_of_arrival_everybodys_work_stands_before_it(void **state)
{
	(void)state;
	world_start(ADMISSION_FIFO, 1);
	run_engine(&w.noisy, 100, 100, S / 10);
	arrive_many(&w.noisy, 200, 100);
	assert_wait_near(&w.quiet, 100, 20.1);
	serve();
	assert_wait_near(&w.quiet, 100, 20.0);
	world_stop();
}

/* Nothing to do is no sign of being slow: clients were told to come back in ten minutes. */
static void
idle_hours_do_not_make_an_engine_look_slow(void **state)
{
	(void)state;
	world_start(ADMISSION_WINDOW, 1);
	run_engine(&w.noisy, 100, 100, S / 10);
	w.now += 3600 * S;
	run_engine(&w.noisy, 1, 100, S / 10);
	assert_wait_near(&w.quiet, 1000, 1);
	world_stop();
}

static void
a_wait_is_always_something_a_client_can_use(void **state)
{
	uint64_t wait_us;

	(void)state;
	world_start(ADMISSION_WINDOW, 1);
	wait_us = admission_predict_wait(w.a, &w.quiet, 100, w.now);
	assert_int_equal(wait_us, S); /* nothing is known yet */
	run_engine(&w.noisy, 100, 100, S / 10);
	assert_true(admission_predict_wait(w.a, &w.quiet, 1e-9, w.now) >= 10 * MS);
	assert_true(admission_predict_wait(w.a, &w.quiet, 1e18, w.now) <= 3600 * S);
	world_stop();
}

static void
costs_count_the_prompt_and_twice_the_answer_up_to_a_cap(void **state)
{
	(void)state;
	assert_true(admission_cost(400, 10) == 120);
	assert_true(admission_cost(400, -1) == 100 + 2 * ADMISSION_OUTPUT_TOK_ASSUMED);
	assert_true(admission_cost(400, 1000000) == admission_cost(400, ADMISSION_OUTPUT_TOK_ASSUMED));
	assert_true(admission_cost(0, 0) == 1);
	assert_true(admission_cost_used(100, 10) == 120);
	assert_true(admission_cost_used(0, 0) == 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_engine_gets_as_many_as_its_window_holds),
		cmocka_unit_test(with_no_window_set_the_policy_says),
		cmocka_unit_test(an_engine_that_is_not_ready_gets_nothing_and_keeps_what_it_has),
		cmocka_unit_test(one_bound_holds_over_all_engines_and_each_has_its_turn),
		cmocka_unit_test(an_aborted_permit_comes_back_after_the_lag),
		cmocka_unit_test(with_no_lag_the_permit_is_back_at_once),
		cmocka_unit_test(permits_come_back_after_the_lag_was_changed),
		cmocka_unit_test(a_draining_permit_counts_under_the_bound_of_all_engines),
		cmocka_unit_test(a_tenants_queue_has_a_bound_of_requests),
		cmocka_unit_test(a_queue_of_none_still_lets_through_what_can_go_at_once),
		cmocka_unit_test(a_tenants_queue_has_a_bound_of_bytes),
		cmocka_unit_test(a_request_waits_as_long_as_it_may),
		cmocka_unit_test(a_wait_without_end_does_not_wrap_around),
		cmocka_unit_test(an_age_of_none_is_refused_when_it_would_have_to_wait),
		cmocka_unit_test(all_queues_together_have_a_bound),
		cmocka_unit_test(held_requests_are_in_nobodys_way),
		cmocka_unit_test(an_abort_in_the_queue_frees_its_place),
		cmocka_unit_test(the_wait_is_the_work_before_it_over_its_share_of_the_rate),
		cmocka_unit_test(in_order_of_arrival_everybodys_work_stands_before_it),
		cmocka_unit_test(idle_hours_do_not_make_an_engine_look_slow),
		cmocka_unit_test(a_wait_is_always_something_a_client_can_use),
		cmocka_unit_test(costs_count_the_prompt_and_twice_the_answer_up_to_a_cap),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
