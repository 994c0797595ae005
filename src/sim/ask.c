/* SPDX-License-Identifier: MIT */
#include "sim/ask.h"
#include <errno.h>
#include <stdlib.h>
#include <yyjson.h>

#define CHAT_TOKENS_PER_MESSAGE 4 /* what a chat template adds to each message */

struct parse {
	struct sim_ask *a;
	unsigned tokens_left; /* of the bound on all prompts */
	struct buf *why;
	const char **param;
};

static int
refuse(struct parse *p, const char *param, const char *what)
{
	*p->param = param;
	buf_clear(p->why);
	buf_add_str(p->why, what);
	return -EINVAL;
}

/* prompts ------------------------------------------------------------------------------------------------------------ */
static int
too_long(struct parse *p, const char *param)
{
	return refuse(p, param, "The prompt is longer than the model's maximum context length.");
}

static struct sim_prompt *
add_prompt(struct parse *p)
{
	struct sim_ask *a = p->a;

	if (a->n_prompts == SIM_CHOICES_MAX)
		return NULL;
	if (!a->prompts)
		a->prompts = must_calloc(SIM_CHOICES_MAX, sizeof(*a->prompts));
	return &a->prompts[a->n_prompts++];
}

static int
reserve_tokens(struct parse *p, struct sim_prompt *prompt, size_t n, const char *param)
{
	if (n > p->tokens_left)
		return too_long(p, param);
	p->tokens_left -= (unsigned)n;
	prompt->tokens =
		must_realloc(prompt->tokens, MAX(prompt->n + n, (size_t)1) * sizeof(*prompt->tokens));
	return 0;
}

/* Four bytes make a token; the last one may be shorter. */
static int
add_text(struct parse *p, struct sim_prompt *prompt, struct slice text, const char *param)
{
	size_t n = (text.n + SIM_BYTES_PER_TOKEN - 1) / SIM_BYTES_PER_TOKEN;
	int err = reserve_tokens(p, prompt, n, param);

	if (err)
		return err;
	for (size_t i = 0; i < text.n; i += SIM_BYTES_PER_TOKEN) {
		uint32_t token = 0;

		memcpy(&token, text.p + i, MIN(text.n - i, (size_t)SIM_BYTES_PER_TOKEN));
		prompt->tokens[prompt->n++] = token;
	}
	return 0;
}

static int
add_ids(struct parse *p, struct sim_prompt *prompt, yyjson_val *ids)
{
	int err = reserve_tokens(p, prompt, yyjson_arr_size(ids), "prompt");
	yyjson_arr_iter it = yyjson_arr_iter_with(ids);
	yyjson_val *id;

	if (err)
		return err;
	while ((id = yyjson_arr_iter_next(&it))) {
		if (!yyjson_is_uint(id))
			return refuse(p, "prompt", "A prompt of token ids must hold integers only.");
		prompt->tokens[prompt->n++] = (uint32_t)yyjson_get_uint(id);
	}
	return 0;
}

static struct slice
text_of(yyjson_val *v)
{
	return (struct slice){ yyjson_get_str(v), yyjson_get_len(v) };
}

static int
read_one_prompt(struct parse *p, yyjson_val *v)
{
	struct sim_prompt *prompt = add_prompt(p);

	if (!prompt)
		return refuse(p, "prompt", "There are too many prompts.");
	if (yyjson_is_str(v))
		return add_text(p, prompt, text_of(v), "prompt");
	if (yyjson_is_arr(v))
		return add_ids(p, prompt, v);
	return refuse(p, "prompt", "A prompt must be a string or a list of token ids.");
}

static int
read_prompt(struct parse *p, yyjson_val *v)
{
	yyjson_val *first = yyjson_arr_get_first(v);
	yyjson_arr_iter it;

	if (yyjson_is_str(v) || yyjson_is_num(first))
		return read_one_prompt(p, v);
	if (!first)
		return refuse(p, "prompt", "The prompt is missing or empty.");
	it = yyjson_arr_iter_with(v);
	for (yyjson_val *item; (item = yyjson_arr_iter_next(&it));) {
		int err = read_one_prompt(p, item);

		if (err)
			return err;
	}
	return 0;
}

/* A string, or a list of parts of which those with text count. */
static int
add_content(struct parse *p, struct sim_prompt *prompt, yyjson_val *content)
{
	yyjson_arr_iter it;

	if (yyjson_is_str(content))
		return add_text(p, prompt, text_of(content), "messages");
	if (!yyjson_arr_iter_init(content, &it))
		return 0;
	for (yyjson_val *part; (part = yyjson_arr_iter_next(&it));) {
		yyjson_val *text = yyjson_obj_get(part, "text");
		int err = yyjson_is_str(text) ? add_text(p, prompt, text_of(text), "messages") : 0;

		if (err)
			return err;
	}
	return 0;
}

