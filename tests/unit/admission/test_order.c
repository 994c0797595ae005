/* SPDX-License-Identifier: MIT */
/* Who goes next, under each policy. */
#include <errno.h>
#include <stdlib.h>

#include "world.h"

static void
policies_have_names(void **state)
{
	enum admission_policy p;

	(void)state;
	for (unsigned i = 0; i < ADMISSION_POLICIES; i++) {
		assert_int_equal(admission_policy_parse(admission_policy_name(i), &p), 0);
		assert_int_equal(p, i);
	}
	assert_int_equal(admission_policy_parse("fair", &p), 0);
	assert_int_equal(p, ADMISSION_WINDOW);
	assert_int_equal(admission_policy_parse("lifo", &p), -EINVAL);
	assert_int_equal(admission_policy_parse("", &p), -EINVAL);
}

/* fifo --------------------------------------------------------------------------------------------------------- */

static void
fifo_goes_by_arrival_over_all_tenants(void **state)
{
	struct admission_request *first, *second, *third;

	(void)state;
	world_start(ADMISSION_FIFO, 1);
	first = arrive(&w.noisy, 900, 4096);
	second = arrive(&w.quiet, 1, 1);
	third = arrive(&w.noisy, 1, 1);
	assert_ptr_equal(grant(), first);
	assert_null(grant());
	admission_finish(w.a, first, -1, w.now);
	assert_ptr_equal(grant(), second);
	admission_finish(w.a, second, -1, w.now);
	assert_ptr_equal(grant(), third);
	world_stop();
}

static void
fifo_lets_a_newcomer_wait_behind_the_flood(void **state)
{
	(void)state;
	world_start(ADMISSION_FIFO, 1);
	arrive_many(&w.noisy, 100, 10);
	arrive(&w.quiet, 10, -1);
	assert_int_equal(share_of_next(100, &w.noisy), 100);
	assert_ptr_equal(serve(), &w.quiet);
	world_stop();
}

/* drr: the original's score ------------------------------------------------------------------------------------- */

static void
drr_of_an_idle_tenant_goes_by_its_priority(void **state)
{
	struct admission_request *later, *sooner;

	(void)state;
	world_start(ADMISSION_DRR, 1);
	w.quiet.priority = 0;
	later = arrive(&w.noisy, 1, 10);
	sooner = arrive(&w.quiet, 1, 10);
	assert_int_equal(later->rank, (10 + 1) * 100);
	assert_int_equal(sooner->rank, 10 * 100);
	assert_ptr_equal(grant(), sooner);
	world_stop();
}

/* Active counts what is queued, what is in the engine, and the request itself. */
static void
drr_adds_ten_for_each_active_request(void **state)
{
	(void)state;
	world_start(ADMISSION_DRR, 2);
	assert_int_equal(arrive(&w.noisy, 1, 10)->rank, 1100);
	assert_int_equal(arrive(&w.noisy, 1, 10)->rank, 2100);
	assert_non_null(grant());
	assert_int_equal(arrive(&w.noisy, 1, 10)->rank, 3100);
	assert_ptr_equal(serve(), &w.noisy);
	assert_int_equal(arrive(&w.noisy, 1, 10)->rank, 3100);
	world_stop();
}

static void
drr_lets_a_quiet_tenant_jump_the_queue_of_a_flooder(void **state)
{
	(void)state;
	world_start(ADMISSION_DRR, 1);
	arrive_many(&w.noisy, 100, 10);
	arrive_many(&w.quiet, 2, 10);
	assert_ptr_equal(serve(), &w.noisy); /* its first one came at the same score, and before */
	assert_ptr_equal(serve(), &w.quiet);
	assert_ptr_equal(serve(), &w.noisy);
	assert_ptr_equal(serve(), &w.quiet);
	assert_int_equal(share_of_next(98, &w.noisy), 98);
	world_stop();
}

static void
drr_at_equal_score_goes_by_arrival(void **state)
{
	(void)state;
	world_start(ADMISSION_DRR, 1);
	arrive(&w.third, 1, 10);
	arrive(&w.noisy, 1, 10);
	arrive(&w.quiet, 1, 10);
	assert_ptr_equal(serve(), &w.third);
	assert_ptr_equal(serve(), &w.noisy);
	assert_ptr_equal(serve(), &w.quiet);
	world_stop();
}

