/* SPDX-License-Identifier: MIT */
/*
 * Any body in any pieces: accepted exactly when yyjson accepts it and our own rules do (object,
 * depth, keys, types), with the facts that the tree shows.  The first byte chooses the pieces.
 */
#include <math.h>
#include <stdint.h>
#include <yyjson.h>

#include "../support/pieces.h"
#include "wire/request_edit.h"
#include "wire/request_facts.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const key_names[] = {
#define X(NAME, key, types, expected) [WIRE_KEY_##NAME] = key,
#include "wire/request_keys.def"
#undef X
};

static bool
scan(struct request_facts *f, struct slice body, uint8_t seed)
{
	struct rng r;

	rng_init(&r, seed);
	request_facts_init(f);
	while (body.n) {
		struct slice piece = pieces_take(&body, &r, seed);
		bool ok = request_facts_feed(f, piece);

		pieces_free(piece);
		if (!ok)
			return false;
	}
	return request_facts_end(f);
}

/* Nesting of the tree, walked without recursion: yyjson lays containers out in order. */
static size_t
depth_of(const char *p, size_t n)
{
	size_t depth = 0, most = 0;
	bool string = false;

	for (size_t i = 0; i < n; i++) {
		if (string) {
			if (p[i] == '\\')
				i++;
			else
				string = p[i] != '"';
		} else if (p[i] == '"') {
			string = true;
		} else if (p[i] == '{' || p[i] == '[') {
			most = MAX(most, ++depth);
		} else if (p[i] == '}' || p[i] == ']') {
			depth--;
		}
	}
	return most;
}

/*
 * A number with more digits than we read of one: an integer of ours is refused then, though it may
 * be whole.
 */
static bool
has_long_number(struct slice body)
{
	size_t run = 0;

	for (size_t i = 0; i < body.n; i++) {
		run = memchr("0123456789+-.eE", body.p[i], 15) ? run + 1 : 0;
		if (run >= 60)
			return true;
	}
	return false;
}

static bool
is_bool_or_null(yyjson_val *v)
{
	return !v || yyjson_is_null(v) || yyjson_is_bool(v);
}

static bool
is_integer_or_null(yyjson_val *v)
{
	return !v || yyjson_is_null(v) ||
	       (yyjson_is_num(v) && yyjson_get_num(v) == floor(yyjson_get_num(v)));
}

static bool
is_string_or_null(yyjson_val *v)
{
	return !v || yyjson_is_null(v) || yyjson_is_str(v);
}

static bool
has_duplicate(yyjson_val *object)
{
	size_t i, j, max, max2;
	yyjson_val *a, *b, *v, *w;

	yyjson_obj_foreach(object, i, max, a, v)
	{
		yyjson_obj_foreach(object, j, max2, b, w)
		{
			if (j >= i)
				break;
			if (yyjson_equals(a, b))
				return true;
		}
	}
	return false;
}

/* Our own rules on a tree that yyjson has read; -1: too close to a bound for an oracle to say. */
static int
allowed(yyjson_val *root)
{
	static const enum wire_key integers[] = { WIRE_KEY_MAX_TOKENS,
						  WIRE_KEY_MAX_COMPLETION_TOKENS,
						  WIRE_KEY_MAX_OUTPUT_TOKENS,
						  WIRE_KEY_N_PREDICT,
						  WIRE_KEY_N,
						  WIRE_KEY_BEST_OF,
						  WIRE_KEY_PRIORITY };
	yyjson_val *model, *options, *key, *v;
	size_t i, max;

	if (!yyjson_is_obj(root))
		return 0;
	yyjson_obj_foreach(root, i, max, key, v)
	{
		if (yyjson_get_len(key) > 64 || max > WIRE_TOP_KEYS_MAX / 2 ||
		    yyjson_is_raw(v)) /* no double holds it */
			return -1;
	}
	if (has_duplicate(root))
		return 0;
	model = yyjson_obj_get(root, "model");
	if (model && !yyjson_is_str(model))
		return 0;
	if (model && (yyjson_get_len(model) > WIRE_MODEL_MAX ||
		      memchr(yyjson_get_str(model), '\0', yyjson_get_len(model))))
		return 0;
	options = yyjson_obj_get(root, "stream_options");
	if (options && !yyjson_is_null(options) && !yyjson_is_obj(options))
		return 0;
	if (yyjson_is_obj(options) &&
	    (!is_bool_or_null(yyjson_obj_get(options, "include_usage")) || has_duplicate(options)))
		return yyjson_is_obj(options) && has_duplicate(options) ? -1 : 0;
	for (i = 0; i < ARRAY_LEN(integers); i++)
		if (!is_integer_or_null(yyjson_obj_get(root, key_names[integers[i]])))
			return 0;
	return is_bool_or_null(yyjson_obj_get(root, "stream")) &&
	       is_string_or_null(yyjson_obj_get(root, "user")) &&
	       is_string_or_null(yyjson_obj_get(root, "service_tier"));
}

