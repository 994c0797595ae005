/* SPDX-License-Identifier: MIT */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include "base/rng.h"
#include "sim/step_sched.h"

#define BLOCK 16

struct fixture {
	struct sched s;
	unsigned tokens, finished;
};

static struct sched_params
roomy(void)
{
	return (struct sched_params){
		.budget_tok = 64,
		.max_seqs = 4,
		.block_tok = BLOCK,
		.blocks = 101,
		.max_model_len = 4096,
		.prefix_caching = true,
	};
}

static struct sched_request *
add(struct fixture *f, uint64_t seed, uint32_t prompt_tok, uint32_t max_tok, int64_t priority)
{
	struct sched_segment g = { .seed = seed, .n = prompt_tok };

	return sched_add(&f->s, &g, 1, max_tok, priority, f);
}

static void
count_token(void *ctx, struct sched_request *q, bool finished)
{
	struct fixture *f = ctx;

	(void)q;
	f->tokens++;
	f->finished += finished;
}

static void
step(struct fixture *f)
{
	sched_schedule(&f->s);
	sched_update(&f->s, count_token, f);
}

static void
running_requests_are_served_before_waiting_ones(void **state)
{
	struct fixture f = { 0 };
	struct sched_params p = roomy();
	const struct sched_batch *b;
	struct sched_request *first;

	(void)state;
	sched_init(&f.s, &p);
	first = add(&f, 1, 10, 5, 0);
	step(&f);
	add(&f, 2, 100, 5, 0);
	b = sched_schedule(&f.s);
	assert_int_equal(b->n, 2);
	assert_ptr_equal(b->entries[0].q, first);
	assert_int_equal(b->entries[0].tok, 1);
	assert_int_equal(b->entries[1].tok, 63); /* the chunk that fills the rest of the budget */
	assert_false(b->entries[1].samples);
	sched_finish(&f.s);
}

static void
a_long_prompt_is_cut_only_while_others_are_there(void **state)
{
	struct fixture f = { 0 };
	struct sched_params p = roomy();

	(void)state;
	p.long_prefill_tok = 20;
	sched_init(&f.s, &p);
	add(&f, 1, 100, 5, 0);
	assert_int_equal(sched_schedule(&f.s)->tok, 64);
	sched_update(&f.s, count_token, &f);
	add(&f, 2, 100, 5, 0);
	assert_int_equal(sched_schedule(&f.s)->tok, 40);
	sched_finish(&f.s);
}

static void
an_exact_repeat_still_computes_the_block_of_its_last_token(void **state)
{
	struct fixture f = { 0 };
	struct sched_params p = roomy();
	const struct sched_batch *b;

	(void)state;
	sched_init(&f.s, &p);
	add(&f, 7, 3 * BLOCK, 1, 0);
	step(&f);
	assert_int_equal(f.finished, 1);
	add(&f, 7, 3 * BLOCK, 1, 0);
	b = sched_schedule(&f.s);
	assert_int_equal(b->entries[0].computed, 2 * BLOCK);
	assert_int_equal(b->entries[0].tok, BLOCK);
	sched_finish(&f.s);
}

static void
a_prefix_is_shared_within_the_step_that_computes_it(void **state)
{
	struct fixture f = { 0 };
	struct sched_params p = roomy();
	const struct sched_batch *b;

	(void)state;
	sched_init(&f.s, &p);
	add(&f, 7, 40, 1, 0);
	add(&f, 7, 40, 1, 0);
	b = sched_schedule(&f.s);
	assert_int_equal(b->entries[0].computed, 0);
	assert_int_equal(b->entries[1].computed, 2 * BLOCK);
	sched_finish(&f.s);
}

static void
the_last_to_run_is_put_back_when_blocks_are_missing(void **state)
{
	struct fixture f = { 0 };
	struct sched_params p = roomy();
	struct sched_request *first, *second;

	(void)state;
	p.blocks = 1 + 4;
	p.prefix_caching = false;
	sched_init(&f.s, &p);
	first = add(&f, 1, 2 * BLOCK, 20, 0);
	second = add(&f, 2, 2 * BLOCK, 20, 0);
	step(&f);
	sched_schedule(&f.s);
	assert_int_equal(f.s.n_preempted, 1);
	assert_ptr_equal(f.s.preempted[0], second);
	assert_int_equal(first->state, SCHED_RUNNING);
	assert_int_equal(second->computed_tok, 0);
	sched_finish(&f.s);
}

static void
with_priorities_the_least_urgent_is_put_back(void **state)
{
	struct fixture f = { 0 };
	struct sched_params p = roomy();
	struct sched_request *lax;

	(void)state;
	p.blocks = 1 + 4;
	p.by_priority = true;
	p.prefix_caching = false;
	sched_init(&f.s, &p);
	lax = add(&f, 1, 2 * BLOCK, 20, 5);
	step(&f);
	add(&f, 2, BLOCK, 20, -1);
	step(&f);
	sched_schedule(&f.s);
	assert_int_equal(f.s.n_preempted, 1);
	assert_ptr_equal(f.s.preempted[0], lax);
	sched_finish(&f.s);
}