/* Scores are frozen at arrival: a tenant that was quiet stands behind after a burst of its own. */
static void
drr_puts_an_ex_quiet_tenant_behind_after_its_own_burst(void **state)
{
	struct admission_request *held[20];

	(void)state;
	world_start(ADMISSION_DRR, 20);
	arrive_many(&w.quiet, 20, 1);
	for (unsigned i = 0; i < 20; i++)
		held[i] = grant();
	assert_null(grant());
	arrive(&w.quiet, 1, 10);
	arrive_many(&w.noisy, 5, 1);
	for (unsigned i = 0; i < 6; i++)
		admission_finish(w.a, held[i], -1, w.now); /* comes too late for the score */
	for (unsigned i = 0; i < 5; i++)
		assert_ptr_equal(grant()->flow, &w.noisy);
	assert_ptr_equal(grant()->flow, &w.quiet);
	world_stop();
}

static void
drr_ranks_short_before_long_inside_one_tenant(void **state)
{
	static const int64_t max_tokens[] = { 4097, 4096, 1025, 1024, 257, 256, -1, 0 };
	static const int64_t bucket[] = { 3, 2, 2, 1, 1, 0, 0, 0 };

	(void)state;
	for (unsigned i = 0; i < 8; i++) {
		world_start(ADMISSION_DRR, 1);
		assert_int_equal(arrive(&w.noisy, 1, max_tokens[i])->rank, 1100 + bucket[i]);
		world_stop();
	}
	world_start(ADMISSION_DRR, 2);
	arrive(&w.noisy, 1, 10);
	assert_ptr_equal(serve(), &w.noisy);
	arrive(&w.noisy, 1, 9000);
	assert_int_equal(grant()->max_tokens, 9000);
	arrive(&w.third, 1, 10);
	assert_non_null(grant());
	/* Same score but for the bucket: one stands queued, so the other is one more active. */
	w.noisy.priority = 11;
	arrive(&w.noisy, 1, 9000);
	w.noisy.priority = 1;
	arrive(&w.noisy, 1, 10);
	admission_engine_ready(w.a, 0, true);
	admission_set_window(w.a, 0, 3);
	assert_int_equal(grant()->max_tokens, 10);
	world_stop();
}

/* window: start-time fair queueing ------------------------------------------------------------------------------- */

static void
a_newcomer_overtakes_a_flood(void **state)
{
	(void)state;
	world_start(ADMISSION_WINDOW, 1);
	arrive_many(&w.noisy, 1000, 10);
	assert_int_equal(share_of_next(500, &w.noisy), 500);
	arrive(&w.quiet, 10, -1);
	/* At most one request of the flood stands before it: the one with the same start. */
	assert_true(serve() == &w.quiet || serve() == &w.quiet);
	world_stop();
}

static void
equal_weights_share_cost_not_requests(void **state)
{
	(void)state;
	world_start(ADMISSION_WINDOW, 1);
	arrive_many(&w.noisy, 1000, 10);
	arrive_many(&w.quiet, 1000, 40);
	assert_in_range(share_of_next(500, &w.quiet), 99, 101);
	world_stop();
}

/* Each tenant orders its own: short answers before long ones, which cost the others nothing. */
static void
window_puts_short_before_long_inside_one_tenant(void **state)
{
	struct admission_request *running, *longer, *middle, *brief, *other;

	(void)state;
	world_start(ADMISSION_WINDOW, 1);
	running = arrive(&w.noisy, 10, 1);
	assert_ptr_equal(admission_next_grant(w.a, w.now), running);
	longer = arrive(&w.noisy, 10, 5000);
	middle = arrive(&w.noisy, 10, 1000);
	brief = arrive(&w.noisy, 10, 256);
	other = arrive(&w.quiet, 10, 9000);
	admission_finish(w.a, running, 10, w.now);
	assert_ptr_equal(admission_next_grant(w.a, w.now), other);
	admission_finish(w.a, other, 10, w.now);
	assert_ptr_equal(admission_next_grant(w.a, w.now), brief);
	admission_finish(w.a, brief, 10, w.now);
	assert_ptr_equal(admission_next_grant(w.a, w.now), middle);
	admission_finish(w.a, middle, 10, w.now);
	assert_ptr_equal(admission_next_grant(w.a, w.now), longer);
	world_stop();
}

