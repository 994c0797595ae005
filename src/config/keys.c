/* SPDX-License-Identifier: MIT */
#include "config/load_impl.h"

#define STRUCT_TOP struct config
#define STRUCT_TIMEOUTS struct config_timeouts
#define STRUCT_HTTP struct config_http
#define STRUCT_MODEL struct config_model
#define STRUCT_ORG struct config_organisation
#define STRUCT_TENANT struct config_tenant
#define STRUCT_KEY struct config_api_key
#define STRUCT_CACHE struct config_cache
#define STRUCT_TIER struct config_cache

#define RELOAD FLAG_RELOAD
#define RESTART FLAG_RESTART
#define SECRET FLAG_SECRET
const struct key_row config_key_rows[] = {
#define K(SEC, key, TYPE, field, min, max, fallback, flags, doc)                                   \
	{ SEC_##SEC, #key, TYPE_##TYPE, offsetof(STRUCT_##SEC, field), min, max,                   \
	  fallback,  doc,  flags },
#include "config/keys.def"
#undef K
};
const unsigned config_n_key_rows = ARRAY_LEN(config_key_rows);

const char *const config_section_paths[SEC_COUNT] = {
	[SEC_TOP] = "",
	[SEC_TIMEOUTS] = "timeouts.",
	[SEC_HTTP] = "http.",
	[SEC_MODEL] = "models[].",
	[SEC_ORG] = "organisations[].",
	[SEC_TENANT] = "tenants[].",
	[SEC_KEY] = "tenants[].api_keys[].",
	[SEC_CACHE] = "cache.",
	[SEC_TIER] = "cache.tiers[].",
};

static const char *const words_auth[] = { "", "keys", "none", NULL };
static const char *const words_scheduling[] = { "", "fair", "window", "fifo", "drr", NULL };
static const char *const words_loading[] = { "reject", "wait", NULL };
static const char *const words_engine[] = { "vllm", "sglang", "openai", "sim", NULL };
static const char *const words_action[] = { "reject", "queue", NULL };

const char *const *const config_words[TYPE_COUNT] = {
	[TYPE_AUTH] = words_auth,	[TYPE_SCHEDULING] = words_scheduling,
	[TYPE_LOADING] = words_loading, [TYPE_ENGINE] = words_engine,
	[TYPE_ACTION] = words_action,
};

const struct key_row *
keys_section(enum config_section sec, unsigned *ret_n)
{
	const struct key_row *first = NULL;

	*ret_n = 0;
	for (unsigned i = 0; i < config_n_key_rows; i++) {
		if (config_key_rows[i].section != sec)
			continue;
		if (!first)
			first = &config_key_rows[i];
		++*ret_n;
	}
	must(first && *ret_n <= 64);
	return first;
}

config_set
keys_bit(enum config_section sec, const char *key)
{
	unsigned n;
	const struct key_row *rows = keys_section(sec, &n);

	for (unsigned i = 0; i < n; i++)
		if (!strcmp(rows[i].key, key))
			return (config_set)1 << i;
	must(!"a key of the table");
	return 0;
}
