/* SPDX-License-Identifier: MIT */
/* Who is who: rules, keys, and the bounded part for names that nobody configured. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "tenant/tenant.h"

#define S 1000000ull
#define T0 (1000 * S)
#define UNKNOWN 4

static const struct tenant_limits plain = { .weight = 1, .rate_rpm = 60, .rate_burst = 60 };

static struct tenant_rule
rule(const char *pattern, double weight)
{
	struct tenant_rule r = { .pattern = pattern,
				 .is_glob = strpbrk(pattern, "*?") != NULL,
				 .organisation = -1,
				 .limits = plain };

	r.limits.weight = weight;
	return r;
}

static struct tenant_table *
table_of(struct tenant_rule *rules, unsigned n, struct tenant_rules *all)
{
	struct tenant_table *t = tenant_table_create(8, UNKNOWN, 42);

	*all = (struct tenant_rules){ .rules = rules, .n_rules = n, .defaults = plain };
	assert_int_equal(tenant_table_configure(t, all, T0), 0);
	return t;
}

static struct tenant *
named(struct tenant_table *t, const char *name, uint64_t now_us)
{
	return tenant_by_name(t, slice_of(name), now_us);
}

static double
weight_of(struct tenant_table *t, const char *name)
{
	return named(t, name, T0)->limits.weight;
}

static void
an_exact_rule_beats_the_longest_glob_beats_the_defaults(void **state)
{
	struct tenant_rule rules[] = { rule("team-*", 2), rule("team-a*", 3), rule("team-a1", 4),
				       rule("*", 5), rule("te?m-b", 6) };
	struct tenant_rules all;
	struct tenant_table *t = table_of(rules, 5, &all);

	(void)state;
	assert_true(weight_of(t, "team-a1") == 4);
	assert_true(weight_of(t, "team-a2") == 3);
	assert_true(weight_of(t, "team-z") == 2);
	assert_true(weight_of(t, "other") == 5);
	tenant_table_destroy(t);
	t = table_of(rules + 4, 1, &all);
	assert_true(weight_of(t, "team-b") == 6);
	assert_true(weight_of(t, "team-c") == 1);
	tenant_table_destroy(t);
}

static void
the_organisation_of_a_rule_is_that_of_its_tenants(void **state)
{
	struct tenant_rule rules[] = { rule("a*", 1) };
	struct tenant_rules all;
	struct tenant_table *t;

	(void)state;
	rules[0].organisation = 3;
	t = table_of(rules, 1, &all);
	assert_int_equal(named(t, "ab", T0)->organisation, 3);
	assert_int_equal(named(t, "b", T0)->organisation, -1);
	tenant_table_destroy(t);
}

static void
one_name_is_one_tenant_and_no_name_is_none(void **state)
{
	struct tenant_rules all;
	struct tenant_table *t = table_of(NULL, 0, &all);

	(void)state;
	assert_ptr_equal(named(t, "a", T0), named(t, "a", T0 + S));
	assert_ptr_not_equal(named(t, "a", T0), named(t, "A", T0));
	assert_string_equal(named(t, "a", T0)->id, "a");
	assert_null(named(t, "", T0));
	assert_null(named(t, "a b", T0));
	assert_true(named(t, TENANT_DEFAULT, T0)->configured);
	assert_true(named(t, TENANT_OTHER, T0)->configured);
	tenant_table_destroy(t);
}

static void
a_place_is_found_by_its_index(void **state)
{
	struct tenant_rules all;
	struct tenant_table *t = table_of(NULL, 0, &all);
	struct tenant *a = named(t, "a", T0);
	unsigned alive = 0;

	(void)state;
	assert_ptr_equal(tenant_table_at(t, a->index), a);
	for (unsigned i = 0; i < tenant_table_capacity(t); i++)
		if (tenant_table_at(t, i))
			alive++;
	assert_int_equal(alive, 3); /* with default and _other */
	assert_null(tenant_table_at(t, tenant_table_capacity(t)));
	tenant_table_destroy(t);
}