/* The original counted a tenant's requests at all models. */
static void
drr_counts_what_the_tenant_has_elsewhere(void **state)
{
	struct admission_request *busy, *idle;

	(void)state;
	world_start(ADMISSION_DRR, 1);
	admission_engine_ready(w.a, 0, false);
	busy = &w.pool[w.used++];
	*busy = (struct admission_request){
		.flow = &w.noisy, .cost = 1, .bytes = 1, .max_tokens = 1, .active = 5
	};
	assert_int_equal(admission_arrive(w.a, busy, w.now, &(uint64_t){ 0 }), ADMISSION_OK);
	idle = arrive(&w.quiet, 1, 1);
	admission_engine_ready(w.a, 0, true);
	assert_ptr_equal(admission_next_grant(w.a, w.now), idle);
	world_stop();
}

static void
twice_the_weight_is_twice_the_service(void **state)
{
	(void)state;
	world_start(ADMISSION_WINDOW, 4);
	admission_flow_update(w.a, &w.quiet, 2, NULL);
	arrive_many(&w.noisy, 1000, 10);
	arrive_many(&w.quiet, 1000, 10);
	assert_in_range(share_of_next(300, &w.quiet), 198, 202);
	world_stop();
}

static void
a_weight_may_change_while_its_requests_wait(void **state)
{
	(void)state;
	world_start(ADMISSION_WINDOW, 1);
	arrive_many(&w.noisy, 1000, 10);
	arrive_many(&w.quiet, 1000, 10);
	assert_in_range(share_of_next(100, &w.quiet), 49, 51);
	admission_flow_update(w.a, &w.quiet, 3, NULL);
	assert_in_range(share_of_next(400, &w.quiet), 298, 302);
	world_stop();
}

static void
an_idle_tenant_banks_no_credit(void **state)
{
	(void)state;
	world_start(ADMISSION_WINDOW, 1);
	arrive_many(&w.noisy, 2000, 10);
	assert_int_equal(share_of_next(1000, &w.noisy), 1000);
	arrive_many(&w.quiet, 500, 10);
	assert_in_range(share_of_next(100, &w.quiet), 49, 51);
	world_stop();
}

/* The same when nobody waited at the moment when it woke up. */
static void
an_idle_tenant_banks_no_credit_over_a_pause(void **state)
{
	(void)state;
	world_start(ADMISSION_WINDOW, 1);
	arrive_many(&w.noisy, 1000, 10);
	assert_int_equal(share_of_next(1000, &w.noisy), 1000);
	arrive_many(&w.quiet, 500, 10);
	arrive_many(&w.noisy, 500, 10);
	assert_in_range(share_of_next(100, &w.quiet), 49, 51);
	world_stop();
}

static void
what_an_idle_engine_gave_away_is_not_held_against_anybody(void **state)
{
	(void)state;
	world_start(ADMISSION_WINDOW, 1);
	arrive_many(&w.quiet, 10, 10);
	assert_int_equal(share_of_next(10, &w.quiet), 10);
	arrive_many(&w.noisy, 1000, 10); /* alone for long */
	assert_int_equal(share_of_next(900, &w.noisy), 900);
	arrive_many(&w.quiet, 100, 10);
	arrive_many(&w.third, 100, 10);
	assert_in_range(share_of_next(90, &w.noisy), 29, 31);
	world_stop();
}

static void
a_settlement_corrects_the_estimate(void **state)
{
	struct admission_request *r;

	(void)state;
	world_start(ADMISSION_WINDOW, 1);
	arrive_many(&w.noisy, 100, 10);
	arrive_many(&w.quiet, 100, 10);
	do { /* a request of noisy turns out to cost eleven times what was thought */
		r = grant();
		admission_finish(w.a, r, r->flow == &w.noisy ? 110 : 10, w.now);
	} while (r->flow != &w.noisy);
	assert_int_equal(share_of_next(10, &w.quiet), 10);
	do { /* and one of quiet next to nothing: it may go again at once */
		r = grant();
		admission_finish(w.a, r, r->flow == &w.quiet ? 0 : 10, w.now);
	} while (r->flow != &w.quiet);
	assert_true(share_of_next(10, &w.quiet) >= 5);
	world_stop();
}

