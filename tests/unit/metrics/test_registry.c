/* SPDX-License-Identifier: MIT */
#include <ctype.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>
#include "base/map.h"
#include "metrics/render.h"

/* A strict reader of the text format: what it does not understand fails the test. ------------------------------------ */
struct exposition {
	struct buf text;
	struct map series; /* whole line up to the value -> the value's text */
	struct map types;  /* family -> type */
	size_t n_series;
};

static const char *
read_name(const char *p)
{
	assert_true(isalpha((unsigned char)*p) || *p == '_');
	while (isalnum((unsigned char)*p) || *p == '_' || *p == ':')
		p++;
	return p;
}

static const char *
read_labels(const char *p)
{
	if (*p != '{')
		return p;
	do {
		p = read_name(p + 1);
		assert_memory_equal(p, "=\"", 2);
		for (p += 2; *p != '"'; p++) {
			assert_true(*p != '\n' && *p != '\0');
			if (*p == '\\') {
				p++;
				assert_non_null(strchr("\\n\"", *p));
			}
		}
		p++;
	} while (*p == ',');
	assert_int_equal(*p, '}');
	return p + 1;
}

static void
read_comment(struct exposition *e, char *line)
{
	char *name = line + 7, *end = strchr(name, ' ');

	assert_true(strncmp(line, "# HELP ", 7) == 0 || strncmp(line, "# TYPE ", 7) == 0);
	assert_non_null(end);
	if (line[2] == 'T')
		assert_null(map_put(&e->types, (struct slice){ name, (size_t)(end - name) }, end + 1));
}

static void
read_sample(struct exposition *e, char *line)
{
	char *end;
	const char *labels = read_name(line);
	const char *value = read_labels(labels);
	char *rest;

	assert_int_equal(*value, ' ');
	end = line + (value - line);
	*end = '\0';
	strtod(value + 1, &rest);
	assert_true(rest > value + 1 && *rest == '\0');
	/* The same series twice is an error of the whole exposition. */
	assert_null(map_put(&e->series, slice_of(line), end + 1));
	e->n_series++;
}

static void
read_exposition(struct exposition *e)
{
	char *p;

	map_init(&e->series, 1);
	map_init(&e->types, 2);
	e->n_series = 0;
	buf_add_char(&e->text, '\0');
	assert_false(e->text.overflow);
	for (p = e->text.p; *p;) {
		char *end = strchr(p, '\n');

		assert_non_null(end);
		*end = '\0';
		if (*p == '#')
			read_comment(e, p);
		else
			read_sample(e, p);
		p = end + 1;
	}
}

/* All of it, in slices of @budget. */
static unsigned
render(const struct metrics *m, struct exposition *e, size_t budget)
{
	struct metrics_render r = { 0 };
	unsigned slices = 1;

	buf_init(&e->text, (size_t)512 << 20);
	while (!metrics_render_some(m, &r, &e->text, budget))
		slices++;
	read_exposition(e);
	return slices;
}

static void
finish_exposition(struct exposition *e)
{
	map_finish(&e->series);
	map_finish(&e->types);
	buf_finish(&e->text);
}

static const char *
sample(const struct exposition *e, const char *series)
{
	return map_get(&e->series, slice_of(series));
}

static void
assert_sample(const struct exposition *e, const char *series, const char *value)
{
	const char *got = sample(e, series);

	if (!got)
		fail_msg("no series %s", series);
	assert_string_equal(got, value);
}

/* the fixture: models m0 and m1, tenants quiet and noisy ----------------------------------------------------------- */
static int
set_up(void **state)
{
	struct metrics *m = metrics_create(2, 3);

	metrics_set_model(m, 0, SLICE("m0"), SLICE("vllm"));
	metrics_set_model(m, 1, SLICE("m1"), SLICE("sim"));
	metrics_set_tenant(m, 0, SLICE("quiet"));
	metrics_set_tenant(m, 1, SLICE("noisy"));
	*state = m;
	return 0;
}

static int
tear_down(void **state)
{
	metrics_destroy(*state);
	return 0;
}

#define AT(...) ((struct metrics_at){ __VA_ARGS__ })

static void
every_family_is_announced_even_before_the_first_event(void **state)
{
	static const char *const names[] = {
#define X(ID, name, TYPE, SCOPE, LABEL, BUCKETS, help) name,
#include "metrics/metrics.def"
#undef X
	};
	struct exposition e;

	render(*state, &e, SIZE_MAX);
	for (unsigned i = 0; i < ARRAY_LEN(names); i++)
		assert_non_null(map_get(&e.types, slice_of(names[i])));
	assert_string_equal(map_get(&e.types, SLICE("kvwarden_tenant_ttft_seconds")), "histogram");
	finish_exposition(&e);
}

static void
counters_without_model_and_tenant_start_at_zero(void **state)
{
	struct exposition e;

	render(*state, &e, SIZE_MAX);
	assert_sample(&e, "kvwarden_admission_queue_depth", "0");
	assert_sample(&e, "kvwarden_rejects_total{reason=\"rate_limit\"}", "0");
	assert_sample(&e, "kvwarden_admission_wait_seconds_count", "0");
	assert_sample(&e, "kvwarden_engine_up{model=\"m1\",engine=\"sim\"}", "0");
	assert_null(sample(&e, "kvwarden_tenant_requests_total{tenant=\"quiet\"}"));
	finish_exposition(&e);
}

