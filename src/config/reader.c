/* SPDX-License-Identifier: MIT */
#include "config/load_impl.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define HINT_DISTANCE 3 /* a name further from every known one gets no proposal */
#define HINT_LEN 128

/* memory --------------------------------------------------------------------------------------------------- */
struct config_block {
	struct config_block *next;
	max_align_t data[];
};

void *
config_alloc(struct config *c, size_t n)
{
	struct config_block *b = must_calloc(1, sizeof(*b) + n);

	b->next = c->blocks;
	c->blocks = b;
	return b->data;
}

char *
config_dup(struct config *c, struct slice s)
{
	char *p = config_alloc(c, s.n + 1);

	if (s.n)
		memcpy(p, s.p, s.n);
	return p;
}

struct config *
config_ref(struct config *c)
{
	c->refs++;
	return c;
}

void
config_unref(struct config *c)
{
	if (!c || --c->refs)
		return;
	for (struct config_block *b = c->blocks, *next; b; b = next) {
		next = b->next;
		free(b);
	}
	free(c);
}

/* messages ------------------------------------------------------------------------------------------------- */
static struct slice
line_of(struct slice text, int line)
{
	const char *p = text.p, *end, *nl;

	if (!text.n)
		return SLICE("");
	end = text.p + text.n;
	for (; line > 0 && p < end; line--) {
		nl = memchr(p, '\n', (size_t)(end - p));
		p = nl ? nl + 1 : end;
	}
	nl = p < end ? memchr(p, '\n', (size_t)(end - p)) : NULL;
	return (struct slice){ p, (size_t)((nl ? nl : end) - p) };
}

/* A key or a password must not come out in the line that is shown. */
static bool
line_is_secret(struct slice line)
{
	static const char *const words[] = { "api_key", "admin_key", "sha256:", "hash" };

	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		if (line.n && memmem(line.p, line.n, words[i], strlen(words[i])))
			return true;
	return false;
}

static size_t
indent_of(struct slice line)
{
	size_t n = 0;

	while (n < line.n && line.p[n] == ' ')
		n++;
	return n;
}

/* A line below `api_keys:` is a key too: the lines that it belongs to are those before it with less and less indent, and
 * one with the same when it is an item of a list. */
static bool
belongs_to_secret(struct slice text, struct slice line)
{
	size_t indent = indent_of(line);
	bool item = indent < line.n && line.p[indent] == '-';
	const char *p = line.p;

	while (p > text.p && (indent > 0 || item)) {
		const char *end = p - 1, *nl = memrchr(text.p, '\n', (size_t)(end - text.p));
		struct slice before = { nl ? nl + 1 : text.p, (size_t)(end - (nl ? nl + 1 : text.p)) };
		size_t k = indent_of(before);

		p = before.p;
		if (k == before.n || k > indent || (k == indent && !(item && before.p[k] != '-')))
			continue;
		if (line_is_secret(before))
			return true;
		indent = k;
		item = before.p[k] == '-';
	}
	return false;
}

/* The line with a caret under the column; tabs stay, so that the caret stands right. */
static void
excerpt(struct diag *d, struct slice text, int line, int column)
{
	struct slice s = line_of(text, line);
	size_t col = MIN((size_t)MAX(column, 0), s.n), shown = MIN(s.n, (size_t)160), n;

	if (!s.p || line_is_secret(s) || belongs_to_secret(text, s) || col > shown ||
	    memchr(s.p, 0, shown))
		return;
	n = (size_t)snprintf(d->excerpt, sizeof(d->excerpt), "%.*s\n", (int)shown, s.p);
	for (size_t i = 0; i < col && n + 3 < sizeof(d->excerpt); i++)
		d->excerpt[n++] = s.p[i] == '\t' ? '\t' : ' ';
	snprintf(d->excerpt + n, sizeof(d->excerpt) - n, "^\n");
}

static bool
is_plain(struct fy_node *n)
{
	struct fy_token *t = fy_node_get_scalar_token(n);

	return !t || fy_token_scalar_style(t) == FYSS_PLAIN;
}

