/* SPDX-License-Identifier: MIT */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include <yyjson.h>

#include "base/must.h"
#include "wire/report.h"

static struct report r; /* too large for a stack */

static void
assert_near(double got, double want)
{
	assert_true(fabs(got - want) < 1e-9);
}

static yyjson_doc *
written(void)
{
	struct buf out;
	yyjson_doc *doc;

	buf_init(&out, REPORT_JSON_MAX);
	report_write(&r, &out);
	assert_false(out.overflow);
	doc = yyjson_read(out.p, out.n, 0);
	assert_non_null(doc);
	buf_finish(&out);
	return doc;
}

static void
a_report_says_its_schema_its_version_and_whether_it_was_simulated(void **state)
{
	yyjson_doc *doc;

	(void)state;
	r = (struct report){ .simulated = true };
	doc = written();
	assert_string_equal(yyjson_get_str(yyjson_ptr_get(yyjson_doc_get_root(doc), "/schema")),
			    "kvwarden.report");
	assert_int_equal(yyjson_get_int(yyjson_ptr_get(yyjson_doc_get_root(doc), "/version")), 1);
	assert_true(yyjson_is_true(yyjson_ptr_get(yyjson_doc_get_root(doc), "/simulated")));
	assert_true(yyjson_is_arr(yyjson_ptr_get(yyjson_doc_get_root(doc), "/arms")));
	yyjson_doc_free(doc);
}

static void
every_figure_of_an_arm_and_its_tenants_stands_where_readers_expect_it(void **state)
{
	struct report_arm *arm;
	struct report_tenant *t;
	yyjson_doc *doc;
	yyjson_val *root;

	(void)state;
	r = (struct report){ .simulated = false };
	arm = report_add_arm(&r, "window", "window");
	arm->saturated = true;
	arm->tokens_per_s = 1234.5;
	arm->share_of_direct = 0.97;
	t = report_add_tenant(arm, "quiet");
	t->requests = (struct report_requests){
		.scheduled = 100, .ok = 90, .refused = 4, .failed = 1, .unfinished = 5
	};
	t->ttft = (struct report_ttft){
		.n = 600, .p50_ms = 50.5, .p90_ms = 60, .p99_ms = 70.25, .max_ms = 99
	};
	t->ratio_to_solo = 1.25;

	doc = written();
	root = yyjson_doc_get_root(doc);
	assert_string_equal(yyjson_get_str(yyjson_ptr_get(root, "/arms/0/name")), "window");
	assert_string_equal(yyjson_get_str(yyjson_ptr_get(root, "/arms/0/scheduling")), "window");
	assert_true(yyjson_is_true(yyjson_ptr_get(root, "/arms/0/saturated")));
	assert_null(yyjson_ptr_get(root, "/arms/0/error"));
	assert_near(yyjson_get_num(yyjson_ptr_get(root, "/arms/0/tokens_per_s")), 1234.5);
	assert_near(yyjson_get_num(yyjson_ptr_get(root, "/arms/0/share_of_direct")), 0.97);
	assert_string_equal(yyjson_get_str(yyjson_ptr_get(root, "/arms/0/tenants/0/name")), "quiet");
	assert_int_equal(yyjson_get_int(yyjson_ptr_get(root, "/arms/0/tenants/0/requests/scheduled")),
			 100);
	assert_int_equal(yyjson_get_int(yyjson_ptr_get(root, "/arms/0/tenants/0/requests/ok")), 90);
	assert_int_equal(yyjson_get_int(yyjson_ptr_get(root, "/arms/0/tenants/0/requests/refused")), 4);
	assert_int_equal(yyjson_get_int(yyjson_ptr_get(root, "/arms/0/tenants/0/requests/failed")), 1);
	assert_int_equal(yyjson_get_int(yyjson_ptr_get(root, "/arms/0/tenants/0/requests/unfinished")), 5);
	assert_int_equal(yyjson_get_int(yyjson_ptr_get(root, "/arms/0/tenants/0/ttft_ms/n")), 600);
	assert_near(yyjson_get_num(yyjson_ptr_get(root, "/arms/0/tenants/0/ttft_ms/p50")), 50.5);
	assert_near(yyjson_get_num(yyjson_ptr_get(root, "/arms/0/tenants/0/ttft_ms/p90")), 60);
	assert_near(yyjson_get_num(yyjson_ptr_get(root, "/arms/0/tenants/0/ttft_ms/p99")), 70.25);
	assert_near(yyjson_get_num(yyjson_ptr_get(root, "/arms/0/tenants/0/ratio_to_solo")), 1.25);
	yyjson_doc_free(doc);
}

