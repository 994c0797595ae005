/* SPDX-License-Identifier: MIT */
/* The host's CPU around an engine, in virtual time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "sim/host_cpu.h"
#include "sim/source.h"
#include "sim/step_time.h"

#define SEQS_MAX 32

struct fixture {
	struct sim_source *source;
	struct sim_prompt prompt;
	struct sim_seq seqs[SEQS_MAX];
	uint64_t made[SEQS_MAX], first_us[SEQS_MAX], last_us[SEQS_MAX];
	unsigned finished[SEQS_MAX];
	unsigned n, chunks;
	uint64_t now_us;
};

static void
begin(struct fixture *f, const struct host_cpu *h, struct sim_source *engine, uint64_t seed)
{
	*f = (struct fixture){ .source = sim_source_host(h, engine, seed), .prompt = { .n = 5 } };
}

static unsigned
add(struct fixture *f, uint64_t out_tok)
{
	unsigned i = f->n++;

	f->seqs[i] = (struct sim_seq){ .prompt = &f->prompt, .out_tok = out_tok };
	f->source->ops->start(f->source, &f->seqs[i], f->now_us);
	return i;
}

static void
on_tokens(void *ctx, struct sim_seq *s, unsigned n, bool finished)
{
	struct fixture *f = ctx;
	unsigned i = (unsigned)(s - f->seqs);

	assert_int_equal(f->finished[i], 0);
	if (f->made[i] == 0)
		f->first_us[i] = f->now_us;
	f->made[i] += n;
	assert_int_equal(f->made[i], s->made);
	f->last_us[i] = f->now_us;
	f->finished[i] += finished;
	f->chunks++;
}

/* Until nothing is to be done, or @until_us. */
static void
run(struct fixture *f, uint64_t until_us)
{
	uint64_t next;

	while ((next = f->source->ops->next_us(f->source)) <= until_us && next != UINT64_MAX) {
		assert_true(next >= f->now_us);
		f->now_us = next;
		f->source->ops->advance(f->source, next, on_tokens, f);
	}
}

static void
end(struct fixture *f)
{
	f->source->ops->destroy(f->source);
}

static void
a_request_takes_the_time_of_the_host_on_both_ways(void **state)
{
	const struct host_cpu h = { .in_ms = 3, .request_ms = 1, .chunk_ms = 0.5 };
	struct fixture f;

	(void)state;
	begin(&f, &h, sim_source_paced(10000), 1);
	add(&f, 3);
	run(&f, UINT64_MAX);
	assert_int_equal(f.first_us[0], 4500);
	assert_int_equal(f.last_us[0], 24500);
	assert_int_equal(f.seqs[0].entered_us, 4000);
	assert_int_equal(f.chunks, 3);
	end(&f);
}

static void
tokens_join_the_chunk_that_waits(void **state)
{
	const struct host_cpu h = { .chunk_ms = 1 };
	struct fixture f;

	(void)state;
	begin(&f, &h, sim_source_paced(1000), 1);
	for (unsigned i = 0; i < SEQS_MAX; i++)
		add(&f, 100);
	run(&f, UINT64_MAX);
	for (unsigned i = 0; i < SEQS_MAX; i++) {
		assert_int_equal(f.made[i], 100);
		assert_int_equal(f.finished[i], 1);
	}
	assert_true(f.chunks < SEQS_MAX * 10); /* 32 chunks fit where each sequence makes 32 tokens */
	assert_true(f.last_us[0] < 200000);
	end(&f);
}

static void
without_a_host_it_is_the_engine_alone(void **state)
{
	const struct step_preset *p = step_preset_find("a100-llama31-8b");
	struct sim_step_options o = { .preset = p };
	struct fixture with, bare;

	(void)state;
	begin(&with, host_cpu_find("none"), sim_source_step(&o), 1);
	bare = (struct fixture){ .source = sim_source_step(&o), .prompt = { .n = 5 } };
	for (unsigned i = 0; i < 8; i++) {
		add(&with, 20 + i);
		add(&bare, 20 + i);
	}
	run(&with, UINT64_MAX);
	run(&bare, UINT64_MAX);
	for (unsigned i = 0; i < 8; i++) {
		assert_int_equal(with.first_us[i], bare.first_us[i]);
		assert_int_equal(with.last_us[i], bare.last_us[i]);
	}
	end(&with);
	end(&bare);
}

static void
who_is_aborted_is_not_heard_of_again(void **state)
{
	const struct host_cpu h = { .in_ms = 5, .chunk_ms = 20 };
	struct sim_face_stats s = { 0 };
	struct fixture f;

	(void)state;
	begin(&f, &h, sim_source_paced(10000), 1);
	for (unsigned i = 0; i < 3; i++)
		add(&f, 100);
	run(&f, 25000); /* all are in the engine, and chunks wait */
	add(&f, 100);	/* this one is on its way */
	for (unsigned i = 1; i < 4; i++)
		f.source->ops->abort(f.source, &f.seqs[i], f.now_us);
	assert_int_equal(f.made[3], 0);
	f.finished[1] = f.finished[2] = f.finished[3] = 1; /* a token would be noticed */
	run(&f, UINT64_MAX);
	assert_int_equal(f.made[0], 100);
	f.source->ops->stats(f.source, &s);
	assert_int_equal(s.running, 0);
	end(&f);
}

static void
the_same_seed_gives_the_same_times(void **state)
{
	const struct host_cpu *h = host_cpu_find("a100");
	uint64_t last[2];

	(void)state;
	for (unsigned k = 0; k < 3; k++) {
		struct fixture f;

		begin(&f, h, sim_source_paced(10000), k == 2 ? 8 : 7);
		for (unsigned i = 0; i < 10; i++) {
			add(&f, 50);
			run(&f, f.now_us + 5000);
		}
		run(&f, UINT64_MAX);
		if (k < 2)
			last[k] = f.last_us[9];
		else
			assert_int_not_equal(f.last_us[9], last[0]);
		end(&f);
	}
	assert_int_equal(last[0], last[1]);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_request_takes_the_time_of_the_host_on_both_ways),
		cmocka_unit_test(tokens_join_the_chunk_that_waits),
		cmocka_unit_test(without_a_host_it_is_the_engine_alone),
		cmocka_unit_test(who_is_aborted_is_not_heard_of_again),
		cmocka_unit_test(the_same_seed_gives_the_same_times),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