/* Where a node begins; a collection begins where its first scalar does. */
static bool
node_mark(struct fy_node *n, int *line, int *column)
{
	for (int depth = 0; n && depth < 8; depth++) {
		void *at = NULL;

		if (fy_node_is_scalar(n)) {
			struct fy_token *t = fy_node_get_scalar_token(n);
			const struct fy_mark *m = t ? fy_token_start_mark(t) : NULL;

			if (!m)
				return false;
			*line = m->line;
			*column = m->column - (!is_plain(n) && m->column > 0); /* marks stand behind the quote */
			return true;
		}
		n = fy_node_is_mapping(n) ? fy_node_pair_key(fy_node_mapping_iterate(n, &at))
					  : fy_node_sequence_iterate(n, &at);
	}
	return false;
}

static void PRINTF_LIKE(6, 0) fill(struct loader *l, struct diag *d, bool placed, const int at[2],
				   const char *hint, const char *fmt, va_list ap)
{
	*d = (struct diag){ 0 };
	vsnprintf(d->what, sizeof(d->what), fmt, ap);
	if (hint)
		diag_hint(d, "%s", hint);
	if (placed) {
		diag_where(d, "%s:%d:%d", l->name, at[0] + 1, at[1] + 1);
		excerpt(d, l->text, at[0], at[1]);
	} else {
		diag_where(d, "%s", l->name);
	}
}

static struct diag *
next_error(struct loader *l)
{
	static struct diag spare; /* over the bound: counted, not kept */

	l->errs->total++;
	return l->errs->n < CONFIG_ERRORS_MAX ? &l->errs->v[l->errs->n++] : &spare;
}

void
load_error(struct loader *l, struct fy_node *node, const char *hint, const char *fmt, ...)
{
	int at[2] = { 0, 0 };
	bool placed = node_mark(node, &at[0], &at[1]);
	va_list ap;

	va_start(ap, fmt);
	fill(l, next_error(l), placed, at, hint, fmt, ap);
	va_end(ap);
}

void
load_error_at(struct loader *l, int line, int column, const char *hint, const char *fmt, ...)
{
	const int at[2] = { line, column };
	va_list ap;

	va_start(ap, fmt);
	fill(l, next_error(l), true, at, hint, fmt, ap);
	va_end(ap);
}

void
load_notice(struct loader *l, struct fy_node *node, const char *hint, const char *fmt, ...)
{
	int at[2] = { 0, 0 };
	bool placed = node_mark(node, &at[0], &at[1]);
	va_list ap;

	if (l->c->n_notices == CONFIG_NOTICES_MAX)
		return;
	va_start(ap, fmt);
	fill(l, &l->c->notices[l->c->n_notices++], placed, at, hint, fmt, ap);
	va_end(ap);
}

/* nodes ---------------------------------------------------------------------------------------------------- */
/* An alias without its anchor stays what it is, and is refused where it is read. */
static struct fy_node *
follow(struct fy_node *n)
{
	struct fy_node *to = n && fy_node_is_alias(n) ? fy_node_resolve_alias(n) : NULL;

	return to ? to : n;
}

static bool
is_lost_alias(struct loader *l, struct fy_node *n)
{
	if (!n || !fy_node_is_alias(n))
		return false;
	load_error(l, n, NULL, "an alias without its anchor");
	return true;
}

static struct slice
scalar(struct fy_node *n)
{
	struct slice s = { NULL, 0 };

	s.p = fy_node_get_scalar(n, &s.n);
	if (!s.p)
		s.n = 0;
	return s;
}

static bool
is_null(struct fy_node *n)
{
	struct slice s;

	if (!n)
		return true;
	if (!fy_node_is_scalar(n) || !is_plain(n))
		return false;
	s = scalar(n);
	return s.n == 0 || slice_eq(s, SLICE("~")) || slice_ieq(s, SLICE("null"));
}

