/* SPDX-License-Identifier: MIT */
/* Who is who: rules, keys and names, and the bounded part for names that nobody configured. */
#include <errno.h>
#include <stdlib.h>

#include "tenant/tenant.h"

struct tenant_table {
	struct tenant *v;
	unsigned configured_max, unknown_max, n_configured, n_unknown;
	struct map by_name;		  /* id -> struct tenant; also the configured ones */
	struct map by_hash;		  /* SHA-256 of a key -> struct tenant_key */
	struct map exact;		  /* id -> struct tenant_rule, of those that are no globs */
	const struct tenant_rule **globs; /* longest first */
	unsigned n_globs;
	struct list unknown; /* by last use, longest ago first */
	struct tenant_rules rules;
	unsigned next_label;
	uint64_t generation;
	uint64_t seed;
};

struct tenant_table *
tenant_table_create(unsigned configured_max, unsigned unknown_max, uint64_t seed)
{
	struct tenant_table *t = must_calloc(1, sizeof(*t));

	t->configured_max = configured_max + 2; /* "default" and "_other" are always there */
	t->unknown_max = unknown_max;
	t->seed = seed;
	t->v = must_calloc(t->configured_max + unknown_max, sizeof(*t->v));
	for (unsigned i = 0; i < t->configured_max + unknown_max; i++) {
		t->v[i].index = i;
		list_init(&t->v[i].idle_link);
	}
	list_init(&t->unknown);
	map_init(&t->by_name, seed);
	map_reserve(&t->by_name, (t->configured_max + unknown_max) * 2);
	map_init(&t->by_hash, ~seed);
	map_init(&t->exact, seed);
	return t;
}

void
tenant_table_destroy(struct tenant_table *t)
{
	if (!t)
		return;
	map_finish(&t->by_name);
	map_finish(&t->by_hash);
	map_finish(&t->exact);
	free(t->globs);
	free(t->v);
	free(t);
}

unsigned
tenant_table_capacity(const struct tenant_table *t)
{
	return t->configured_max + t->unknown_max;
}

struct tenant *
tenant_table_at(struct tenant_table *t, unsigned index)
{
	return index < tenant_table_capacity(t) && t->v[index].alive ? &t->v[index] : NULL;
}

/* The rule for a name: an exact one, else the longest glob that fits; NULL when none does. */
static const struct tenant_rule *
rule_for(const struct tenant_table *t, struct slice id)
{
	const struct tenant_rule *exact = map_get(&t->exact, id);

	for (unsigned i = 0; !exact && i < t->n_globs; i++)
		if (slice_glob(id, slice_of(t->globs[i]->pattern)))
			return t->globs[i];
	return exact;
}

/* Longest first; of equal ones the first in the file. */
static int
compare_globs(const void *a, const void *b)
{
	const struct tenant_rule *x = *(const struct tenant_rule *const *)a;
	const struct tenant_rule *y = *(const struct tenant_rule *const *)b;
	size_t nx = strlen(x->pattern), ny = strlen(y->pattern);

	return nx != ny ? (nx < ny ? 1 : -1) : x < y ? -1 : x > y;
}

static void
take_rules(struct tenant_table *t, const struct tenant_rules *rules)
{
	t->rules = *rules;
	map_finish(&t->exact);
	map_init(&t->exact, t->seed);
	map_reserve(&t->exact, rules->n_rules);
	free(t->globs);
	t->globs = must_calloc(MAX(rules->n_rules, 1u), sizeof(*t->globs));
	t->n_globs = 0;
	for (unsigned i = 0; i < rules->n_rules; i++) {
		const struct tenant_rule *r = &rules->rules[i];

		if (r->is_glob)
			t->globs[t->n_globs++] = r;
		else
			map_put(&t->exact, slice_of(r->pattern), (void *)(uintptr_t)r);
	}
	qsort(t->globs, t->n_globs, sizeof(*t->globs), compare_globs);
}

static void
apply(struct tenant_table *t, struct tenant *e, const struct tenant_rule *r, bool fresh, uint64_t now_us)
{
	const struct tenant_limits *l = r ? &r->limits : &t->rules.defaults;

	e->limits = *l;
	e->organisation = r ? r->organisation : -1;
	if (fresh) {
		token_bucket_init(&e->requests, l->rate_rpm / 60.0, l->rate_burst, now_us);
		token_bucket_init(&e->tokens, l->tokens_rpm / 60.0, l->tokens_burst, now_us);
	} else {
		token_bucket_change(&e->requests, l->rate_rpm / 60.0, l->rate_burst, now_us);
		token_bucket_change(&e->tokens, l->tokens_rpm / 60.0, l->tokens_burst, now_us);
	}
}