static void
an_abort_is_charged_what_was_used(void **state)
{
	struct admission_request *r;

	(void)state;
	world_start(ADMISSION_WINDOW, 1);
	arrive(&w.noisy, 1000, -1);
	r = grant();
	arrive_many(&w.noisy, 10, 10);
	arrive_many(&w.quiet, 200, 10);
	admission_abort(w.a, r, 0, w.now); /* refunded: noisy is not 1000 ahead */
	assert_in_range(share_of_next(10, &w.noisy), 4, 6);
	world_stop();
}

/* organisations -------------------------------------------------------------------------------------------------- */

static void
an_organisation_shares_as_one_whatever_its_tenants(void **state)
{
	struct admission_flow members[9];
	struct admission_share org;

	(void)state;
	world_start(ADMISSION_WINDOW, 1);
	admission_share_init(&org, 1);
	for (unsigned i = 0; i < 9; i++) {
		world_flow(&members[i], 0, 1, &org);
		arrive_many(&members[i], 100, 10);
	}
	arrive_many(&w.quiet, 300, 10);
	assert_in_range(share_of_next(200, &w.quiet), 99, 101);
	world_stop();
}

static void
the_weight_of_an_organisation_splits_among_its_tenants(void **state)
{
	struct admission_flow big, small;
	struct admission_share org;
	unsigned n_big = 0, n_small = 0, n_quiet = 0;

	(void)state;
	world_start(ADMISSION_WINDOW, 1);
	admission_share_init(&org, 1);
	admission_share_set_weight(w.a, 0, &org, 4);
	world_flow(&big, 0, 3, &org);
	world_flow(&small, 0, 1, &org);
	arrive_many(&big, 1000, 10);
	arrive_many(&small, 1000, 10);
	arrive_many(&w.quiet, 1000, 10);
	for (unsigned i = 0; i < 500; i++) {
		struct admission_flow *f = serve();

		n_big += f == &big;
		n_small += f == &small;
		n_quiet += f == &w.quiet;
	}
	assert_in_range(n_big, 297, 303);
	assert_in_range(n_small, 98, 102);
	assert_in_range(n_quiet, 98, 102);
	world_stop();
}

/* Inside an organisation idling earns as little as outside, also when nobody waits there at that moment. */
static void
an_idle_member_banks_no_credit_against_its_organisation(void **state)
{
	struct admission_flow busy, idle;
	struct admission_share org;

	(void)state;
	world_start(ADMISSION_WINDOW, 1);
	admission_share_init(&org, 1);
	world_flow(&busy, 0, 1, &org);
	world_flow(&idle, 0, 1, &org);
	arrive_many(&busy, 1000, 10);
	assert_int_equal(share_of_next(1000, &busy), 1000);
	arrive_many(&idle, 500, 10);
	arrive_many(&busy, 500, 10);
	assert_in_range(share_of_next(100, &idle), 49, 51);
	world_stop();
}

/* the gate --------------------------------------------------------------------------------------------------------- */

static void
a_flow_that_the_gate_holds_lets_the_others_pass(void **state)
{
	(void)state;
	for (unsigned p = 0; p < ADMISSION_POLICIES; p++) {
		world_start(p, 1);
		arrive_many(&w.noisy, 2, 10);
		arrive_many(&w.quiet, 2, 10);
		w.shut = &w.noisy;
		w.shut_until_us = w.now + S;
		assert_ptr_equal(serve(), &w.quiet);
		assert_ptr_equal(serve(), &w.quiet);
		assert_null(grant());
		assert_int_equal(admission_next_deadline(w.a), T0 + S);
		w.now = T0 + S - 1;
		admission_tick(w.a, w.now);
		assert_null(grant());
		w.now = T0 + S;
		admission_tick(w.a, w.now);
		assert_ptr_equal(serve(), &w.noisy);
		world_stop();
	}
}

static void
a_held_flow_may_be_released_at_once(void **state)
{
	(void)state;
	world_start(ADMISSION_WINDOW, 1);
	arrive(&w.noisy, 10, -1);
	w.shut = &w.noisy;
	w.shut_until_us = UINT64_MAX;
	assert_null(grant());
	w.shut = NULL;
	assert_null(grant());
	admission_flow_release(w.a, &w.noisy);
	assert_ptr_equal(serve(), &w.noisy);
	admission_flow_release(w.a, &w.noisy); /* idle: nothing happens */
	assert_null(grant());
	world_stop();
}