static void
a_p99_of_fewer_than_500_samples_is_null(void **state)
{
	struct report_tenant *t;
	yyjson_doc *doc;

	(void)state;
	r = (struct report){ .simulated = true };
	t = report_add_tenant(report_add_arm(&r, "solo", "none"), "quiet");
	t->ttft = (struct report_ttft){
		.n = REPORT_P99_MIN_SAMPLES - 1, .p50_ms = 1, .p90_ms = 2, .p99_ms = 3, .max_ms = 4
	};
	doc = written();
	assert_true(yyjson_is_null(
		yyjson_ptr_get(yyjson_doc_get_root(doc), "/arms/0/tenants/0/ttft_ms/p99")));
	assert_false(yyjson_is_null(
		yyjson_ptr_get(yyjson_doc_get_root(doc), "/arms/0/tenants/0/ttft_ms/p90")));
	yyjson_doc_free(doc);
}

static void
what_is_not_known_is_null_and_a_failed_arm_says_why(void **state)
{
	struct report_arm *arm;
	yyjson_doc *doc;
	yyjson_val *root;

	(void)state;
	r = (struct report){ .simulated = true };
	arm = report_add_arm(&r, "fifo", "fifo");
	report_add_tenant(arm, "quiet");
	snprintf(arm->error, sizeof(arm->error), "the engine \"left\"");
	doc = written();
	root = yyjson_doc_get_root(doc);
	assert_true(yyjson_is_null(yyjson_ptr_get(root, "/arms/0/tokens_per_s")));
	assert_true(yyjson_is_null(yyjson_ptr_get(root, "/arms/0/share_of_direct")));
	assert_true(yyjson_is_null(yyjson_ptr_get(root, "/arms/0/tenants/0/ratio_to_solo")));
	assert_true(yyjson_is_null(yyjson_ptr_get(root, "/arms/0/tenants/0/ttft_ms/p50")));
	assert_string_equal(yyjson_get_str(yyjson_ptr_get(root, "/arms/0/error")), "the engine \"left\"");
	yyjson_doc_free(doc);
}

static void
arms_and_tenants_are_bounded_and_the_fullest_report_fits(void **state)
{
	char name[200];

	(void)state;
	r = (struct report){ .simulated = true };
	memset(name, 1, sizeof(name) - 1); /* each byte becomes \u0001 */
	name[sizeof(name) - 1] = '\0';
	for (int a = 0; a < REPORT_ARMS_MAX; a++) {
		struct report_arm *arm = report_add_arm(&r, name, name);

		assert_non_null(arm);
		for (int i = 0; i < REPORT_TENANTS_MAX; i++)
			assert_non_null(report_add_tenant(arm, name));
		assert_null(report_add_tenant(arm, "one too many"));
	}
	assert_null(report_add_arm(&r, "one too many", "fifo"));
	yyjson_doc_free(written());
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_report_says_its_schema_its_version_and_whether_it_was_simulated),
		cmocka_unit_test(every_figure_of_an_arm_and_its_tenants_stands_where_readers_expect_it),
		cmocka_unit_test(a_p99_of_fewer_than_500_samples_is_null),
		cmocka_unit_test(what_is_not_known_is_null_and_a_failed_arm_says_why),
		cmocka_unit_test(arms_and_tenants_are_bounded_and_the_fullest_report_fits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