static void
an_event_reaches_its_own_series_and_no_other(void **state)
{
	struct metrics *m = *state;
	struct exposition e;

	metrics_add(m, METRIC_REQUESTS, AT(.model = 0, .tenant = 1, .label = METRIC_STATUS_ERROR), 1);
	metrics_add(m, METRIC_REQUESTS, AT(.model = 0, .tenant = 1, .label = METRIC_STATUS_ERROR), 2);
	metrics_add(m, METRIC_TENANT_REJECTED, AT(.tenant = 1, .label = METRIC_REASON_RATE_LIMIT), 1);
	metrics_set(m, METRIC_ENGINE_STATE, AT(.model = 1, .label = METRIC_STATE_READY), 1);
	render(m, &e, SIZE_MAX);
	assert_sample(&e, "kvwarden_requests_total{model=\"m0\",tenant=\"noisy\",engine=\"vllm\",status=\"error\"}",
		      "3");
	assert_null(sample(&e, "kvwarden_requests_total{model=\"m0\",tenant=\"noisy\",engine=\"vllm\",status=\"ok\"}"));
	assert_null(sample(&e, "kvwarden_requests_total{model=\"m0\",tenant=\"quiet\",engine=\"vllm\",status=\"error\"}"));
	assert_sample(&e, "kvwarden_tenant_rejected_total{tenant=\"noisy\",reason=\"rate_limit\"}", "1");
	assert_sample(&e, "kvwarden_engine_state{model=\"m1\",state=\"ready\"}", "1");
	assert_sample(&e, "kvwarden_engine_state{model=\"m1\",state=\"starting\"}", "0");
	assert_sample(&e, "kvwarden_engine_state{model=\"m0\",state=\"ready\"}", "0");
	finish_exposition(&e);
}

static void
a_histogram_cumulates_and_a_bound_belongs_to_its_bucket(void **state)
{
	struct metrics *m = *state;
	struct exposition e;

	metrics_observe(m, METRIC_TENANT_TTFT, AT(.model = 1, .tenant = 0), 0.025);
	metrics_observe(m, METRIC_TENANT_TTFT, AT(.model = 1, .tenant = 0), 0.0251);
	metrics_observe(m, METRIC_TENANT_TTFT, AT(.model = 1, .tenant = 0), 61);
	metrics_observe(m, METRIC_TENANT_TTFT, AT(.model = 1, .tenant = 0), NAN);
	assert_true(metrics_value(m, METRIC_TENANT_TTFT, AT(.model = 1, .tenant = 0)) == 4);
	render(m, &e, SIZE_MAX);
#define TTFT(suffix) "kvwarden_tenant_ttft_seconds" suffix "model=\"m1\",tenant=\"quiet\""
	assert_sample(&e, TTFT("_bucket{") ",le=\"0.025\"}", "2");
	assert_sample(&e, TTFT("_bucket{") ",le=\"0.05\"}", "3");
	assert_sample(&e, TTFT("_bucket{") ",le=\"60\"}", "3");
	assert_sample(&e, TTFT("_bucket{") ",le=\"+Inf\"}", "4");
	assert_sample(&e, TTFT("_count{") "}", "4");
	assert_sample(&e, TTFT("_sum{") "}", "61.0501");
	finish_exposition(&e);
}

static void
what_is_beyond_the_bounds_is_counted_as_other(void **state)
{
	struct metrics *m = *state;
	struct exposition e;

	metrics_add(m, METRIC_TENANT_REQUESTS, AT(.tenant = 3), 1);
	metrics_add(m, METRIC_TENANT_REQUESTS, AT(.tenant = 100000), 1);
	metrics_add(m, METRIC_TOKENS, AT(.model = 99, .tenant = 99, .label = METRIC_KIND_OUTPUT), 7);
	render(m, &e, SIZE_MAX);
	assert_sample(&e, "kvwarden_tenant_requests_total{tenant=\"_other\"}", "2");
	assert_sample(&e, "kvwarden_tokens_total{model=\"_other\",tenant=\"_other\",kind=\"output\"}",
		      "7");
	finish_exposition(&e);
}

static void
label_values_are_escaped_and_cut(void **state)
{
	struct metrics *m = *state;
	struct exposition e;
	char longest[METRICS_NAME_MAX + 64], series[METRICS_NAME_MAX + 128];

	metrics_set_tenant(m, 0, SLICE("a\"b\\c\nd\xff\xc3\xa4"));
	metrics_add(m, METRIC_TENANT_REQUESTS, AT(.tenant = 0), 1);
	memset(longest, 'x', sizeof(longest));
	metrics_set_tenant(m, 1, (struct slice){ longest, sizeof(longest) });
	metrics_add(m, METRIC_TENANT_REQUESTS, AT(.tenant = 1), 1);
	render(m, &e, SIZE_MAX);
	assert_sample(&e, "kvwarden_tenant_requests_total{tenant=\"a\\\"b\\\\c\\nd\xEF\xBF\xBD\xc3\xa4\"}",
		      "1");
	snprintf(series, sizeof(series), "kvwarden_tenant_requests_total{tenant=\"%.*s\"}",
		 METRICS_NAME_MAX, longest);
	assert_sample(&e, series, "1");
	finish_exposition(&e);
}

