/* SPDX-License-Identifier: MIT */
/*
 * load_impl - what the files of the loader share: reader.c turns a mapping of the file into a section's struct by the
 * table, load.c walks the sections and resolves what depends on several.
 */
#pragma once
#include <libfyaml.h>
#include "config/config.h"

enum config_section {
	SEC_TOP, SEC_TIMEOUTS, SEC_HTTP, SEC_MODEL, SEC_ORG, SEC_TENANT, SEC_KEY, SEC_CACHE, SEC_TIER, SEC_COUNT
};

enum config_type {
	TYPE_STRING, TYPE_INT, TYPE_NUMBER, TYPE_BOOL, TYPE_LIST, TYPE_MAP, TYPE_ANY,
	TYPE_WINDOW,		/* a number, or auto */
	TYPE_AUTH, TYPE_SCHEDULING, TYPE_LOADING, TYPE_ENGINE, TYPE_ACTION, TYPE_COUNT
};

/* One entry of tenants, or tenant_defaults. */
struct config_tenant {
	config_set set;
	char *id, *organisation;
	double weight, rate_limit_rpm, rate_limit_burst, rate_limit_tpm, rate_limit_tpm_burst, max_gpu_memory_gb, queue_age_s;
	int64_t max_concurrent_requests, priority, queue_requests, queue_bytes;
	unsigned n_api_keys, api_keys;	/* how many, and the first one's place in loader.keys */
	int rate_limit_action, rate_limit_tpm_action, max_concurrent_requests_action, scheduling;
};

struct config_api_key {
	config_set set;
	char *hash, *env, *name;
	double weight;
};

struct config_cache {
	config_set set;
	char *name;
	double number;
	int64_t integer;
};

struct loader {
	struct config *c;
	struct config_errors *errs;
	const char *name;
	struct slice text;
	struct buf *strings;
};

/* A row of keys.def with what only the loader needs. */
struct key_row {
	enum config_section section;
	const char *key;
	enum config_type type;
	size_t offset;
	double min, max;
	const char *fallback, *doc;
	unsigned flags;
};
#define FLAG_RELOAD 1u
#define FLAG_RESTART 2u
#define FLAG_SECRET 4u

extern const struct key_row config_key_rows[];
extern const unsigned config_n_key_rows;
/* Words of an enumeration type, ended by NULL; NULL for other types. */
extern const char *const *const config_words[TYPE_COUNT];
extern const char *const config_section_names[SEC_COUNT];

/* Fills @to with the section's defaults. */
void reader_defaults(enum config_section sec, void *to);
/* Reads scalars of the mapping @n into @to, and sets bits in *@set.  Lists and mappings inside are left to the caller, who
 * finds them by reader_child(). */
void reader_section(struct loader *l, enum config_section sec, struct fy_node *n, void *to, config_set *set);
/* The bit of a key in its section's set. */
config_set reader_bit(enum config_section sec, const char *key);
struct fy_node *reader_child(struct fy_node *map, const char *key);
/* A scalar with ${NAME} and ${NAME:-text} replaced; NULL after an error.  The caller owns it. */
char *reader_string(struct loader *l, struct fy_node *n, const char *what);
/* A list of strings. */
void reader_strings(struct loader *l, struct fy_node *n, const char *what, char ***ret, unsigned *ret_n, unsigned max);

void load_error(struct loader *l, struct fy_node *at, const char *hint, const char *fmt, ...) PRINTF_LIKE(4, 5);
void load_notice(struct loader *l, struct fy_node *at, const char *hint, const char *fmt, ...) PRINTF_LIKE(4, 5);