/* keys ------------------------------------------------------------------------------------------------------- */

static struct tenant_key
key(const char *text, unsigned of, const char *name)
{
	struct tenant_key k = { .name = name, .weight = 1, .rule = of };

	digest_sha256(text, strlen(text), &k.hash);
	return k;
}

static void
a_key_names_its_tenant_and_nothing_else_does(void **state)
{
	struct tenant_rule rules[] = { rule("a", 2), rule("b", 3) };
	struct tenant_key keys[] = { key("sk-one", 0, "first"), key("sk-two", 1, "second"),
				     key("sk-three", 0, "third") };
	struct tenant_rules all = {
		.rules = rules, .n_rules = 2, .keys = keys, .n_keys = 3, .defaults = plain
	};
	struct tenant_table *t = tenant_table_create(8, UNKNOWN, 42);
	const struct tenant_key *found = NULL;

	(void)state;
	assert_int_equal(tenant_table_configure(t, &all, T0), 0);
	assert_string_equal(tenant_by_key(t, SLICE("sk-one"), &found)->id, "a");
	assert_string_equal(found->name, "first");
	assert_string_equal(tenant_by_key(t, SLICE("sk-three"), &found)->id, "a");
	assert_string_equal(found->name, "third");
	assert_string_equal(tenant_by_key(t, SLICE("sk-two"), NULL)->id, "b");
	found = NULL;
	assert_null(tenant_by_key(t, SLICE("sk-on"), &found));
	assert_null(tenant_by_key(t, SLICE("sk-one "), &found));
	assert_null(tenant_by_key(t, SLICE(""), &found));
	assert_null(tenant_by_key(t, SLICE("a"), &found));
	/* Nor the digest itself, which may stand in a file. */
	assert_null(tenant_by_key(t, (struct slice){ (const char *)keys[0].hash.b, 32 }, &found));
	assert_null(found);
	tenant_table_destroy(t);
}

static void
a_key_that_is_taken_out_opens_nothing_any_more(void **state)
{
	struct tenant_rule rules[] = { rule("a", 2) };
	struct tenant_key keys[] = { key("old", 0, ""), key("new", 0, "") };
	struct tenant_rules all = {
		.rules = rules, .n_rules = 1, .keys = keys, .n_keys = 1, .defaults = plain
	};
	struct tenant_table *t = tenant_table_create(8, UNKNOWN, 42);

	(void)state;
	assert_int_equal(tenant_table_configure(t, &all, T0), 0);
	assert_non_null(tenant_by_key(t, SLICE("old"), NULL));
	all.keys = keys + 1;
	assert_int_equal(tenant_table_configure(t, &all, T0), 0);
	assert_null(tenant_by_key(t, SLICE("old"), NULL));
	assert_non_null(tenant_by_key(t, SLICE("new"), NULL));
	tenant_table_destroy(t);
}

static void
thousands_of_keys_are_all_found(void **state)
{
	enum {
		N = 5000
	};
	static struct tenant_key keys[N];
	struct tenant_rule rules[] = { rule("a", 2) };
	struct tenant_rules all = {
		.rules = rules, .n_rules = 1, .keys = keys, .n_keys = N, .defaults = plain
	};
	struct tenant_table *t = tenant_table_create(8, UNKNOWN, 42);
	char text[32];

	(void)state;
	for (unsigned i = 0; i < N; i++) {
		snprintf(text, sizeof(text), "sk-%u", i);
		keys[i] = key(text, 0, "");
	}
	assert_int_equal(tenant_table_configure(t, &all, T0), 0);
	for (unsigned i = 0; i < N; i++) {
		const struct tenant_key *found;

		snprintf(text, sizeof(text), "sk-%u", i);
		assert_non_null(tenant_by_key(t, slice_of(text), &found));
		assert_ptr_equal(found, &keys[i]);
	}
	tenant_table_destroy(t);
}

/* names that nobody configured -------------------------------------------------------------------------------- */

