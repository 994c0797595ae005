/* SPDX-License-Identifier: MIT */
/*
 * Any event's data: bad exactly when yyjson refuses it, and token, usage and error as the tree
 * shows them.
 */
#include <stdint.h>
#include <yyjson.h>

#include "wire/chunk_facts.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Nothing in the tree stands twice: what two equal keys mean is not ours to say. */
static bool
is_plain(yyjson_val *object)
{
	size_t i, j, max, max2;
	yyjson_val *a, *b, *v, *w;

	if (!yyjson_is_obj(object))
		return true;
	yyjson_obj_foreach(object, i, max, a, v)
	{
		yyjson_obj_foreach(object, j, max2, b, w)
		{
			if (j < i && yyjson_equals(a, b))
				return false;
		}
	}
	return true;
}

static bool
is_token(yyjson_val *v)
{
	return (yyjson_is_str(v) && yyjson_get_len(v) > 0) || yyjson_arr_size(v) > 0;
}

static bool
content_has_token(yyjson_val *o)
{
	static const char *const keys[] = { "content",	"reasoning",   "reasoning_content",
					    "refusal",	"tool_calls",  "text",
					    "thinking", "partial_json" };

	if (!yyjson_is_obj(o))
		return false;
	for (size_t i = 0; i < ARRAY_LEN(keys); i++)
		if (is_token(yyjson_obj_get(o, keys[i])))
			return true;
	return yyjson_is_obj(yyjson_obj_get(o, "function_call")) ||
	       yyjson_is_obj(yyjson_obj_get(o, "audio"));
}

static void
check_choices(const struct chunk_facts *f, yyjson_val *choices)
{
	unsigned tokens = 0;
	size_t i, max;
	yyjson_val *c;

	must(f->choices == yyjson_arr_size(choices));
	if (!yyjson_is_arr(choices))
		return;
	yyjson_arr_foreach(choices, i, max, c)
	{
		if (!yyjson_is_obj(c))
			continue;
		if (!is_plain(c) || !is_plain(yyjson_obj_get(c, "delta")) ||
		    !is_plain(yyjson_obj_get(c, "message")))
			return;
		tokens += content_has_token(yyjson_obj_get(c, "delta")) ||
			  content_has_token(yyjson_obj_get(c, "message")) ||
			  is_token(yyjson_obj_get(c, "text"));
	}
	must(f->token_choices == tokens);
	must(f->has_token || tokens == 0);
}

static void
check_usage(const struct chunk_facts *f, yyjson_val *usage)
{
	yyjson_val *n = yyjson_obj_get(usage, "prompt_tokens");

	must((f->usage_span.off != 0) == (usage != NULL));
	if (yyjson_is_obj(usage) && is_plain(usage) && yyjson_is_uint(n) &&
	    yyjson_get_uint(n) < 1000000 && !yyjson_obj_get(usage, "input_tokens")) {
		must(f->usage.known);
		must(f->usage.prompt_tok == (int64_t)yyjson_get_uint(n));
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice json = { (const char *)data, size };
	struct chunk_facts f;
	yyjson_doc *doc;
	yyjson_val *root, *error;
	yyjson_read_err err;

	chunk_facts_read_error(&f, json);
	must(f.has_error);
	chunk_facts_read(&f, json);
	/* A number that no double holds is still a number. */
	doc = yyjson_read_opts((char *)(uintptr_t)data, size, YYJSON_READ_BIGNUM_AS_RAW, NULL, &err);
	if (!doc) {
		must(f.bad);
		return 0;
	}
	root = yyjson_doc_get_root(doc);
	if (!f.bad && yyjson_is_obj(root) && is_plain(root)) {
		check_choices(&f, yyjson_obj_get(root, "choices"));
		check_usage(&f, yyjson_obj_get(root, "usage"));
		error = yyjson_obj_get(root, "error");
		if (yyjson_is_obj(error) || (yyjson_is_str(error) && yyjson_get_len(error) > 0))
			must(f.has_error);
		must(f.has_error || (!f.error_message[0] && !f.error_type[0] && !f.error_code));
	}
	yyjson_doc_free(doc);
	return 0;
}
