/* SPDX-License-Identifier: MIT */
#include "wire/request_facts.h"

#include <math.h>
#include <stdio.h>

static const struct {
	struct slice name;
	unsigned types;
	const char *expected;
} keys[] = {
#define X(NAME, key, types, expected) [WIRE_KEY_##NAME] = { SLICE_INIT(key), types, expected },
#include "wire/request_keys.def"
#undef X
};

static const char *
refuse(struct request_facts *f, enum wire_error e, struct slice param, const char *fmt, const char *arg)
{
	f->error = e;
	snprintf(f->param, sizeof(f->param), SLICE_FMT, SLICE_ARG(param));
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
	snprintf(f->message, sizeof(f->message), fmt, f->param, arg);
#pragma GCC diagnostic pop
	return f->message;
}

static const char *
note_top_key(struct request_facts *f, struct slice key, bool cut)
{
	uint16_t from = 0;

	for (unsigned i = 0; i < f->n_keys; i++) {
		if (slice_eq(key, (struct slice){ f->keys + from, (size_t)f->key_end[i] - from }))
			return refuse(f, WIRE_ERR_DUPLICATE_KEY, key,
				      "The key '%.128s' stands twice in the body.%s", "");
		from = f->key_end[i];
	}
	if (cut || f->n_keys == WIRE_TOP_KEYS_MAX || from + key.n > sizeof(f->keys))
		return refuse(f, WIRE_ERR_INVALID_REQUEST, SLICE(""),
			      "The body has too many top-level keys, or too long ones.%s%s", "");
	memcpy(f->keys + from, key.p, key.n);
	f->key_end[f->n_keys++] = (uint16_t)(from + key.n);
	return NULL;
}

static const char *
on_key(void *ctx, unsigned depth, struct slice key, bool cut)
{
	struct request_facts *f = ctx;
	const char *why;

	if (depth == 2) {
		if (f->key != WIRE_KEY_STREAM_OPTIONS)
			return NULL;
		f->stream_options_keys++;
		f->inner = slice_eq(key, SLICE("include_usage"));
		if (f->inner && f->has_include_usage)
			return refuse(f, WIRE_ERR_DUPLICATE_KEY, SLICE("stream_options.include_usage"),
				      "The key '%.128s' stands twice in the body.%s", "");
		return NULL;
	}
	why = note_top_key(f, key, cut);
	if (why)
		return why;
	f->key = -1;
	for (int i = 0; i < WIRE_KEYS; i++)
		if (slice_eq(key, keys[i].name))
			f->key = i;
	return NULL;
}

static const char *
on_begin(void *ctx, unsigned depth, enum json_type type, uint64_t at)
{
	struct request_facts *f = ctx;

	if (depth == 0) {
		if (type != JSON_OBJECT)
			return refuse(f, WIRE_ERR_INVALID_REQUEST, SLICE(""),
				      "The body must be a JSON object.%s%s", "");
		f->open_at = at + 1;
		return NULL;
	}
	if (depth == 1) {
		f->inner = 0;
		f->value_at = at;
		if (f->key >= 0 && !(keys[f->key].types >> type & 1))
			return refuse(f, WIRE_ERR_WRONG_TYPE, keys[f->key].name, "'%s' must be %s.",
				      keys[f->key].expected);
	} else if (depth == 2 && f->inner) {
		if (type > JSON_FALSE)
			return refuse(f, WIRE_ERR_WRONG_TYPE, SLICE("stream_options.include_usage"),
				      "'%s' must be %s.", "true or false");
		f->has_include_usage = true;
		f->include_usage_span.off = at;
	}
	return NULL;
}

static const char *
take_integer(struct request_facts *f, struct slice text, bool cut)
{
	double v;
	int64_t i;

	if (cut || slice_to_double(text, &v) < 0 || v != floor(v))
		return refuse(f, WIRE_ERR_WRONG_TYPE, keys[f->key].name, "'%s' must be %s.",
			      keys[f->key].expected);
	i = v > WIRE_TOKENS_MAX	   ? WIRE_TOKENS_MAX
	    : v < -WIRE_TOKENS_MAX ? -WIRE_TOKENS_MAX
				   : (int64_t)v;
	switch (f->key) {
	case WIRE_KEY_N:
		f->n = MAX(i, 1);
		break;
	case WIRE_KEY_BEST_OF:
		f->best_of = MAX(i, 1);
		break;
	case WIRE_KEY_PRIORITY:
		f->priority = i;
		break;
	default: /* max_tokens and its synonyms; a negative one means "no bound" */
		if (i >= 0)
			f->max_tokens = f->max_tokens < 0 ? i : MIN(f->max_tokens, i);
	}
	return NULL;
}

