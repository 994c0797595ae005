/* SPDX-License-Identifier: MIT */
/*
 * Contracts: every field of a tenant that its own entry does not give comes from tenant_defaults, and from the table
 * when that is silent too.
 */
#include "config/load_impl.h"

#include <stdlib.h>
#include "base/map.h"

#define API_KEY_MIN 8 /* bytes of a plain key: anything shorter is guessed */
#define HASH_PREFIX "sha256:"
#define ENV_NAME "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_"

/* While tenants are read.  The maps bring up duplicates. */
struct tenants_reader {
	struct loader *l;
	struct config_tenant defaults;
	struct tenant_rule *rules;
	struct tenant_key *keys;
	struct map ids, hashes;
	unsigned n_keys;
};

static void
load_organisations(struct loader *l, struct fy_node *root)
{
	struct fy_node *list = reader_child(root, "organisations"), *n;
	struct config *c = l->c;
	unsigned count = reader_count(l, list, CONFIG_ORGANISATIONS_MAX, "organisations");
	void *at = NULL;

	c->organisations = config_alloc(c, MAX(count, 1u) * sizeof(*c->organisations));
	for (unsigned i = 0; i < count && (n = reader_next(list, &at)); i++) {
		struct config_organisation *o = &c->organisations[c->n_organisations];

		reader_defaults(c, SEC_ORG, o);
		o->set = reader_section(l, SEC_ORG, n, o);
		if (!o->id) {
			load_error(l, n, NULL, "an organisation without id");
			continue;
		}
		for (unsigned k = 0; k < c->n_organisations; k++)
			if (!strcmp(c->organisations[k].id, o->id))
				load_error(l, n, NULL, "organisation %.100s stands twice", o->id);
		c->n_organisations++;
	}
}

static int
find_organisation(struct loader *l, struct fy_node *n, const char *id)
{
	const struct config *c = l->c;
	const char *near = NULL;
	unsigned best = 4;

	if (!id)
		return -1;
	for (unsigned i = 0; i < c->n_organisations; i++) {
		unsigned d = slice_distance(slice_of(id), slice_of(c->organisations[i].id), 3);

		if (d == 0)
			return (int)i;
		if (d < best) {
			best = d;
			near = c->organisations[i].id;
		}
	}
	if (near)
		load_error(l, reader_child(n, "organisation"), NULL,
			   "organisation %.100s is not configured; did you mean %.100s?", id, near);
	else
		load_error(l, reader_child(n, "organisation"),
			   "add it under organisations:", "organisation %.100s is not configured", id);
	return -1;
}

/* A bucket that nobody sized holds a minute's worth; one that is off, nothing. */
static double
burst_of(double rate, double burst)
{
	return rate > 0 && burst > 0 ? burst : rate;
}

/* What a contract says, as the gateway uses it. */
static struct tenant_limits
limits_of(const struct config *c, const struct config_tenant *t)
{
	bool own_age = t->set & keys_bit(SEC_TENANT, "queue_age_s");

	return (struct tenant_limits){
		.rate_rpm = t->rate_limit_rpm,
		.rate_burst = burst_of(t->rate_limit_rpm, t->rate_limit_burst),
		.tokens_rpm = t->rate_limit_tpm,
		.tokens_burst = burst_of(t->rate_limit_tpm, t->rate_limit_tpm_burst),
		.max_concurrent = (unsigned)t->max_concurrent_requests,
		.rate_action = (enum tenant_action)t->rate_limit_action,
		.tokens_action = (enum tenant_action)t->rate_limit_tpm_action,
		.concurrency_action = (enum tenant_action)t->max_concurrent_requests_action,
		.weight = t->weight,
		.priority = (int)t->priority,
		.gpu_memory_gb = t->max_gpu_memory_gb,
		.queue_requests = (unsigned)t->queue_requests,
		.queue_bytes = (uint64_t)t->queue_bytes,
		.queue_age_us = (uint64_t)((own_age ? t->queue_age_s : c->admission_timeout_s) * 1e6),
	};
}

/* Only an entry of tenants may have these, or only tenant_defaults. */
static void
refuse_key(struct loader *l, struct fy_node *n, config_set set, const char *key, const char *why)
{
	if (set & keys_bit(SEC_TENANT, key))
		load_error(l, reader_child(n, key), NULL, "%s: %s", key, why);
}

static void
load_defaults(struct tenants_reader *r, struct fy_node *root)
{
	struct loader *l = r->l;
	struct fy_node *n = reader_child(root, "tenant_defaults");
	struct config_tenant *t = &r->defaults;

	reader_defaults(l->c, SEC_TENANT, t);
	if (n && fy_node_is_mapping(n)) {
		t->set = reader_section(l, SEC_TENANT, n, t);
		refuse_key(l, n, t->set, "id", "tenant_defaults is nobody in particular");
		refuse_key(l, n, t->set, "organisation", "belongs to an entry of tenants");
		refuse_key(l, n, t->set, "api_keys", "belongs to an entry of tenants");
	}
	l->c->tenants.defaults = limits_of(l->c, t);
}

static bool
hash_of(struct loader *l, struct fy_node *n, const char *text, struct sha256 *ret)
{
	struct slice s = slice_of(text), prefix = SLICE(HASH_PREFIX);

	if (slice_starts(s, prefix)) {
		if (digest_from_hex((struct slice){ s.p + prefix.n, s.n - prefix.n }, ret) == 0)
			return true;
		load_error(l, n, HASH_PREFIX " and 64 hexadecimal digits", "this is no SHA-256 of a key");
		return false;
	}
	if (s.n < API_KEY_MIN) {
		load_error(l, n, "make one with: openssl rand -hex 24",
			   "an API key shorter than %d bytes", API_KEY_MIN);
		return false;
	}
	digest_sha256(s.p, s.n, ret);
	return true;
}