static int
read_messages(struct parse *p, yyjson_val *messages)
{
	struct sim_prompt *prompt = add_prompt(p);
	yyjson_arr_iter it;

	if (!yyjson_arr_iter_init(messages, &it) || yyjson_arr_size(messages) == 0)
		return refuse(p, "messages", "'messages' must be a list with at least one message.");
	for (yyjson_val *m; (m = yyjson_arr_iter_next(&it));) {
		yyjson_val *role = yyjson_obj_get(m, "role");
		int err;

		if (!yyjson_is_str(role))
			return refuse(p, "messages", "A message must have a role.");
		err = reserve_tokens(p, prompt, CHAT_TOKENS_PER_MESSAGE, "messages");
		if (err)
			return err;
		for (unsigned i = 0; i < CHAT_TOKENS_PER_MESSAGE; i++)
			prompt->tokens[prompt->n++] = (uint32_t)(i + 7 * yyjson_get_len(role));
		err = add_content(p, prompt, yyjson_obj_get(m, "content"));
		if (err)
			return err;
	}
	return 0;
}

/* options ------------------------------------------------------------------------------------------------------------- */
static int
read_int(struct parse *p, yyjson_val *o, const char *key, int64_t min, int64_t max, int64_t *ret)
{
	yyjson_val *v = yyjson_obj_get(o, key);

	if (!v || yyjson_is_null(v))
		return 0;
	if (!yyjson_is_int(v) || yyjson_get_sint(v) < min ||
	    (yyjson_is_uint(v) && yyjson_get_uint(v) > INT64_MAX))
		return refuse(p, key, "The value is not an integer in the range that is allowed.");
	*ret = MIN(yyjson_get_sint(v), max);
	return 0;
}

static int
read_options(struct parse *p, yyjson_val *o)
{
	yyjson_val *options = yyjson_obj_get(o, "stream_options"), *model = yyjson_obj_get(o, "model");
	struct sim_ask *a = p->a;
	int64_t n = 1;
	int err;

	if (yyjson_is_str(model))
		memcpy(a->model, yyjson_get_str(model),
		       MIN(yyjson_get_len(model), (size_t)SIM_MODEL_NAME_MAX));
	a->stream = yyjson_get_bool(yyjson_obj_get(o, "stream"));
	a->ignore_eos = yyjson_get_bool(yyjson_obj_get(o, "ignore_eos"));
	a->include_usage = yyjson_get_bool(yyjson_obj_get(options, "include_usage"));
	a->continuous_usage = a->include_usage &&
			      yyjson_get_bool(yyjson_obj_get(options, "continuous_usage_stats"));
	err = read_int(p, o, "max_tokens", 1, SIM_OUTPUT_MAX, &a->max_tok);
	if (!err)
		err = read_int(p, o, "max_completion_tokens", 1, SIM_OUTPUT_MAX, &a->max_tok);
	if (!err)
		err = read_int(p, o, "n", 1, SIM_CHOICES_MAX + 1, &n);
	if (!err)
		err = read_int(p, o, "priority", INT64_MIN, INT64_MAX, &a->priority);
	a->n = (unsigned)n;
	return err;
}

/* The function that the answer must call: the one that tool_choice names, or the first when some call is required. */
static void
read_tool(struct parse *p, yyjson_val *o)
{
	yyjson_val *choice = yyjson_obj_get(o, "tool_choice"), *name;

	if (yyjson_is_obj(choice))
		name = yyjson_obj_get(yyjson_obj_get(choice, "function"), "name");
	else if (yyjson_equals_str(choice, "required"))
		name = yyjson_obj_get(yyjson_obj_get(yyjson_arr_get_first(yyjson_obj_get(o, "tools")),
						     "function"),
				      "name");
	else
		return;
	if (yyjson_is_str(name))
		memcpy(p->a->tool, yyjson_get_str(name),
		       MIN(yyjson_get_len(name), (size_t)SIM_TOOL_NAME_MAX));
}

static uint64_t
seed_of(const struct sim_ask *a)
{
	uint64_t h = 1469598103934665603u; /* FNV-1a over the tokens of the first prompt */

	for (unsigned i = 0; i < a->prompts[0].n; i++)
		h = (h ^ a->prompts[0].tokens[i]) * 1099511628211u;
	return h;
}

int
sim_ask_parse(struct sim_ask *a, bool chat, struct slice body, unsigned max_prompt_tok,
	      struct buf *why, const char **ret_param)
{
	struct parse p = { .a = a, .tokens_left = max_prompt_tok, .why = why, .param = ret_param };
	yyjson_doc *doc = yyjson_read(body.p ? body.p : "", body.n, 0);
	yyjson_val *o = yyjson_doc_get_root(doc);
	int err;

	*a = (struct sim_ask){ .chat = chat, .max_tok = -1 };
	*ret_param = NULL;
	if (!yyjson_is_obj(o))
		err = refuse(&p, NULL, "The body is not a JSON object.");
	else
		err = read_options(&p, o);
	if (!err)
		err = chat ? read_messages(&p, yyjson_obj_get(o, "messages"))
			   : read_prompt(&p, yyjson_obj_get(o, "prompt"));
	if (!err && (uint64_t)a->n * a->n_prompts > SIM_CHOICES_MAX)
		err = refuse(&p, "n", "There are too many answers to give.");
	if (!err) {
		read_tool(&p, o);
		a->seed = seed_of(a);
	}
	yyjson_doc_free(doc);
	if (err)
		sim_ask_finish(a);
	return err;
}

void
sim_ask_finish(struct sim_ask *a)
{
	for (unsigned i = 0; i < a->n_prompts; i++)
		free(a->prompts[i].tokens);
	free(a->prompts);
	a->prompts = NULL;
	a->n_prompts = 0;
}
