/* SPDX-License-Identifier: MIT */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/str.h"
#include "bench/arm.h"
#include "bench/arm_table.h"
#include "bench/server.h"

static struct report r; /* too large for a stack */
static struct arm_outcome outcome;

static struct load_tenant_result *
tenant(const char *name, double p50_ms)
{
	struct load_tenant_result *t = &outcome.load.tenants[outcome.load.n_tenants++];

	*t = (struct load_tenant_result){ .scheduled = 10,
					  .ok = 8,
					  .refused = 1,
					  .unfinished = 1,
					  .n = 10,
					  .p50_ms = p50_ms,
					  .p90_ms = 2 * p50_ms,
					  .p99_ms = 3 * p50_ms,
					  .max_ms = INFINITY,
					  .tokens = 500 };
	memcpy(t->name, name, strlen(name) + 1);
	return t;
}

static void
begin(unsigned looks, unsigned full)
{
	outcome = (struct arm_outcome){ .looks = looks, .full = full, .load = { .measured_s = 5 } };
}

static void
report(const char *arm)
{
	arm_report(&r, arm_kind_find(slice_of(arm)), &outcome);
}

static void
assert_in_table(const char *text)
{
	struct buf out;

	buf_init(&out, 1 << 16);
	arm_table_write(&r, ARM_QUIET, ARM_FLOODER, &out);
	if (!strstr(buf_cstr(&out), text))
		fail_msg("no '%s' in\n%s", text, buf_cstr(&out));
	buf_finish(&out);
}

static int
setup(void **state)
{
	(void)state;
	r = (struct report){ .simulated = true };
	begin(10, 0);
	tenant(ARM_QUIET, 20);
	report("solo");
	begin(10, 9);
	tenant(ARM_QUIET, 3000);
	tenant(ARM_FLOODER, 3000)->tokens = 1500;
	report("direct");
	return 0;
}

static void
ratios_refer_to_solo_and_shares_to_direct(void **state)
{
	(void)state;
	begin(10, 10);
	tenant(ARM_QUIET, 40);
	tenant(ARM_FLOODER, 40)->tokens = 1000;
	report("window");
	assert_true(r.arms[0].tenants[0].ratio_to_solo == 1);
	assert_true(isnan(r.arms[0].share_of_direct));
	assert_true(r.arms[1].tenants[0].ratio_to_solo == 150);
	assert_true(r.arms[1].share_of_direct == 1);
	assert_true(r.arms[2].tenants[0].ratio_to_solo == 2);
	assert_true(isnan(r.arms[2].tenants[1].ratio_to_solo));
	assert_true(r.arms[2].share_of_direct == 0.75);
	assert_true(r.arms[2].tokens_per_s == 300);
	assert_string_equal(r.arms[2].scheduling, "window");
}

static void
a_failed_arm_is_no_reference_and_says_why_in_its_line(void **state)
{
	(void)state;
	r = (struct report){ 0 };
	begin(10, 0);
	memcpy(outcome.error, "the gateway ended", sizeof("the gateway ended"));
	report("solo");
	begin(10, 9);
	tenant(ARM_QUIET, 40);
	report("fifo");
	assert_true(isnan(r.arms[1].tenants[0].ratio_to_solo));
	assert_in_table("FAILED: the gateway ended");
}

static void
an_arm_is_saturated_when_the_engine_was_full_most_of_the_time(void **state)
{
	(void)state;
	assert_false(r.arms[0].saturated);
	assert_true(r.arms[1].saturated);
	begin(10, 7);
	assert_false(arm_was_saturated(&outcome));
	begin(0, 0); /* an engine that says nothing proves nothing */
	assert_false(arm_was_saturated(&outcome));
}

static void
the_table_withholds_a_p99_of_few_samples_and_names_the_unfinished(void **state)
{
	(void)state;
	assert_in_table("20.0       40.0 unfinished    1.00x");
	assert_in_table("3000       6000 unfinished     150x        8        1");
	assert_in_table("100 %  yes");
	begin(10, 10);
	tenant(ARM_QUIET, 20)->n = 500;
	report("window");
	assert_in_table("p99");
	assert_in_table("20.0       40.0       60.0 unfinished    1.00x");
	assert_in_table("3000       6000          - unfinished");
}

static void
each_arm_of_the_gateway_has_its_policy_in_its_configuration(void **state)
{
	struct buf out;

	(void)state;
	buf_init(&out, 4096);
	arm_write_config(arm_kind_find(SLICE("token_bucket")), "http://127.0.0.1:9", "m", 4, &out);
	assert_non_null(strstr(buf_cstr(&out), "scheduling: fifo\n"));
	assert_non_null(strstr(buf_cstr(&out), "rate_limit_rpm: 600\n  rate_limit_burst: 10\n"));
	assert_non_null(strstr(buf_cstr(&out), "endpoint: \"http://127.0.0.1:9\"\n"));
	assert_null(strstr(buf_cstr(&out), "max_in_flight"));
	buf_clear(&out);
	arm_write_config(arm_kind_find(SLICE("window")), "http://127.0.0.1:9", "m", 4, &out);
	assert_non_null(strstr(buf_cstr(&out), "scheduling: window\n"));
	assert_non_null(strstr(buf_cstr(&out), "max_in_flight: 4\n"));
	assert_null(strstr(buf_cstr(&out), "rate_limit"));
	buf_finish(&out);
	assert_null(arm_kind_find(SLICE("winning")));
}

static void
the_address_of_a_server_comes_from_its_report(void **state)
{
	char url[SERVER_URL_BYTES] = "";

	(void)state;
	assert_true(server_url_from_report(SLICE("{\"address\":\"127.0.0.1\",\"port\":81,\"pid\":7}"),
					   url, sizeof(url)));
	assert_string_equal(url, "http://127.0.0.1:81");
	assert_true(server_url_from_report(SLICE("{\"address\":\"::1\",\"port\":81}"), url, sizeof(url)));
	assert_string_equal(url, "http://[::1]:81");
	assert_false(server_url_from_report(SLICE("listening on 81"), url, sizeof(url)));
	assert_false(server_url_from_report(SLICE("{\"port\":81}"), url, sizeof(url)));
	assert_false(server_url_from_report(SLICE("{\"address\":\"a\",\"port\":70000}"), url,
					    sizeof(url)));
}

#define T(f) cmocka_unit_test_setup(f, setup)
int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(ratios_refer_to_solo_and_shares_to_direct),
		T(a_failed_arm_is_no_reference_and_says_why_in_its_line),
		T(an_arm_is_saturated_when_the_engine_was_full_most_of_the_time),
		T(the_table_withholds_a_p99_of_few_samples_and_names_the_unfinished),
		T(each_arm_of_the_gateway_has_its_policy_in_its_configuration),
		T(the_address_of_a_server_comes_from_its_report),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
