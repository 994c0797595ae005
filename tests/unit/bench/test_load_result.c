/* SPDX-License-Identifier: MIT */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/str.h"
#include "bench/engine_watch.h"
#include "bench/load_result.h"

static struct load_result a, b; /* too large for a stack */

static void
a_result_survives_its_line(void **state)
{
	struct buf line;

	(void)state;
	a = (struct load_result){ .phase = LOAD_COOLING,
				  .elapsed_s = 3.5,
				  .left_s = 1,
				  .measured_s = 2,
				  .lag_p50_ms = 0.1,
				  .lag_p99_ms = 0.5,
				  .lag_max_ms = 2,
				  .n_tenants = 2 };
	a.tenants[0] = (struct load_tenant_result){ .name = "quiet",
						    .scheduled = 4,
						    .ok = 2,
						    .unfinished = 2,
						    .tokens = 10,
						    .n = 4,
						    .p50_ms = 12.5,
						    .p90_ms = INFINITY,
						    .p99_ms = INFINITY,
						    .max_ms = INFINITY,
						    .failure = "HTTP 400: \"no\"" };
	a.tenants[1] = (struct load_tenant_result){
		.name = "flooder", .held_back = 7, .tokens = 30, .p50_ms = NAN, .max_ms = NAN
	};
	buf_init(&line, LOAD_RESULT_LINE_MAX);
	load_result_write(&a, &line);
	assert_int_equal(line.p[line.n - 1], '\n');
	assert_int_equal(load_result_read(&b, (struct slice){ line.p, line.n - 1 }), 0);
	buf_finish(&line);

	assert_true(b.phase == LOAD_COOLING && b.lag_p99_ms == 0.5 && b.left_s == 1);
	assert_int_equal(b.n_tenants, 2);
	assert_true(load_result_tenant(&b, "quiet")->p50_ms == 12.5);
	assert_true(isinf(load_result_tenant(&b, "quiet")->p90_ms));   /* never answered */
	assert_true(isnan(load_result_tenant(&b, "flooder")->p50_ms)); /* no samples */
	assert_int_equal(load_result_tenant(&b, "flooder")->held_back, 7);
	assert_string_equal(load_result_tenant(&b, "quiet")->failure, "HTTP 400: \"no\"");
	assert_true(load_result_tokens_per_s(&b) == 20);
	assert_null(load_result_tenant(&b, "nobody"));
}

static void
other_lines_are_no_results(void **state)
{
	(void)state;
	assert_int_not_equal(load_result_read(&b, SLICE("")), 0);
	assert_int_not_equal(load_result_read(&b, SLICE("hello")), 0);
	assert_int_not_equal(load_result_read(&b, SLICE("{\"phase\":\"done\"}")), 0);
	assert_int_not_equal(load_result_read(&b, SLICE("{\"kind\":\"kvwarden.load\",\"phase\":\"resting\"}")),
			     0);
}

static void
an_engine_s_load_is_read_from_the_metrics_of_each_kind(void **state)
{
	struct engine_load load;

	(void)state;
	engine_load_from_metrics(SLICE("# TYPE vllm:num_requests_running gauge\n"
				       "vllm:num_requests_running{engine=\"0\",model_name=\"a b\"} 3.0\n"
				       "vllm:num_requests_running{engine=\"1\",model_name=\"a b\"} 4.0\n"
				       "vllm:num_requests_waiting_by_reason{reason=\"x\"} 9\n"
				       "vllm:num_requests_waiting{engine=\"0\"} 2.0"),
				 &load);
	assert_true(load.known && load.running == 7 && load.waiting == 2);
	engine_load_from_metrics(SLICE("llamacpp:requests_processing 1\nllamacpp:requests_deferred 5\n"),
				 &load);
	assert_true(load.known && load.running == 1 && load.waiting == 5);
	engine_load_from_metrics(SLICE("sglang:num_running_reqs{a=\"b\"} 1\n"), &load);
	assert_false(load.known); /* half of it proves nothing */
	engine_load_from_metrics(SLICE(""), &load);
	assert_false(load.known);
}

static void
only_a_simulator_has_a_simulator_s_state(void **state)
{
	struct engine_load load;

	(void)state;
	engine_load_from_sim_state(SLICE("{\"simulated\":true,\"running\":64,\"waiting\":190}"), &load);
	assert_true(load.known && load.running == 64 && load.waiting == 190);
	engine_load_from_sim_state(SLICE("{\"running\":64,\"waiting\":190}"), &load);
	assert_false(load.known);
	engine_load_from_sim_state(SLICE("<html>"), &load);
	assert_false(load.known);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_result_survives_its_line),
		cmocka_unit_test(other_lines_are_no_results),
		cmocka_unit_test(an_engine_s_load_is_read_from_the_metrics_of_each_kind),
		cmocka_unit_test(only_a_simulator_has_a_simulator_s_state),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