/* Who was over its rate for a minute does not own the engine for the next one. */
static void
a_held_tenant_banks_no_credit(void **state)
{
	(void)state;
	world_start(ADMISSION_WINDOW, 1);
	arrive_many(&w.noisy, 500, 10);
	arrive_many(&w.quiet, 1000, 10);
	w.shut = &w.noisy;
	w.shut_until_us = w.now + S;
	assert_int_equal(share_of_next(300, &w.quiet), 300);
	w.now += S;
	admission_tick(w.a, w.now);
	assert_in_range(share_of_next(100, &w.noisy), 49, 51);
	world_stop();
}

static void
more_requests_of_a_held_flow_wait_with_it_and_may_be_given_up(void **state)
{
	struct admission_request *first, *second;

	(void)state;
	world_start(ADMISSION_FIFO, 1);
	first = arrive(&w.noisy, 10, -1);
	w.shut = &w.noisy;
	w.shut_until_us = w.now + S;
	assert_null(grant());
	second = arrive(&w.noisy, 10, -1);
	assert_null(grant());
	admission_abort(w.a, first, -1, w.now);
	admission_abort(w.a, second, -1, w.now);
	assert_int_equal(admission_queued(w.a), 0);
	assert_true(admission_next_deadline(w.a) == UINT64_MAX);
	admission_flow_finish(w.a, &w.noisy);
	world_stop();
}

/* another policy in flight ------------------------------------------------------------------------------------------ */

static void
to_fifo_the_queued_go_by_arrival_and_before_those_who_come(void **state)
{
	struct admission_request *old[3], *late;

	(void)state;
	for (unsigned p = ADMISSION_DRR; p < ADMISSION_POLICIES; p++) {
		world_start(p, 1);
		old[0] = arrive(&w.noisy, 900, 9000);
		old[1] = arrive(&w.noisy, 10, 10);
		old[2] = arrive(&w.quiet, 1, 10);
		w.p.policy = ADMISSION_FIFO;
		admission_configure(w.a, &w.p, w.now);
		late = arrive(&w.noisy, 1, 10);
		for (unsigned i = 0; i < 3; i++) {
			assert_ptr_equal(grant(), old[i]);
			admission_finish(w.a, old[i], -1, w.now);
		}
		assert_ptr_equal(grant(), late);
		world_stop();
	}
}

static void
to_drr_the_queued_get_the_scores_of_their_order(void **state)
{
	struct admission_request *r[3];

	(void)state;
	for (unsigned p = 0; p < ADMISSION_POLICIES; p++) {
		if (p == ADMISSION_DRR)
			continue;
		world_start(p, 1);
		for (unsigned i = 0; i < 3; i++)
			r[i] = arrive(&w.noisy, 10, 10);
		w.p.policy = ADMISSION_DRR;
		admission_configure(w.a, &w.p, w.now);
		for (unsigned i = 0; i < 3; i++)
			assert_int_equal(r[i]->rank, (i + 1) * 1000 + 100);
		arrive(&w.quiet, 10, 10);
		assert_ptr_equal(serve(), &w.noisy);
		assert_ptr_equal(serve(), &w.quiet);
		world_stop();
	}
}

static void
to_window_a_newcomer_overtakes_the_flood_that_stood_before(void **state)
{
	(void)state;
	for (unsigned p = 0; p < ADMISSION_WINDOW; p++) {
		world_start(p, 1);
		arrive_many(&w.noisy, 500, 10);
		w.shut = &w.noisy; /* held ones are ordered anew too */
		w.shut_until_us = w.now + 1;
		assert_null(grant());
		w.now += 1;
		w.p.policy = ADMISSION_WINDOW;
		admission_configure(w.a, &w.p, w.now);
		arrive_many(&w.quiet, 100, 10);
		assert_in_range(share_of_next(100, &w.quiet), 49, 51);
		world_stop();
	}
}

/* An organisation whose tenants all left and came back under another policy. */
static void
an_organisation_outlives_a_change_of_policy(void **state)
{
	struct admission_flow a, b;
	struct admission_share org;

	(void)state;
	world_start(ADMISSION_FIFO, 1);
	admission_share_init(&org, 1);
	world_flow(&a, 0, 1, &org);
	admission_flow_finish(w.a, &a);
	w.p.policy = ADMISSION_WINDOW;
	admission_configure(w.a, &w.p, w.now);
	world_flow(&a, 0, 1, &org);
	world_flow(&b, 0, 1, &org);
	arrive_many(&a, 100, 10);
	arrive_many(&b, 100, 10);
	assert_in_range(share_of_next(50, &b), 24, 26);
	world_stop();
}

