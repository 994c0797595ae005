/* SPDX-License-Identifier: MIT */
/* The snapshot as YAML that could be loaded again but for its secrets. */
#include "base/json_writer.h"
#include "config/load_impl.h"

#define HASH_SHOWN 4 /* bytes of a key's SHA-256: enough to tell keys apart, useless to find one */

/* A JSON string is a YAML string. */
static void
quoted(struct buf *out, const char *s)
{
	struct json_writer w;

	jw_init(&w, out);
	jw_str(&w, s);
}

static void
show_value(const struct key_row *row, const char *at, struct buf *out)
{
	const char *s;

	switch (row->type) {
	case TYPE_STRING:
		s = *(char *const *)(const void *)at;
		if (!s)
			buf_add_str(out, "null");
		else if (row->flags & FLAG_SECRET)
			buf_add_str(out, "\"***\"");
		else
			quoted(out, s);
		break;
	case TYPE_WINDOW:
		if (!*(const int64_t *)(const void *)at) {
			buf_add_str(out, "auto");
			break;
		}
		/* fall through */
	case TYPE_INT:
		buf_addf(out, "%lld", (long long)*(const int64_t *)(const void *)at);
		break;
	case TYPE_NUMBER:
		buf_addf(out, "%.15g", *(const double *)(const void *)at);
		break;
	case TYPE_BOOL:
		buf_add_str(out, *(const bool *)at ? "true" : "false");
		break;
	default:
		buf_add_str(out, config_words[row->type][*(const int *)(const void *)at]);
	}
}

/* A number without a default that nobody set has no value to show. */
static bool
is_shown(const struct key_row *row, config_set set, unsigned i)
{
	if (row->type == TYPE_LIST || row->type == TYPE_MAP || row->type == TYPE_ANY)
		return false;
	return row->type == TYPE_STRING || *row->fallback || row->type >= TYPE_WINDOW || (set >> i & 1);
}

static void
show_section(enum config_section sec, const void *from, config_set set, const char *first,
	     const char *rest, struct buf *out)
{
	unsigned n, shown = 0;
	const struct key_row *rows = keys_section(sec, &n);

	for (unsigned i = 0; i < n; i++) {
		if (!is_shown(&rows[i], set, i))
			continue;
		buf_addf(out, "%s%s: ", shown++ ? rest : first, rows[i].key);
		show_value(&rows[i], (const char *)from + rows[i].offset, out);
		buf_add_char(out, '\n');
	}
}

static void
show_strings(const char *indent, const char *key, char *const *v, unsigned n, struct buf *out)
{
	if (!n)
		return;
	buf_addf(out, "%s%s: [", indent, key);
	for (unsigned i = 0; i < n; i++) {
		buf_add_str(out, i ? ", " : "");
		quoted(out, v[i]);
	}
	buf_add_str(out, "]\n");
}

/* Off is 0, which holds against tenant_defaults too; null would inherit. */
static void
show_limit(const char *indent, const char *key, double v, struct buf *out)
{
	buf_addf(out, "%s%s: %.15g\n", indent, key, MAX(v, 0));
}

/* A bucket that is not there has no size. */
static void
show_burst(const char *indent, const char *key, double v, struct buf *out)
{
	if (v > 0)
		show_limit(indent, key, v, out);
	else
		buf_addf(out, "%s%s: null\n", indent, key);
}

static void
show_limits(const char *indent, const struct tenant_limits *l, struct buf *out)
{
	const char *const *action = config_words[TYPE_ACTION];

	buf_addf(out, "%sweight: %.15g\n", indent, l->weight);
	show_limit(indent, "rate_limit_rpm", l->rate_rpm, out);
	show_burst(indent, "rate_limit_burst", l->rate_burst, out);
	buf_addf(out, "%srate_limit_action: %s\n", indent, action[l->rate_action]);
	show_limit(indent, "rate_limit_tpm", l->tokens_rpm, out);
	show_burst(indent, "rate_limit_tpm_burst", l->tokens_burst, out);
	buf_addf(out, "%srate_limit_tpm_action: %s\n", indent, action[l->tokens_action]);
	show_limit(indent, "max_concurrent_requests", l->max_concurrent, out);
	buf_addf(out, "%smax_concurrent_requests_action: %s\n", indent, action[l->concurrency_action]);
	buf_addf(out, "%smax_gpu_memory_gb: %.15g\n%spriority: %d\n", indent, l->gpu_memory_gb,
		 indent, l->priority);
	buf_addf(out, "%squeue_requests: %u\n%squeue_bytes: %llu\n%squeue_age_s: %.15g\n", indent,
		 l->queue_requests, indent, (unsigned long long)l->queue_bytes, indent,
		 (double)l->queue_age_us / 1e6);
}

static void
show_keys(const struct config *c, unsigned rule, struct buf *out)
{
	unsigned shown = 0;

	for (unsigned i = 0; i < c->tenants.n_keys; i++) {
		const struct tenant_key *k = &c->tenants.keys[i];

		if (k->rule != rule)
			continue;
		buf_add_str(out, shown++ ? ", " : "    api_keys: [");
		buf_add_str(out, "\"sha256:");
		for (int b = 0; b < HASH_SHOWN; b++)
			buf_addf(out, "%02x", k->hash.b[b]);
		buf_add_str(out, "***\"");
	}
	if (shown)
		buf_add_str(out, "]\n");
}

static void
show_tenants(const struct config *c, struct buf *out)
{
	buf_add_str(out, "tenant_defaults:\n");
	show_limits("  ", &c->tenants.defaults, out);
	if (c->n_organisations)
		buf_add_str(out, "organisations:\n");
	for (unsigned i = 0; i < c->n_organisations; i++)
		show_section(SEC_ORG, &c->organisations[i], c->organisations[i].set, "  - ", "    ", out);
	if (c->tenants.n_rules)
		buf_add_str(out, "tenants:\n");
	for (unsigned i = 0; i < c->tenants.n_rules; i++) {
		const struct tenant_rule *r = &c->tenants.rules[i];

		buf_add_str(out, "  - id: ");
		quoted(out, r->pattern);
		buf_add_char(out, '\n');
		if (r->organisation >= 0) {
			buf_add_str(out, "    organisation: ");
			quoted(out, c->organisations[r->organisation].id);
			buf_add_char(out, '\n');
		}
		show_limits("    ", &r->limits, out);
		show_keys(c, i, out);
	}
}

void
config_show(const struct config *c, struct buf *out)
{
	show_section(SEC_TOP, c, c->set, "", "", out);
	show_strings("", "trusted_peers", c->trusted_peers, c->n_trusted_peers, out);
	buf_add_str(out, "timeouts:\n");
	show_section(SEC_TIMEOUTS, &c->timeouts, c->timeouts.set, "  ", "  ", out);
	buf_add_str(out, "http:\n");
	show_section(SEC_HTTP, &c->http, c->http.set, "  ", "  ", out);
	buf_add_str(out, c->n_models ? "models:\n" : "models: []\n");
	for (unsigned i = 0; i < c->n_models; i++) {
		const struct config_model *m = &c->models[i];

		show_section(SEC_MODEL, m, m->set, "  - ", "    ", out);
		show_strings("    ", "extra_args", m->extra_args, m->n_extra_args, out);
	}
	show_tenants(c, out);
}
