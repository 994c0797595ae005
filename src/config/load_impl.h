/* SPDX-License-Identifier: MIT */
/*
 * load_impl - what the files of config share: keys.c is the table, reader.c turns a mapping of the file into a section's
 * struct by it, load.c walks the sections, tenants.c resolves contracts and keys.
 */
#pragma once
#include <libfyaml.h>
#include "config/config.h"

enum config_section {
	SEC_TOP,
	SEC_TIMEOUTS,
	SEC_HTTP,
	SEC_MODEL,
	SEC_ORG,
	SEC_TENANT,
	SEC_KEY,
	SEC_CACHE,
	SEC_TIER,
	SEC_COUNT
};

enum config_type {
	TYPE_STRING,
	TYPE_INT,
	TYPE_NUMBER,
	TYPE_BOOL,
	TYPE_LIST,
	TYPE_MAP,
	TYPE_ANY,
	TYPE_WINDOW, /* a number, or auto */
	TYPE_AUTH,
	TYPE_SCHEDULING,
	TYPE_LOADING,
	TYPE_ENGINE,
	TYPE_ACTION,
	TYPE_COUNT
};

/* One entry of tenants, or tenant_defaults. */
struct config_tenant {
	config_set set;
	char *id, *organisation;
	double weight, rate_limit_rpm, rate_limit_burst, rate_limit_tpm, rate_limit_tpm_burst;
	double max_gpu_memory_gb, queue_age_s;
	int64_t max_concurrent_requests, priority, queue_requests, queue_bytes;
	int rate_limit_action, rate_limit_tpm_action, max_concurrent_requests_action, scheduling;
	char *api_keys; /* only the row's place: read by tenants.c */
};

struct config_api_key {
	config_set set;
	char *hash, *env, *name;
	double weight;
};

/* cache and its tiers: checked, then dropped. */
struct config_cache {
	config_set set;
	char *name;
	double number;
	int64_t integer;
};

/* A row of keys.def. */
struct key_row {
	enum config_section section;
	const char *key;
	enum config_type type;
	size_t offset; /* of the member in the section's struct */
	double min, max;
	const char *fallback, *doc;
	unsigned flags;
};
#define FLAG_RELOAD 1u
#define FLAG_RESTART 2u
#define FLAG_SECRET 4u

extern const struct key_row config_key_rows[];
extern const unsigned config_n_key_rows;
/* Words of an enumeration type, ended by NULL and placed by their value (a value without a word is ""); NULL for
 * other types. */
extern const char *const *const config_words[TYPE_COUNT];
/* The path of a section as docs show it: "", "timeouts.", "models[]." */
extern const char *const config_section_paths[SEC_COUNT];

/* The rows of a section stand together: its first one, and how many. */
const struct key_row *keys_section(enum config_section sec, unsigned *ret_n);
/* The bit of a key in its section's set. */
config_set keys_bit(enum config_section sec, const char *key);

struct loader {
	struct config *c;
	struct config_errors *errs;
	const char *name;
	struct slice text;
};

/* Memory that lives as long as @c, zeroed. */
void *config_alloc(struct config *c, size_t n);
char *config_dup(struct config *c, struct slice s);

/* Fills @to with the section's defaults. */
void reader_defaults(struct config *c, enum config_section sec, void *to);
/* Reads the scalars of the mapping @n into @to and returns which keys stand there.  Lists and mappings inside are only
 * checked for their kind: the caller finds them by reader_child(). */
config_set reader_section(struct loader *l, enum config_section sec, struct fy_node *n, void *to);
/* The value of @key, aliases followed; NULL when absent or null. */
struct fy_node *reader_child(struct fy_node *map, const char *key);
/* The next item of a list, aliases followed. */
struct fy_node *reader_next(struct fy_node *list, void **at);
/* Items of a list, with an error when there are more than @max; 0 for NULL. */
unsigned reader_count(struct loader *l, struct fy_node *list, unsigned max, const char *what);
/* A scalar with ${NAME} and ${NAME:-text} replaced; NULL after an error. */
char *reader_string(struct loader *l, struct fy_node *n);
/* A list of strings. */
char **reader_strings(struct loader *l, struct fy_node *list, unsigned max, const char *what,
		      unsigned *ret_n);

/* False, with an error, when l->text is not what a YAML parser should be given. */
bool screen_text(struct loader *l);

/* Organisations, tenants and keys into l->c. */
void tenants_load(struct loader *l, struct fy_node *root);

/* @at may be NULL: then the message names the file alone. */
void load_error(struct loader *l, struct fy_node *at, const char *hint, const char *fmt, ...)
	PRINTF_LIKE(4, 5);
void load_error_at(struct loader *l, int line, int column, const char *hint, const char *fmt, ...)
	PRINTF_LIKE(5, 6);
void load_notice(struct loader *l, struct fy_node *at, const char *hint, const char *fmt, ...)
	PRINTF_LIKE(4, 5);