static void
the_one_idle_longest_gives_its_place(void **state)
{
	struct tenant_rules all;
	struct tenant_table *t = table_of(NULL, 0, &all);
	struct tenant *a = named(t, "a", T0), *b = named(t, "b", T0);
	struct tenant_ticket ticket = { 0 };
	struct tenant_refusal why;
	uint64_t generation = b->generation;

	(void)state;
	named(t, "c", T0);
	named(t, "d", T0);
	named(t, "a", T0 + S); /* so b is the one unused longest */
	b->usage.ok = 7;
	assert_true(tenant_admit(b, 0, T0, &ticket, &why));
	tenant_settle(&ticket, 0, T0);
	assert_ptr_equal(named(t, "e", T0 + S), b);
	assert_string_equal(b->id, "e");
	assert_int_equal(b->usage.ok, 0);
	assert_true(b->generation != generation);
	assert_true(token_bucket_level(&b->requests, T0 + S) == 60); /* a bucket of its own */
	assert_ptr_equal(named(t, "a", T0 + S), a);
	assert_string_not_equal(named(t, "b", T0 + S)->id, TENANT_OTHER); /* c's place now */
	tenant_table_destroy(t);
}

static void
who_has_requests_keeps_his_place(void **state)
{
	struct tenant_rules all;
	struct tenant_table *t = table_of(NULL, 0, &all);
	struct tenant_ticket ticket[UNKNOWN] = { 0 };
	struct tenant_refusal why;
	struct tenant *other;
	char name[2] = "a";

	(void)state;
	for (unsigned i = 0; i < UNKNOWN; i++, name[0]++)
		assert_true(tenant_admit(named(t, name, T0), 0, T0, &ticket[i], &why));
	other = named(t, "late", T0);
	assert_string_equal(other->id, TENANT_OTHER);
	assert_ptr_equal(named(t, "later", T0), other); /* all of them share it */
	tenant_settle(&ticket[2], 0, T0);
	assert_string_equal(named(t, "late", T0)->id, "late");
	assert_string_equal(named(t, "a", T0)->id, "a");
	for (unsigned i = 0; i < UNKNOWN; i++)
		tenant_settle(&ticket[i], 0, T0);
	tenant_table_destroy(t);
}

static void
configured_tenants_are_never_dropped(void **state)
{
	struct tenant_rule rules[] = { rule("vip", 9) };
	struct tenant_rules all;
	struct tenant_table *t = table_of(rules, 1, &all);
	struct tenant *vip = named(t, "vip", T0);
	char name[16];

	(void)state;
	for (unsigned i = 0; i < 1000; i++) {
		snprintf(name, sizeof(name), "u%u", i);
		named(t, name, T0 + S);
	}
	assert_ptr_equal(named(t, "vip", T0), vip);
	assert_string_equal(vip->id, "vip");
	tenant_table_destroy(t);
}

static void
metric_labels_are_bounded(void **state)
{
	struct tenant_rules all;
	struct tenant_table *t = table_of(NULL, 0, &all);
	unsigned highest = 0, shared = 0;
	char name[16];

	(void)state;
	for (unsigned i = 0; i < 3 * TENANT_LABELS_MAX; i++) {
		struct tenant *e;

		snprintf(name, sizeof(name), "u%u", i);
		e = named(t, name, T0);
		highest = MAX(highest, e->label);
		shared += e->label == TENANT_LABELS_MAX;
	}
	assert_int_equal(highest, TENANT_LABELS_MAX);
	assert_int_equal(shared, 2 * TENANT_LABELS_MAX + 2); /* default and _other have one each */
	tenant_table_destroy(t);
}

/* living tables ------------------------------------------------------------------------------------------------ */