struct fy_node *
reader_child(struct fy_node *map, const char *key)
{
	void *at = NULL;
	struct fy_node_pair *p;

	if (!map || !fy_node_is_mapping(map))
		return NULL;
	while ((p = fy_node_mapping_iterate(map, &at))) {
		struct fy_node *k = fy_node_pair_key(p), *v;

		if (!k || !fy_node_is_scalar(k) || !slice_eq(scalar(k), slice_of(key)))
			continue;
		v = follow(fy_node_pair_value(p));
		return is_null(v) ? NULL : v;
	}
	return NULL;
}

struct fy_node *
reader_next(struct fy_node *list, void **at)
{
	return list && fy_node_is_sequence(list) ? follow(fy_node_sequence_iterate(list, at)) : NULL;
}

unsigned
reader_count(struct loader *l, struct fy_node *list, unsigned max, const char *what)
{
	void *at = NULL;
	unsigned n = 0;

	while (reader_next(list, &at))
		if (++n > max) {
			load_error(l, list, NULL, "more than %u %s", max, what);
			return 0;
		}
	return n;
}

/* values --------------------------------------------------------------------------------------------------- */
/* Adds the value of what stands between the braces: NAME or NAME:-text. */
static bool
expand_one(struct loader *l, struct fy_node *n, struct slice in, struct buf *out)
{
	const char *sep = in.n ? memmem(in.p, in.n, ":-", 2) : NULL;
	struct slice name = { in.p, sep ? (size_t)(sep - in.p) : in.n };
	char key[256];
	const char *value;

	if (!name.n || name.n >= sizeof(key)) {
		load_error(l, n, "write ${NAME} or ${NAME:-text}", "a variable without a proper name");
		return false;
	}
	memcpy(key, name.p, name.n);
	key[name.n] = 0;
	value = getenv(key);
	if (sep && (!value || !*value)) {
		buf_add(out, sep + 2, in.n - name.n - 2);
		return true;
	}
	if (!value) {
		load_error(l, n, "set it, or write ${NAME:-text}",
			   "environment variable %s is not set", key);
		return false;
	}
	buf_add_str(out, value);
	return true;
}

static bool
expand(struct loader *l, struct fy_node *n, struct slice s, struct buf *out)
{
	while (s.n) {
		const char *dollar = memmem(s.p, s.n, "${", 2), *end;
		size_t before = dollar ? (size_t)(dollar - s.p) : s.n;

		buf_add(out, s.p, before);
		if (!dollar)
			break;
		end = memchr(dollar, '}', s.n - before);
		if (!end) {
			load_error(l, n, NULL, "${ without its }");
			return false;
		}
		if (!expand_one(l, n, (struct slice){ dollar + 2, (size_t)(end - dollar) - 2 }, out))
			return false;
		s.n -= (size_t)(end + 1 - s.p);
		s.p = end + 1;
	}
	return true;
}

char *
reader_string(struct loader *l, struct fy_node *n)
{
	struct buf out;
	char *ret = NULL;

	if (is_lost_alias(l, n))
		return NULL;
	if (!n || !fy_node_is_scalar(n)) {
		load_error(l, n, NULL, "a string is expected here");
		return NULL;
	}
	buf_init(&out, CONFIG_STRING_MAX);
	if (!expand(l, n, scalar(n), &out))
		goto done;
	if (out.overflow)
		load_error(l, n, NULL, "longer than %d bytes", CONFIG_STRING_MAX);
	else if (out.n && memchr(out.p, 0, out.n))
		load_error(l, n, NULL, "a zero byte in a string");
	else
		ret = config_dup(l->c, buf_slice(&out));
done:
	buf_finish(&out);
	return ret;
}

char **
reader_strings(struct loader *l, struct fy_node *list, unsigned max, const char *what, unsigned *ret_n)
{
	unsigned n = reader_count(l, list, max, what);
	char **v = n ? config_alloc(l->c, n * sizeof(*v)) : NULL;
	void *at = NULL;

	*ret_n = 0;
	for (unsigned i = 0; i < n; i++) {
		char *s = reader_string(l, reader_next(list, &at));

		if (s)
			v[(*ret_n)++] = s;
	}
	return v;
}