static const char *
take_string(struct request_facts *f, struct slice text, bool cut, char *to, size_t max)
{
	if (cut || text.n > max)
		return refuse(f, WIRE_ERR_INVALID_REQUEST, keys[f->key].name, "'%s' is too long.%s", "");
	if (memchr(text.p, '\0', text.n))
		return refuse(f, WIRE_ERR_INVALID_REQUEST, keys[f->key].name,
			      "'%s' has a NUL character in it.%s", "");
	memcpy(to, text.p, text.n);
	to[text.n] = '\0';
	return NULL;
}

/* For what is only compared or logged: as much as fits, up to a NUL. */
static void
take_cut(struct slice text, char *to, size_t max)
{
	size_t n = strnlen(text.p, MIN(text.n, max));

	memcpy(to, text.p, n);
	to[n] = '\0';
}

/* The value of a top-level key that matters is whole. */
static const char *
take_value(struct request_facts *f, enum json_type type, struct slice text, bool cut)
{
	switch (f->key) {
	case WIRE_KEY_MODEL:
		return take_string(f, text, cut, f->model, WIRE_MODEL_MAX);
	case WIRE_KEY_USER:
		take_cut(text, f->user, WIRE_USER_MAX);
		return NULL;
	case WIRE_KEY_SERVICE_TIER:
		take_cut(text, f->service_tier, WIRE_TIER_MAX);
		return NULL;
	case WIRE_KEY_STREAM:
		f->stream = type == JSON_TRUE;
		return NULL;
	case WIRE_KEY_MESSAGES:
	case WIRE_KEY_PROMPT:
	case WIRE_KEY_INPUT:
	case WIRE_KEY_SYSTEM:
	case WIRE_KEY_INSTRUCTIONS:
	case WIRE_KEY_TOOLS:
		f->prompt_bytes += f->span[f->key].n;
		return NULL;
	default:
		return type == JSON_NUMBER ? take_integer(f, text, cut) : NULL;
	}
}

static const char *
on_end(void *ctx, unsigned depth, enum json_type type, struct slice text, bool cut, uint64_t at)
{
	struct request_facts *f = ctx;

	if (depth == 0) {
		f->empty_object = f->n_keys == 0;
		return NULL;
	}
	if (depth == 2) {
		if (f->inner) {
			f->include_usage = type == JSON_TRUE;
			f->include_usage_span.n = at - f->include_usage_span.off;
			f->inner = 0;
		} else if (f->key == WIRE_KEY_PROMPT || f->key == WIRE_KEY_INPUT) {
			f->prompt_is_tokens = type == JSON_NUMBER;
			f->prompt_items++;
		}
		return NULL;
	}
	if (f->key < 0)
		return NULL;
	f->span[f->key] = (struct wire_span){ f->value_at, at - f->value_at };
	if (type == JSON_NULL)
		return NULL;
	f->seen |= 1u << f->key;
	return take_value(f, type, text, cut);
}

static const struct json_sink sink = { on_key, on_begin, on_end };

void
request_facts_init(struct request_facts *f)
{
	memset(f, 0, offsetof(struct request_facts, scan));
	f->max_tokens = -1;
	f->n = f->best_of = 1;
	f->key = -1;
	f->inner = 0;
	f->n_keys = 0;
	json_scan_init(&f->scan, &sink, f, 2);
}

static bool
outcome(struct request_facts *f, bool ok)
{
	if (ok)
		return true;
	if (f->scan.error != f->message) {
		f->error = WIRE_ERR_INVALID_JSON;
		snprintf(f->message, sizeof(f->message),
			 "The body is not valid JSON: %s (near byte %llu).", f->scan.error,
			 (unsigned long long)f->scan.offset);
	}
	return false;
}

bool
request_facts_feed(struct request_facts *f, struct slice piece)
{
	return outcome(f, json_scan_feed(&f->scan, piece));
}

bool
request_facts_end(struct request_facts *f)
{
	if (!outcome(f, json_scan_end(&f->scan)))
		return false;
	f->prompt_items = MAX(f->prompt_items, 1);
	return true;
}