static void
new_rules_keep_counts_and_what_is_in_the_buckets(void **state)
{
	struct tenant_rule rules[] = { rule("a", 2) };
	struct tenant_rules all;
	struct tenant_table *t = table_of(rules, 1, &all);
	struct tenant *a = named(t, "a", T0), *u = named(t, "u", T0);
	struct tenant_ticket ticket[2] = { 0 };
	struct tenant_refusal why;

	(void)state;
	assert_true(tenant_admit(a, 0, T0, &ticket[0], &why));
	assert_true(tenant_admit(u, 0, T0, &ticket[1], &why));
	a->usage.tokens_out = 11;
	rules[0].limits.weight = 5;
	rules[0].limits.rate_rpm = rules[0].limits.rate_burst = 600;
	all.defaults.weight = 7;
	assert_int_equal(tenant_table_configure(t, &all, T0), 0);
	assert_ptr_equal(named(t, "a", T0), a);
	assert_true(a->limits.weight == 5 && u->limits.weight == 7);
	assert_int_equal(a->active, 1);
	assert_int_equal(u->active, 1);
	assert_int_equal(a->usage.tokens_out, 11);
	assert_true(token_bucket_level(&a->requests, T0) == 59); /* not filled by the new rules */
	assert_true(token_bucket_level(&a->requests, T0 + S) == 69);
	tenant_settle(&ticket[0], 0, T0);
	tenant_settle(&ticket[1], 0, T0);
	tenant_table_destroy(t);
}

static void
a_name_that_came_by_header_may_become_configured(void **state)
{
	struct tenant_rule rules[] = { rule("u", 2) };
	struct tenant_rules all;
	struct tenant_table *t = table_of(NULL, 0, &all);
	struct tenant *u = named(t, "u", T0);
	char name[16];

	(void)state;
	u->usage.ok = 3;
	all.rules = rules;
	all.n_rules = 1;
	assert_int_equal(tenant_table_configure(t, &all, T0), 0);
	for (unsigned i = 0; i < 100; i++) {
		snprintf(name, sizeof(name), "x%u", i);
		named(t, name, T0 + S);
	}
	assert_ptr_equal(named(t, "u", T0), u);
	assert_int_equal(u->usage.ok, 3);
	assert_true(u->limits.weight == 2);
	tenant_table_destroy(t);
}

static void
too_many_rules_change_nothing(void **state)
{
	struct tenant_rule rules[10];
	struct tenant_rules all, more;
	struct tenant_table *t;
	static const char *const names[] = { "a", "b", "c", "d", "e", "f", "g", "h", "i", "j" };

	(void)state;
	for (unsigned i = 0; i < 10; i++)
		rules[i] = rule(names[i], 2);
	t = table_of(rules, 8, &all);
	more = all;
	more.n_rules = 10;
	more.defaults.weight = 99;
	assert_int_equal(tenant_table_configure(t, &more, T0), -ENOSPC);
	assert_true(weight_of(t, "stranger") == 1);
	assert_false(named(t, "j", T0)->configured);
	assert_int_equal(tenant_table_configure(t, &all, T0), 0);
	tenant_table_destroy(t);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_exact_rule_beats_the_longest_glob_beats_the_defaults),
		cmocka_unit_test(the_organisation_of_a_rule_is_that_of_its_tenants),
		cmocka_unit_test(one_name_is_one_tenant_and_no_name_is_none),
		cmocka_unit_test(a_place_is_found_by_its_index),
		cmocka_unit_test(a_key_names_its_tenant_and_nothing_else_does),
		cmocka_unit_test(a_key_that_is_taken_out_opens_nothing_any_more),
		cmocka_unit_test(thousands_of_keys_are_all_found),
		cmocka_unit_test(the_one_idle_longest_gives_its_place),
		cmocka_unit_test(who_has_requests_keeps_his_place),
		cmocka_unit_test(configured_tenants_are_never_dropped),
		cmocka_unit_test(metric_labels_are_bounded),
		cmocka_unit_test(new_rules_keep_counts_and_what_is_in_the_buckets),
		cmocka_unit_test(a_name_that_came_by_header_may_become_configured),
		cmocka_unit_test(too_many_rules_change_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