static void
nobody_overtakes_a_prompt_that_does_not_fit(void **state)
{
	struct fixture f = { 0 };
	struct sched_params p = roomy();

	(void)state;
	p.blocks = 1 + 6;
	sched_init(&f.s, &p);
	add(&f, 1, 3 * BLOCK, 5, 0);
	step(&f);
	add(&f, 2, 5 * BLOCK, 5, 0); /* its whole must fit, not its first chunk */
	add(&f, 3, 1, 5, 0);
	assert_int_equal(sched_schedule(&f.s)->n, 1);
	assert_int_equal(f.s.n_waiting, 2);
	sched_finish(&f.s);
}

static void
an_asynchronous_step_is_planned_before_the_last_one_is_known(void **state)
{
	struct fixture f = { 0 };
	struct sched_params p = roomy();

	(void)state;
	p.async = true;
	sched_init(&f.s, &p);
	add(&f, 1, 10, 2, 0);
	assert_int_equal(sched_schedule(&f.s)->tok, 10);
	assert_int_equal(sched_schedule(&f.s)->tok, 1);
	sched_update(&f.s, count_token, &f);
	assert_int_equal(f.tokens, 1);
	assert_int_equal(sched_schedule(&f.s)->tok, 0); /* both tokens are planned: no step to throw away */
	sched_update(&f.s, count_token, &f);
	assert_int_equal(f.finished, 1);
	sched_finish(&f.s);
}

static void
an_abort_in_flight_frees_its_blocks_at_once_and_makes_no_token(void **state)
{
	struct fixture f = { 0 };
	struct sched_params p = roomy();
	struct sched_request *q;

	(void)state;
	sched_init(&f.s, &p);
	q = add(&f, 1, 10, 5, 0);
	sched_schedule(&f.s);
	sched_abort(&f.s, q);
	assert_int_equal(f.s.kv.n_free, p.blocks - 1);
	sched_update(&f.s, count_token, &f);
	assert_int_equal(f.tokens, 0);
	sched_finish(&f.s);
}

/* Whatever the order of events: no block is lost, and every request that is not aborted makes its tokens. */
static void
blocks_and_tokens_are_conserved(void **state)
{
	(void)state;
	for (uint64_t seed = 0; seed < 200; seed++) {
		struct fixture f = { 0 };
		struct sched_params p = roomy();
		unsigned wanted = 0, added = 0, depth = seed & 1 ? SCHED_BATCHES : 1;
		struct rng r;

		rng_init(&r, seed);
		p.async = seed & 1;
		p.by_priority = seed & 2;
		p.prefix_caching = seed & 4;
		p.watermark = seed & 8 ? 0.05 : 0;
		p.blocks = 30;
		sched_init(&f.s, &p);
		for (unsigned turn = 0; added < 40 || sched_has_work(&f.s) || f.s.n_batches > 0; turn++) {
			assert_true(turn < 20000);
			if (added < 40 && rng_below(&r, 3) == 0) {
				uint32_t max_tok = 1 + (uint32_t)rng_below(&r, 60);

				add(&f, rng_below(&r, 5), 1 + (uint32_t)rng_below(&r, 200), max_tok,
				    (int64_t)rng_below(&r, 3));
				wanted += max_tok;
				added++;
			}
			if (f.s.n_batches < depth && sched_has_work(&f.s))
				sched_schedule(&f.s);
			if (f.s.n_batches == depth || (f.s.n_batches > 0 && rng_below(&r, 2)))
				sched_update(&f.s, count_token, &f);
		}
		assert_int_equal(f.tokens, wanted);
		assert_int_equal(f.finished, 40);
		assert_int_equal(f.s.kv.n_free, p.blocks - 1);
		sched_finish(&f.s);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(running_requests_are_served_before_waiting_ones),
		cmocka_unit_test(a_long_prompt_is_cut_only_while_others_are_there),
		cmocka_unit_test(an_exact_repeat_still_computes_the_block_of_its_last_token),
		cmocka_unit_test(a_prefix_is_shared_within_the_step_that_computes_it),
		cmocka_unit_test(the_last_to_run_is_put_back_when_blocks_are_missing),
		cmocka_unit_test(with_priorities_the_least_urgent_is_put_back),
		cmocka_unit_test(nobody_overtakes_a_prompt_that_does_not_fit),
		cmocka_unit_test(an_asynchronous_step_is_planned_before_the_last_one_is_known),
		cmocka_unit_test(an_abort_in_flight_frees_its_blocks_at_once_and_makes_no_token),
		cmocka_unit_test(blocks_and_tokens_are_conserved),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