/* The text that a key's entry stands for; *@key gets the rest of the entry. */
static const char *
key_text(struct loader *l, struct fy_node *n, struct config_api_key *key)
{
	const char *value;

	reader_defaults(l->c, SEC_KEY, key);
	if (fy_node_is_scalar(n))
		return reader_string(l, n);
	key->set = reader_section(l, SEC_KEY, n, key);
	if (!key->hash == !key->env) {
		load_error(l, n, NULL, "a key needs either hash or env");
		return NULL;
	}
	if (key->hash && !slice_starts(slice_of(key->hash), SLICE(HASH_PREFIX))) {
		load_error(l, n, "a plain key stands in the list itself",
			   "hash: " HASH_PREFIX " and 64 digits are expected");
		return NULL;
	}
	if (key->hash)
		return key->hash;
	value = getenv(key->env);
	if (!value || !*value) {
		if (key->env[strspn(key->env, ENV_NAME)] == '\0')
			load_error(l, reader_child(n, "env"), NULL,
				   "environment variable %.100s is not set", key->env);
		else /* perhaps the key itself: not for a log */
			load_error(l, reader_child(n, "env"), NULL,
				   "env: the name of an environment variable is expected");
		return NULL;
	}
	return value;
}

static void
load_key(struct tenants_reader *r, struct fy_node *n, unsigned rule, unsigned room)
{
	struct config_api_key entry = { 0 };
	const char *text = key_text(r->l, n, &entry);
	struct tenant_key *k;
	struct sha256 hash;
	struct slice id;

	if (!text || !hash_of(r->l, n, text, &hash))
		return;
	must(r->n_keys < room);
	k = &r->keys[r->n_keys++];
	*k = (struct tenant_key){
		.hash = hash, .name = entry.name ? entry.name : "", .weight = entry.weight, .rule = rule
	};
	id = (struct slice){ (const char *)k->hash.b, sizeof(k->hash.b) };
	if (map_get(&r->hashes, id))
		load_error(r->l, n, NULL, "this key is configured twice");
	else
		(void)map_put(&r->hashes, id, k);
}

static void
load_rule(struct tenants_reader *r, struct fy_node *n, struct tenant_rule *rule)
{
	struct loader *l = r->l;
	struct config_tenant t = r->defaults;

	t.id = t.organisation = NULL;
	t.set |= reader_section(l, SEC_TENANT, n, &t);
	if (!t.id) {
		load_error(l, n, NULL, "a tenant without id");
		return;
	}
	if (reader_child(n, "scheduling"))
		load_error(l, reader_child(n, "scheduling"), "write it at the top level",
			   "scheduling: holds for all tenants");
	rule->pattern = t.id;
	rule->is_glob = strpbrk(t.id, "*?") != NULL;
	rule->organisation = find_organisation(l, n, t.organisation);
	rule->limits = limits_of(l->c, &t);
	if (strlen(t.id) > TENANT_ID_MAX)
		load_error(l, reader_child(n, "id"), NULL, "id: longer than %d bytes", TENANT_ID_MAX);
	else if (map_get(&r->ids, slice_of(t.id)))
		load_error(l, reader_child(n, "id"), NULL, "tenant %.128s stands twice", t.id);
	else
		(void)map_put(&r->ids, slice_of(t.id), rule);
	if (!rule->is_glob)
		l->c->n_exact_tenants++;
}

static unsigned
count_keys(struct loader *l, struct fy_node *list)
{
	struct fy_node *n;
	void *at = NULL;
	unsigned sum = 0;

	while ((n = reader_next(list, &at)) && sum <= CONFIG_KEYS_MAX)
		sum += reader_count(l, reader_child(n, "api_keys"), CONFIG_KEYS_MAX,
				    "api_keys of one tenant");
	if (sum <= CONFIG_KEYS_MAX)
		return sum;
	load_error(l, list, NULL, "more than %d API keys", CONFIG_KEYS_MAX);
	return 0;
}

static void
load_rules(struct tenants_reader *r, struct fy_node *list, unsigned n_rules, unsigned room)
{
	void *at = NULL;

	for (unsigned i = 0; i < n_rules; i++) {
		struct fy_node *n = reader_next(list, &at), *keys = reader_child(n, "api_keys"), *key;
		void *key_at = NULL;

		load_rule(r, n, &r->rules[i]);
		if (keys && r->rules[i].is_glob) {
			load_error(r->l, keys, "give the tenant that it is meant for an entry of its own",
				   "api_keys: a glob names many tenants, a key names one");
			continue;
		}
		while ((key = reader_next(keys, &key_at)))
			load_key(r, key, i, room);
	}
}

void
tenants_load(struct loader *l, struct fy_node *root)
{
	struct fy_node *list = reader_child(root, "tenants");
	struct tenants_reader r = { .l = l };
	unsigned n = reader_count(l, list, CONFIG_TENANTS_MAX, "tenants"), room = count_keys(l, list);

	load_organisations(l, root);
	load_defaults(&r, root);
	r.rules = config_alloc(l->c, MAX(n, 1u) * sizeof(*r.rules));
	r.keys = config_alloc(l->c, MAX(room, 1u) * sizeof(*r.keys));
	map_init(&r.ids, 0);
	map_init(&r.hashes, 0);
	load_rules(&r, list, n, room);
	map_finish(&r.ids);
	map_finish(&r.hashes);
	l->c->tenants.rules = r.rules;
	l->c->tenants.n_rules = n;
	l->c->tenants.keys = r.keys;
	l->c->tenants.n_keys = r.n_keys;
}