static bool
parse_bool(struct slice s, bool *ret)
{
	static const char *const words[] = { "false", "true", "no", "yes", "off", "on" };

	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		if (slice_ieq(s, slice_of(words[i]))) {
			*ret = i % 2;
			return true;
		}
	return false;
}

static int
word_value(enum config_type type, struct slice s)
{
	for (int i = 0; config_words[type][i]; i++)
		if (s.n && slice_eq(s, slice_of(config_words[type][i])))
			return i;
	return -1;
}

static const char *
nearest_word(enum config_type type, struct slice s)
{
	unsigned best = HINT_DISTANCE + 1;
	const char *ret = NULL;

	for (int i = 0; config_words[type][i]; i++) {
		unsigned d = slice_distance(s, slice_of(config_words[type][i]), HINT_DISTANCE);

		if (*config_words[type][i] && d < best) {
			best = d;
			ret = config_words[type][i];
		}
	}
	return ret;
}

static void
bad_word(struct loader *l, const struct key_row *row, struct fy_node *n, struct slice s)
{
	const char *near = nearest_word(row->type, s);
	char known[HINT_LEN] = "one of";

	for (int i = 0; config_words[row->type][i]; i++) {
		size_t used = strlen(known);

		if (*config_words[row->type][i])
			snprintf(known + used, sizeof(known) - used, " %s", config_words[row->type][i]);
	}
	if (row->type == TYPE_ENGINE && (slice_eq(s, SLICE("llamacpp")) || slice_eq(s, SLICE("command"))))
		load_error(l, n, "start it yourself and write engine: openai with its endpoint",
			   "engine: " SLICE_FMT " is not started by this version", SLICE_ARG(s));
	else if (near)
		load_error(l, n, known, "%s: '" SLICE_FMT "' is not known; did you mean '%s'?",
			   row->key, SLICE_ARG(s), near);
	else
		load_error(l, n, known, "%s: '" SLICE_FMT "' is not known", row->key, SLICE_ARG(s));
}

static void
store_number(struct loader *l, const struct key_row *row, struct fy_node *n, struct slice s, void *to)
{
	double v;
	bool whole = row->type != TYPE_NUMBER;

	if (row->type == TYPE_WINDOW && slice_eq(s, SLICE("auto"))) {
		*(int64_t *)to = 0;
		return;
	}
	if (slice_to_double(s, &v) < 0 || !isfinite(v) || (whole && v != floor(v))) {
		load_error(l, n, NULL, "%s: %s is expected here", row->key,
			   row->type == TYPE_WINDOW ? "auto or a whole number"
			   : whole		    ? "a whole number"
						    : "a number");
		return;
	}
	if (v < row->min || v > row->max) {
		load_error(l, n, NULL, "%s: " SLICE_FMT " is out of range: %.15g to %.15g",
			   row->key, SLICE_ARG(s), row->min, row->max);
		return;
	}
	if (whole)
		*(int64_t *)to = (int64_t)v;
	else
		*(double *)to = v;
}

/* @s is the scalar's text, expanded; @n only says where. */
static void
store(struct loader *l, const struct key_row *row, struct fy_node *n, char *text, void *to)
{
	struct slice s = slice_of(text);
	int word;

	switch (row->type) {
	case TYPE_STRING:
		*(char **)to = s.n ? text : NULL;
		break;
	case TYPE_INT:
	case TYPE_NUMBER:
	case TYPE_WINDOW:
		store_number(l, row, n, s, to);
		break;
	case TYPE_BOOL:
		if (!parse_bool(s, to))
			load_error(l, n, NULL, "%s: true or false is expected here", row->key);
		break;
	default:
		word = word_value(row->type, s);
		if (word < 0)
			bad_word(l, row, n, s);
		else
			*(int *)to = word;
	}
}