static void
a_place_given_to_another_name_begins_anew(void **state)
{
	struct metrics *m = *state;
	struct metrics_at at = AT(.model = 0, .tenant = 0);

	metrics_add(m, METRIC_TENANT_REQUESTS, at, 5);
	metrics_observe(m, METRIC_TTFT, at, 1);
	metrics_set_tenant(m, 0, SLICE("quiet"));
	assert_true(metrics_value(m, METRIC_TENANT_REQUESTS, at) == 5);
	metrics_set_tenant(m, 0, SLICE("newcomer"));
	assert_true(metrics_value(m, METRIC_TENANT_REQUESTS, at) == 0);
	assert_true(metrics_value(m, METRIC_TTFT, at) == 0);
}

/* 1,000 tenants on 5 models, every pair in use: the size that the gateway promises to survive. */
static void
a_full_house_renders_in_bounded_slices(void **state)
{
	struct metrics *m = metrics_create(5, 1000);
	struct metrics_render r = { 0 };
	struct exposition e;
	struct buf piece;
	char name[32];
	size_t longest = 0;

	(void)state;
	for (unsigned i = 0; i < 5; i++)
		metrics_set_model(m, i,
				  (struct slice){ name, (size_t)snprintf(name, sizeof(name),
									 "model-%u", i) },
				  SLICE("vllm"));
	for (unsigned t = 0; t < 1000; t++)
		metrics_set_tenant(m, t,
				   (struct slice){ name, (size_t)snprintf(name, sizeof(name),
									  "tenant-%u", t) });
	for (unsigned i = 0; i < 5; i++)
		for (unsigned t = 0; t < 1000; t++) {
			metrics_observe(m, METRIC_TTFT, AT(.model = i, .tenant = t), 0.01);
			metrics_add(m, METRIC_TOKENS, AT(.model = i, .tenant = t), 1);
		}
	buf_init(&piece, 1 << 20);
	for (bool done = false; !done; longest = MAX(longest, piece.n)) {
		buf_clear(&piece);
		done = metrics_render_some(m, &r, &piece, METRICS_RENDER_BUDGET);
	}
	/* One histogram of one pair may go over the budget, no more. */
	assert_true(longest < METRICS_RENDER_BUDGET + 8192);
	assert_true(render(m, &e, METRICS_RENDER_BUDGET) > 100);
	assert_sample(&e, "kvwarden_ttft_seconds_count{model=\"model-4\",tenant=\"tenant-999\"}", "1");
	assert_true(e.n_series > 5000 * 22);
	buf_finish(&piece);
	finish_exposition(&e);
	metrics_destroy(m);
}

/* Many places and nothing in them: the writer must stop for the time's sake although it writes no byte. */
static void
empty_rows_use_up_the_budget_too(void **state)
{
	struct metrics *m = metrics_create(METRICS_MODELS_MAX, METRICS_TENANTS_MAX);
	struct exposition e;

	(void)state;
	assert_true(render(m, &e, METRICS_RENDER_BUDGET) > 10);
	finish_exposition(&e);
	metrics_destroy(m);
}

static void
slices_make_the_same_text_as_one_piece(void **state)
{
	struct metrics *m = *state;
	struct metrics_render whole = { 0 }, sliced = { 0 };
	struct buf a, b;

	metrics_observe(m, METRIC_TTFT, AT(.model = 0, .tenant = 1), 0.3);
	metrics_observe(m, METRIC_TPOT, AT(.model = 1, .tenant = 1), 0.3);
	buf_init(&a, 1 << 20);
	buf_init(&b, 1 << 20);
	assert_true(metrics_render_some(m, &whole, &a, SIZE_MAX));
	while (!metrics_render_some(m, &sliced, &b, 1))
		;
	assert_true(slice_eq(buf_slice(&a), buf_slice(&b)));
	buf_finish(&a);
	buf_finish(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(every_family_is_announced_even_before_the_first_event,
						set_up, tear_down),
		cmocka_unit_test_setup_teardown(counters_without_model_and_tenant_start_at_zero,
						set_up, tear_down),
		cmocka_unit_test_setup_teardown(an_event_reaches_its_own_series_and_no_other,
						set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_histogram_cumulates_and_a_bound_belongs_to_its_bucket,
						set_up, tear_down),
		cmocka_unit_test_setup_teardown(what_is_beyond_the_bounds_is_counted_as_other,
						set_up, tear_down),
		cmocka_unit_test_setup_teardown(label_values_are_escaped_and_cut, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_place_given_to_another_name_begins_anew, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(slices_make_the_same_text_as_one_piece, set_up, tear_down),
		cmocka_unit_test(a_full_house_renders_in_bounded_slices),
		cmocka_unit_test(empty_rows_use_up_the_budget_too),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