static void
compare(const struct request_facts *f, struct slice body, yyjson_val *root)
{
	yyjson_val *model = yyjson_obj_get(root, "model"),
		   *options = yyjson_obj_get(root, "stream_options"), *n;

	must(slice_eq(slice_of(f->model), (struct slice){ yyjson_get_str(model), yyjson_get_len(model) }));
	must(f->stream == yyjson_is_true(yyjson_obj_get(root, "stream")));
	must(f->include_usage == yyjson_is_true(yyjson_obj_get(options, "include_usage")));
	must(f->stream_options_keys == yyjson_obj_size(options));
	must(f->empty_object == (yyjson_obj_size(root) == 0));
	must(body.p[f->open_at - 1] == '{');
	n = yyjson_obj_get(root, "n");
	if (yyjson_is_num(n) && yyjson_get_num(n) < 1e6)
		must(f->n == MAX((int64_t)yyjson_get_num(n), 1));
	for (int k = 0; k < WIRE_KEYS; k++) {
		yyjson_val *v = yyjson_obj_get(root, key_names[k]);
		yyjson_doc *value;

		must((f->span[k].off != 0) == (v != NULL));
		must(request_facts_has(f, (enum wire_key)k) == (v && !yyjson_is_null(v)));
		if (!v)
			continue;
		value = yyjson_read(body.p + f->span[k].off, f->span[k].n,
				    YYJSON_READ_BIGNUM_AS_RAW); /* the span is that value, whole */
		must(value && yyjson_get_type(yyjson_doc_get_root(value)) == yyjson_get_type(v));
		yyjson_doc_free(value);
	}
}

/* An edited body is still JSON, asks for usage, and has lost nothing. */
static void
check_edit(const struct request_facts *f, struct slice body, yyjson_val *root)
{
	struct request_edit e;
	struct slice parts[2 * REQUEST_EDITS_MAX + 1];
	struct buf out;
	yyjson_doc *doc;
	yyjson_val *edited;
	unsigned n;

	request_edit_init(&e);
	must(request_edit_include_usage(&e, f));
	must(request_edit_set(&e, f, WIRE_KEY_PRIORITY, SLICE("-5")));
	n = request_edit_apply(&e, body, parts);
	buf_init(&out, BUF_MAX_DEFAULT);
	for (unsigned i = 0; i < n; i++)
		buf_add_slice(&out, parts[i]);
	doc = yyjson_read(out.p, out.n, YYJSON_READ_BIGNUM_AS_RAW);
	must(doc != NULL);
	edited = yyjson_doc_get_root(doc);
	must(yyjson_is_true(yyjson_ptr_get(edited, "/stream_options/include_usage")));
	must(yyjson_get_int(yyjson_obj_get(edited, "priority")) == -5);
	must(yyjson_obj_size(edited) == yyjson_obj_size(root) + !yyjson_obj_get(root, "priority") +
						!yyjson_obj_get(root, "stream_options"));
	yyjson_doc_free(doc);
	buf_finish(&out);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct request_facts whole, pieces;
	struct slice body;
	yyjson_doc *doc;
	bool ok;

	if (size < 1)
		return 0;
	body = (struct slice){ (const char *)data + 1, size - 1 };
	ok = scan(&whole, body, 0);
	must(scan(&pieces, body, data[0] | 1) == ok);
	if (!ok) {
		must(whole.error == pieces.error && whole.message[0]);
		must(strcmp(whole.message, pieces.message) == 0 &&
		     strcmp(whole.param, pieces.param) == 0);
	}
	doc = yyjson_read_opts((char *)(uintptr_t)body.p, body.n, YYJSON_READ_BIGNUM_AS_RAW, NULL, NULL);
	if (!doc) {
		must(!ok);
	} else if (depth_of(body.p, body.n) <= JSON_DEPTH_MAX && !has_long_number(body)) {
		int want = allowed(yyjson_doc_get_root(doc));

		must(want < 0 || ok == want);
		if (ok && want >= 0) {
			compare(&whole, body, yyjson_doc_get_root(doc));
			compare(&pieces, body, yyjson_doc_get_root(doc));
			check_edit(&whole, body, yyjson_doc_get_root(doc));
		}
	}
	yyjson_doc_free(doc);
	return 0;
}
