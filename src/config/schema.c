/* SPDX-License-Identifier: MIT */
/* The table of keys as JSON Schema, for editors, and as a page of the documentation. */
#include "base/json_writer.h"
#include "config/load_impl.h"

/* What stands inside a list or mapping: another section; any other list is of strings. */
static const struct {
	enum config_section in;
	const char *key;
	enum config_section of;
} children[] = {
	{ SEC_TOP, "timeouts", SEC_TIMEOUTS }, { SEC_TOP, "http", SEC_HTTP },
	{ SEC_TOP, "models", SEC_MODEL },      { SEC_TOP, "tenant_defaults", SEC_TENANT },
	{ SEC_TOP, "organisations", SEC_ORG }, { SEC_TOP, "tenants", SEC_TENANT },
	{ SEC_TOP, "cache", SEC_CACHE },       { SEC_CACHE, "tiers", SEC_TIER },
	{ SEC_TENANT, "api_keys", SEC_KEY },
};

static enum config_section
child_of(const struct key_row *row)
{
	for (size_t i = 0; i < ARRAY_LEN(children); i++)
		if (children[i].in == row->section && !strcmp(children[i].key, row->key))
			return children[i].of;
	return SEC_COUNT;
}

static const char *
type_name(enum config_type type)
{
	static const char *const names[TYPE_COUNT] = {
		[TYPE_STRING] = "string", [TYPE_INT] = "integer", [TYPE_NUMBER] = "number",
		[TYPE_BOOL] = "boolean",  [TYPE_LIST] = "array",  [TYPE_MAP] = "object",
	};

	return names[type];
}

static void
schema_words(struct json_writer *w, enum config_type type)
{
	jw_key(w, "enum");
	jw_array(w);
	for (int i = 0; config_words[type][i]; i++)
		if (*config_words[type][i])
			jw_str(w, config_words[type][i]);
	jw_end_array(w);
}

static void
schema_range(struct json_writer *w, const struct key_row *row)
{
	if (row->min >= row->max)
		return;
	jw_kv_double(w, "minimum", row->min, 6);
	jw_kv_double(w, "maximum", row->max, 6);
}

static void schema_section(struct json_writer *w, enum config_section sec);

static void
schema_items(struct json_writer *w, const struct key_row *row)
{
	enum config_section of = child_of(row);

	jw_key(w, "items");
	jw_object(w);
	if (of == SEC_COUNT) {
		jw_kv_str(w, "type", "string");
	} else if (of == SEC_KEY) { /* plain, or a mapping */
		jw_key(w, "anyOf");
		jw_array(w);
		jw_object(w);
		jw_kv_str(w, "type", "string");
		jw_end_object(w);
		jw_object(w);
		schema_section(w, of);
		jw_end_object(w);
		jw_end_array(w);
	} else {
		schema_section(w, of);
	}
	jw_end_object(w);
}

static void
schema_row(struct json_writer *w, const struct key_row *row)
{
	jw_key(w, row->key);
	jw_object(w);
	jw_kv_str(w, "description", row->doc);
	if (row->type == TYPE_MAP)
		schema_section(w, child_of(row));
	else if (type_name(row->type))
		jw_kv_str(w, "type", type_name(row->type));
	if (row->type == TYPE_LIST)
		schema_items(w, row);
	if (config_words[row->type])
		schema_words(w, row->type);
	if (row->type == TYPE_INT || row->type == TYPE_NUMBER)
		schema_range(w, row);
	jw_end_object(w);
}

static void
schema_section(struct json_writer *w, enum config_section sec)
{
	unsigned n;
	const struct key_row *rows = keys_section(sec, &n);

	jw_kv_str(w, "type", "object");
	jw_kv_bool(w, "additionalProperties", false);
	jw_key(w, "properties");
	jw_object(w);
	for (unsigned i = 0; i < n; i++)
		schema_row(w, &rows[i]);
	jw_end_object(w);
}

void
config_schema_json(struct buf *out)
{
	struct json_writer w;

	jw_init(&w, out);
	jw_object(&w);
	jw_kv_str(&w, "$schema", "https://json-schema.org/draft/2020-12/schema");
	jw_kv_str(&w, "title", "kvwarden configuration");
	schema_section(&w, SEC_TOP);
	jw_end_object(&w);
	buf_add_char(out, '\n');
}

static void
markdown_type(const struct key_row *row, struct buf *out)
{
	if (row->type == TYPE_WINDOW)
		buf_add_str(out, "auto or integer");
	else if (row->type == TYPE_ANY)
		buf_add_str(out, "anything");
	else if (!config_words[row->type])
		buf_add_str(out, row->type == TYPE_LIST	 ? "list"
				 : row->type == TYPE_MAP ? "mapping"
							 : type_name(row->type));
	else
		for (int i = 0, n = 0; config_words[row->type][i]; i++)
			if (*config_words[row->type][i])
				buf_addf(out, "%s%s", n++ ? ", " : "", config_words[row->type][i]);
	if (row->min < row->max)
		buf_addf(out, ", %.15g to %.15g", row->min, row->max);
}

static void
markdown_row(const struct key_row *row, struct buf *out)
{
	buf_addf(out, "| `%s` | ", row->key);
	markdown_type(row, out);
	buf_addf(out, " | %s%s%s | %s | %s |\n", *row->fallback ? "`" : "", row->fallback,
		 *row->fallback ? "`" : "", row->flags & FLAG_RELOAD ? "reload" : "restart", row->doc);
}

static const char *const section_titles[SEC_COUNT] = {
	[SEC_TOP] = "Top level",
	[SEC_TIMEOUTS] = "timeouts",
	[SEC_HTTP] = "http",
	[SEC_MODEL] = "models[]",
	[SEC_ORG] = "organisations[]",
	[SEC_TENANT] = "tenants[] and tenant_defaults",
	[SEC_KEY] = "tenants[].api_keys[]",
	[SEC_CACHE] = "cache",
	[SEC_TIER] = "cache.tiers[]",
};

void
config_schema_markdown(struct buf *out)
{
	buf_add_str(out,
		    "# Configuration\n\n"
		    "This page is printed by `kvwarden config schema --markdown` from the table that the parser uses.\n\n"
		    "A file is read whole or not at all: an unknown or duplicate key, a wrong type or a value out of range is "
		    "an error with its place. `${NAME}` in a value is replaced by the environment variable, "
		    "`${NAME:-text}` by the text when the variable is missing or empty. `kvwarden config check FILE` "
		    "reads a file without starting anything, `kvwarden config show FILE` prints what would be in force.\n\n"
		    "A tenant takes each field that it does not name from `tenant_defaults`. An exact `id` beats the longest "
		    "glob that fits. A limit that nobody wrote does not exist.\n\n"
		    "*Applied*: `reload` keys take effect at SIGHUP, `restart` keys at the next start.\n");
	for (int sec = 0; sec < SEC_COUNT; sec++) {
		unsigned n;
		const struct key_row *rows = keys_section((enum config_section)sec, &n);

		buf_addf(out, "\n## %s\n| key | type | default | applied | meaning |\n|---|---|---|---|---|\n",
			 section_titles[sec]);
		for (unsigned i = 0; i < n; i++)
			markdown_row(&rows[i], out);
	}
}