/* many --------------------------------------------------------------------------------------------------------------- */

static void
ten_thousand_flows_each_have_their_turn(void **state)
{
	enum {
		N = 10000
	};
	struct admission_flow *flows = calloc(N, sizeof(*flows));
	struct admission_request *r = calloc(2 * N, sizeof(*r));
	uint64_t wait_us;

	(void)state;
	assert_true(flows && r);
	for (unsigned p = 0; p < ADMISSION_POLICIES; p++) {
		world_start(p, 8);
		for (unsigned i = 0; i < 2 * N; i++) {
			if (i < N)
				world_flow(&flows[i], 0, 1, NULL);
			r[i] = (struct admission_request){ .flow = &flows[i % N], .cost = 10 };
			assert_int_equal(admission_arrive(w.a, &r[i], w.now, &wait_us), ADMISSION_OK);
		}
		flows[0].max_requests = 2;
		for (unsigned i = 0; i < N; i++) { /* a refusal looks at nobody else's queue */
			struct admission_request more = { .flow = &flows[0], .cost = 10 };

			assert_int_equal(admission_arrive(w.a, &more, w.now, &wait_us),
					 ADMISSION_QUEUE_REQUESTS);
		}
		for (unsigned i = 0; i < N; i++)
			serve();
		for (unsigned i = 0; i < N; i++) /* once each */
			assert_int_equal(flows[i].queued, 1);
		for (unsigned i = 0; i < N; i++)
			serve();
		assert_null(grant());
		world_stop();
	}
	free(flows);
	free(r);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(policies_have_names),
		cmocka_unit_test(fifo_goes_by_arrival_over_all_tenants),
		cmocka_unit_test(fifo_lets_a_newcomer_wait_behind_the_flood),
		cmocka_unit_test(drr_of_an_idle_tenant_goes_by_its_priority),
		cmocka_unit_test(drr_adds_ten_for_each_active_request),
		cmocka_unit_test(drr_lets_a_quiet_tenant_jump_the_queue_of_a_flooder),
		cmocka_unit_test(drr_at_equal_score_goes_by_arrival),
		cmocka_unit_test(drr_puts_an_ex_quiet_tenant_behind_after_its_own_burst),
		cmocka_unit_test(drr_ranks_short_before_long_inside_one_tenant),
		cmocka_unit_test(a_newcomer_overtakes_a_flood),
		cmocka_unit_test(equal_weights_share_cost_not_requests),
		cmocka_unit_test(window_puts_short_before_long_inside_one_tenant),
		cmocka_unit_test(drr_counts_what_the_tenant_has_elsewhere),
		cmocka_unit_test(twice_the_weight_is_twice_the_service),
		cmocka_unit_test(a_weight_may_change_while_its_requests_wait),
		cmocka_unit_test(an_idle_tenant_banks_no_credit),
		cmocka_unit_test(an_idle_tenant_banks_no_credit_over_a_pause),
		cmocka_unit_test(what_an_idle_engine_gave_away_is_not_held_against_anybody),
		cmocka_unit_test(a_settlement_corrects_the_estimate),
		cmocka_unit_test(an_abort_is_charged_what_was_used),
		cmocka_unit_test(an_organisation_shares_as_one_whatever_its_tenants),
		cmocka_unit_test(the_weight_of_an_organisation_splits_among_its_tenants),
		cmocka_unit_test(an_idle_member_banks_no_credit_against_its_organisation),
		cmocka_unit_test(a_flow_that_the_gate_holds_lets_the_others_pass),
		cmocka_unit_test(a_held_flow_may_be_released_at_once),
		cmocka_unit_test(a_held_tenant_banks_no_credit),
		cmocka_unit_test(more_requests_of_a_held_flow_wait_with_it_and_may_be_given_up),
		cmocka_unit_test(to_fifo_the_queued_go_by_arrival_and_before_those_who_come),
		cmocka_unit_test(to_drr_the_queued_get_the_scores_of_their_order),
		cmocka_unit_test(to_window_a_newcomer_overtakes_the_flood_that_stood_before),
		cmocka_unit_test(an_organisation_outlives_a_change_of_policy),
		cmocka_unit_test(ten_thousand_flows_each_have_their_turn),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