void
reader_defaults(struct config *c, enum config_section sec, void *to)
{
	unsigned n;
	const struct key_row *rows = keys_section(sec, &n);
	struct config_errors errs = { .n = 0 };
	struct loader l = { .c = c, .errs = &errs, .name = "keys.def" };

	for (unsigned i = 0; i < n; i++)
		if (*rows[i].fallback)
			store(&l, &rows[i], NULL, config_dup(c, slice_of(rows[i].fallback)),
			      (char *)to + rows[i].offset);
	must(errs.total == 0);
}

/* sections ------------------------------------------------------------------------------------------------- */
static const struct key_row *
find_row(struct loader *l, enum config_section sec, struct fy_node *key)
{
	unsigned n, best = HINT_DISTANCE + 1;
	const struct key_row *rows = keys_section(sec, &n), *near = NULL;
	struct slice name = scalar(key);
	char hint[HINT_LEN];

	for (unsigned i = 0; i < n; i++) {
		unsigned d = slice_distance(name, slice_of(rows[i].key), HINT_DISTANCE);

		if (d == 0)
			return &rows[i];
		if (d < best) {
			best = d;
			near = &rows[i];
		}
	}
	if (near)
		snprintf(hint, sizeof(hint), "did you mean %s?", near->key);
	if (sec == SEC_KEY) { /* most likely an API key with a colon behind it: not for a log */
		load_error(l, key, NULL, "unknown key in %s", config_section_paths[sec]);
		return NULL;
	}
	load_error(l, key, near ? hint : "`kvwarden config schema --markdown` lists every key",
		   "unknown key %s" SLICE_FMT, config_section_paths[sec],
		   (int)MIN(name.n, (size_t)100), name.p);
	return NULL;
}

static void
read_value(struct loader *l, const struct key_row *row, struct fy_node *key, struct fy_node *v, void *to)
{
	bool quoted;
	char *text;

	if (is_lost_alias(l, v) || is_null(v) || row->type == TYPE_ANY)
		return;
	if (row->type == TYPE_LIST || row->type == TYPE_MAP) {
		bool list = row->type == TYPE_LIST;

		if (list ? !fy_node_is_sequence(v) : !fy_node_is_mapping(v))
			load_error(l, key, NULL, "%s: a %s is expected here", row->key,
				   list ? "list" : "mapping");
		return;
	}
	if (!fy_node_is_scalar(v)) {
		load_error(l, key, NULL, "%s: one value is expected here, not a list or mapping",
			   row->key);
		return;
	}
	quoted = !is_plain(v);
	text = reader_string(l, v);
	if (!text)
		return;
	/* "8000" is a string; "${PORT}" takes the type of what it stands for. */
	if (quoted && !memmem(scalar(v).p, scalar(v).n, "${", 2) &&
	    (row->type == TYPE_INT || row->type == TYPE_NUMBER || row->type == TYPE_BOOL))
		load_error(l, v, "take the quotes away", "%s: a %s is expected here, not a string",
			   row->key, row->type == TYPE_BOOL ? "truth value" : "number");
	else
		store(l, row, v, text, to);
}

config_set
reader_section(struct loader *l, enum config_section sec, struct fy_node *n, void *to)
{
	unsigned count;
	const struct key_row *rows = keys_section(sec, &count);
	config_set seen = 0, set = 0;
	struct fy_node_pair *p;
	void *at = NULL;

	if (!n || !fy_node_is_mapping(n)) {
		load_error(l, n, NULL, "a mapping is expected here");
		return 0;
	}
	while ((p = fy_node_mapping_iterate(n, &at))) {
		struct fy_node *key = fy_node_pair_key(p), *v = follow(fy_node_pair_value(p));
		const struct key_row *row;
		config_set bit;

		if (!key || !fy_node_is_scalar(key)) {
			load_error(l, n, NULL, "a key must be one word");
			continue;
		}
		row = find_row(l, sec, key);
		if (!row)
			continue;
		bit = (config_set)1 << (row - rows);
		if (seen & bit) {
			load_error(l, key, "each key stands once", "duplicate key %s", row->key);
			continue;
		}
		seen |= bit;
		if (!is_null(v))
			set |= bit;
		read_value(l, row, key, v, (char *)to + row->offset);
	}
	return set;
}
