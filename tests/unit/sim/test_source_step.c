/* SPDX-License-Identifier: MIT */
/* The batching engine in virtual time: the test is the clock. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "sim/source.h"
#include "sim/step_time.h"

#define SEQS_MAX 64

struct fixture {
	struct sim_source *source;
	struct sim_seq seqs[SEQS_MAX];
	struct sim_prompt prompts[SEQS_MAX];
	uint64_t first_us[SEQS_MAX], last_us[SEQS_MAX];
	uint64_t made[SEQS_MAX];
	bool finished[SEQS_MAX];
	unsigned n;
	uint64_t now_us;
};

static struct sim_step_options
options(void)
{
	return (struct sim_step_options){ .preset = step_preset_find("a100-llama31-8b") };
}

static void
begin(struct fixture *f, const struct sim_step_options *o)
{
	*f = (struct fixture){ .source = sim_source_step(o) };
}

static unsigned
add(struct fixture *f, unsigned prompt_tok, unsigned out_tok, int64_t priority)
{
	unsigned i = f->n++;

	f->prompts[i].n = prompt_tok;
	f->seqs[i] =
		(struct sim_seq){ .prompt = &f->prompts[i], .out_tok = out_tok, .priority = priority };
	f->source->ops->start(f->source, &f->seqs[i], f->now_us);
	return i;
}

static void
on_tokens(void *ctx, struct sim_seq *s, unsigned n, bool finished)
{
	struct fixture *f = ctx;
	unsigned i = (unsigned)(s - f->seqs);

	assert_false(f->finished[i]);
	if (f->made[i] == 0)
		f->first_us[i] = f->now_us;
	f->made[i] += n;
	f->last_us[i] = f->now_us;
	f->finished[i] = finished;
}

/* One step more; false when nothing runs. */
static bool
step(struct fixture *f)
{
	uint64_t next = f->source->ops->next_us(f->source);

	if (next == UINT64_MAX)
		return false;
	f->now_us = next;
	f->source->ops->advance(f->source, next, on_tokens, f);
	return true;
}

static struct sim_face_stats
stats(struct fixture *f)
{
	struct sim_face_stats s = { 0 };

	f->source->ops->stats(f->source, &s);
	return s;
}

static void
end(struct fixture *f)
{
	f->source->ops->destroy(f->source);
}

static void
a_lone_request_takes_its_prefill_and_then_a_step_a_token(void **state)
{
	struct sim_step_options o = options();
	struct fixture f;

	(void)state;
	begin(&f, &o);
	add(&f, 256, 3, 0);
	while (step(&f))
		;
	/* lin(256) + pairs + a prefill in it + an idle pipeline; then lin(1) + the context's reading, twice. */
	assert_true(f.first_us[0] > 22000 + 1260 + 3100 && f.first_us[0] < 22000 + 1260 + 3100 + 200);
	assert_true(f.last_us[0] - f.first_us[0] > 2 * 10930 && f.last_us[0] - f.first_us[0] < 2 * 11000);
	assert_true(f.finished[0]);
	assert_int_equal(f.made[0], 3);
	end(&f);
}

static void
a_long_prompt_is_cut_into_chunks_and_others_go_on(void **state)
{
	struct sim_step_options o = options();
	struct fixture f;
	uint64_t before;

	(void)state;
	begin(&f, &o);
	add(&f, 16, 100, 0);
	step(&f);
	add(&f, 2 * 2048, 5, 0);
	step(&f); /* the step that ran when it came, and the one planned behind it */
	step(&f);
	before = f.made[0];
	step(&f);
	step(&f);
	assert_int_equal(f.made[0], before + 2);
	assert_int_equal(f.made[1], 0); /* 2,047 and 2,047 of 4,096: the running one took a token of each budget */
	step(&f);
	assert_int_equal(f.made[1], 1);
	end(&f);
}

static void
no_more_run_than_the_width_allows_and_the_next_goes_in_order(void **state)
{
	struct sim_step_options o = options();
	struct fixture f;

	(void)state;
	o.max_seqs = 2;
	begin(&f, &o);
	for (unsigned i = 0; i < 4; i++)
		add(&f, 16, 3, 0);
	step(&f); /* the first went alone: the others came while its first two steps were planned */
	step(&f);
	assert_int_equal(stats(&f).running, 2);
	assert_int_equal(stats(&f).waiting, 2);
	while (step(&f))
		;
	assert_true(f.first_us[0] < f.first_us[1] && f.first_us[1] < f.first_us[2] &&
		    f.first_us[2] <= f.first_us[3]);
	end(&f);
}

static void
a_missing_block_sends_the_youngest_back_and_all_finish(void **state)
{
	struct sim_step_options o = options();
	struct fixture f;

	(void)state;
	o.kv_blocks = 6; /* two requests of 16 + 64 tokens need five each */
	begin(&f, &o);
	add(&f, 16, 64, 0);
	add(&f, 16, 64, 0);
	while (step(&f))
		assert_true(stats(&f).kv_usage <= 1);
	assert_true(f.finished[0] && f.finished[1]);
	assert_int_equal(f.made[1], 64);
	assert_true(stats(&f).preemptions > 0);
	assert_true(f.last_us[0] < f.last_us[1]);
	assert_true(stats(&f).kv_usage == 0);
	end(&f);
}

static void
priority_goes_before_arrival_where_it_is_asked_for(void **state)
{
	struct sim_step_options o = options();
	struct fixture f;

	(void)state;
	o.max_seqs = 1;
	o.by_priority = true;
	begin(&f, &o);
	add(&f, 16, 2, 0);
	add(&f, 16, 2, 5);
	add(&f, 16, 2, -1);
	while (step(&f))
		;
	assert_true(f.first_us[2] < f.first_us[1]);
	end(&f);
}

static void
an_aborted_request_gives_everything_back(void **state)
{
	struct sim_step_options o = options();
	struct fixture f;

	(void)state;
	o.max_seqs = 1;
	begin(&f, &o);
	add(&f, 16, 1000, 0);
	add(&f, 16, 1000, 0);
	step(&f);
	f.source->ops->abort(f.source, &f.seqs[1], f.now_us);
	f.source->ops->abort(f.source, &f.seqs[0], f.now_us);
	assert_int_equal(stats(&f).running + stats(&f).waiting, 0);
	assert_true(stats(&f).kv_usage == 0);
	while (step(&f))
		;
	assert_int_equal(f.made[0], 1); /* the step in flight makes no token of it */
	end(&f);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_lone_request_takes_its_prefill_and_then_a_step_a_token),
		cmocka_unit_test(a_long_prompt_is_cut_into_chunks_and_others_go_on),
		cmocka_unit_test(no_more_run_than_the_width_allows_and_the_next_goes_in_order),
		cmocka_unit_test(a_missing_block_sends_the_youngest_back_and_all_finish),
		cmocka_unit_test(priority_goes_before_arrival_where_it_is_asked_for),
		cmocka_unit_test(an_aborted_request_gives_everything_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