static void
settle_in(struct tenant_table *t, struct tenant *e, struct slice id, bool configured, uint64_t now_us)
{
	unsigned index = e->index;

	*e = (struct tenant){
		.index = index, .configured = configured, .alive = true, .generation = ++t->generation
	};
	list_init(&e->idle_link);
	if (id.n)
		memcpy(e->id, id.p, id.n);
	e->id[id.n] = '\0';
	e->label = t->next_label < TENANT_LABELS_MAX ? t->next_label++ : TENANT_LABELS_MAX;
	apply(t, e, rule_for(t, id), true, now_us);
	map_put(&t->by_name, (struct slice){ e->id, id.n }, e);
}

/* A configured tenant: a name that came by header before becomes one where it stands. */
static void
ensure_configured(struct tenant_table *t, struct slice id, uint64_t now_us)
{
	struct tenant *e = map_get(&t->by_name, id);

	if (e && e->configured)
		return;
	if (e) {
		e->configured = true;
		list_del(&e->idle_link);
		return;
	}
	must(t->n_configured < t->configured_max);
	settle_in(t, &t->v[t->n_configured++], id, true, now_us);
}

static unsigned
count_new(struct tenant_table *t, const struct tenant_rules *rules)
{
	unsigned n = 0;

	for (unsigned i = 0; i < rules->n_rules; i++)
		if (!rules->rules[i].is_glob && !map_get(&t->by_name, slice_of(rules->rules[i].pattern)))
			n++;
	return n + (t->n_configured ? 0 : 2);
}

int
tenant_table_configure(struct tenant_table *t, const struct tenant_rules *rules, uint64_t now_us)
{
	if (t->n_configured + count_new(t, rules) > t->configured_max)
		return -ENOSPC;
	take_rules(t, rules);
	ensure_configured(t, SLICE(TENANT_DEFAULT), now_us);
	ensure_configured(t, SLICE(TENANT_OTHER), now_us);
	for (unsigned i = 0; i < rules->n_rules; i++)
		if (!rules->rules[i].is_glob)
			ensure_configured(t, slice_of(rules->rules[i].pattern), now_us);
	for (unsigned i = 0; i < tenant_table_capacity(t); i++)
		if (t->v[i].alive)
			apply(t, &t->v[i], rule_for(t, slice_of(t->v[i].id)), false, now_us);
	map_finish(&t->by_hash);
	map_init(&t->by_hash, ~t->seed);
	map_reserve(&t->by_hash, rules->n_keys * 2);
	for (unsigned i = 0; i < rules->n_keys; i++)
		map_put(&t->by_hash,
			(struct slice){ (const char *)rules->keys[i].hash.b, DIGEST_SHA256_BYTES },
			(void *)(uintptr_t)&rules->keys[i]);
	return 0;
}

struct tenant *
tenant_by_key(struct tenant_table *t, struct slice key, const struct tenant_key **ret_key)
{
	const struct tenant_key *k;
	struct sha256 hash;

	/* The look-up goes by a keyed hash of the digest, so its time says nothing about the key; the digest that was
	 * found is compared in constant time again. */
	digest_sha256(key.p, key.n, &hash);
	k = map_get(&t->by_hash, (struct slice){ (const char *)hash.b, DIGEST_SHA256_BYTES });
	if (!k || !digest_equal(&k->hash, &hash))
		return NULL;
	if (ret_key)
		*ret_key = k;
	return map_get(&t->by_name, slice_of(t->rules.rules[k->rule].pattern));
}

/* A place for an unknown tenant: a free one, or that of the one idle longest; NULL when all are busy. */
static struct tenant *
place_for_unknown(struct tenant_table *t)
{
	if (t->n_unknown < t->unknown_max)
		return &t->v[t->configured_max + t->n_unknown++];
	list_for_each(it, &t->unknown) {
		struct tenant *e = list_entry(it, struct tenant, idle_link);

		if (e->active == 0 && e->pins == 0) {
			list_del(&e->idle_link);
			map_del(&t->by_name, slice_of(e->id));
			return e;
		}
	}
	return NULL;
}

struct tenant *
tenant_by_name(struct tenant_table *t, struct slice name, uint64_t now_us)
{
	struct tenant *e = map_get(&t->by_name, name);

	if (!e) {
		if (!tenant_id_valid(name))
			return NULL;
		e = place_for_unknown(t);
		if (!e)
			return map_get(&t->by_name, SLICE(TENANT_OTHER));
		settle_in(t, e, name, false, now_us);
	}
	if (!e->configured) {
		list_del(&e->idle_link);
		list_push_back(&t->unknown, &e->idle_link);
	}
	return e;
}
