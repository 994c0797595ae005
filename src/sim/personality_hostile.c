/* SPDX-License-Identifier: MIT */
/*
 * Nobody's engine: everything that the formats allow and a hasty relay gets wrong.  CR, LF and CR LF in turn, comments,
 * "data:" without the blank, other SSE fields, blanks inside the JSON, keys in odd places, escapes where none are needed,
 * characters of several bytes that a write cuts in two, decoys that look like tokens or usage but are not, usage beside the
 * text, one event of HUGE_BYTES, errors that are no JSON or a mere string.
 */
#include <inttypes.h>
#include "sim/personality.h"

#define HUGE_BYTES 200000 /* of blanks in the chunk of a choice's first token */

/* The text as \uXXXX where it is ASCII: the same string, written otherwise. */
static void
escaped(struct buf *out, struct slice text)
{
	for (size_t i = 0; i < text.n; i++) {
		unsigned char c = (unsigned char)text.p[i];

		if (c < 0x80)
			buf_addf(out, "\\u%04x", c);
		else
			buf_add_char(out, (char)c);
	}
}

static void
raw_string(struct buf *out, struct slice text)
{
	buf_add_char(out, '"');
	escaped(out, text);
	buf_add_char(out, '"');
}

static void
head_keys(struct buf *out, const struct sim_answer_head *h, const char *object)
{
	buf_addf(out, "\"object\" : \"%s\" ,\t\"created\" : %" PRIu64 "e0 , \"id\" : ", object,
		 h->created_s);
	raw_string(out, h->id);
	buf_add_str(out, " , \"model\" : ");
	raw_string(out, h->model);
}

static void
usage(struct buf *out, const struct sim_usage *u)
{
	buf_addf(out,
		 " \"usage\" : { \"completion_tokens_details\" : { \"completion_tokens\" : 1 } , \"completion_tokens\" : %" PRIu64
		 " , \"prompt_tokens\" : %" PRIu64 " , \"total_tokens\" : %" PRIu64 " } ,",
		 u->completion_tok, u->prompt_tok, u->prompt_tok + u->completion_tok);
}

static void
finish_reason(struct buf *out, const char *finish)
{
	if (finish)
		buf_addf(out, "\"finish_reason\" : \"%s\"", finish);
	else
		buf_add_str(out, "\"finish_reason\" : null");
}

static void
tool_calls(struct buf *out, struct slice tool, struct slice arguments)
{
	buf_add_str(out, "\"tool_calls\" : [ { \"index\" : 0 , \"function\" : { ");
	if (tool.p) {
		buf_add_str(out, "\"name\" : ");
		raw_string(out, tool);
		buf_add_str(out, " , ");
	}
	buf_add_str(out, "\"arguments\" : ");
	raw_string(out, arguments);
	buf_add_str(out, " } , \"type\" : \"function\" , \"id\" : \"t0\" } ]");
}

static void
choice_body(struct buf *out, const struct sim_answer_head *h, const struct sim_chunk *c)
{
	if (!h->chat) {
		buf_add_str(out, "\"text\" : ");
		raw_string(out, c->text);
		return;
	}
	buf_add_str(out, "\"delta\" : { \"x\" : { \"content\" : \"a decoy\" } , \"refusal\" : null , ");
	if (c->kind == SIM_CHUNK_TOOL || c->kind == SIM_CHUNK_ARGUMENTS) {
		tool_calls(out, c->tool, c->text);
	} else {
		buf_add_str(out, "\"cont\\u0065nt\" : ");
		if (c->kind == SIM_CHUNK_TEXT)
			raw_string(out, c->text);
		else
			buf_add_str(out, "null");
	}
	buf_add_str(out, c->kind == SIM_CHUNK_ROLE ? " , \"role\" : \"assistant\" }" : " }");
}

/* It writes by hand what a JSON writer would never write. */
static void
chunk(struct json_writer *w, const struct sim_answer_head *h, const struct sim_chunk *c)
{
	struct buf *out = w->out;

	buf_add_str(out, " {");
	if (c->kind == SIM_CHUNK_TEXT && c->usage && c->usage->completion_tok == 1)
		buf_addf(out, "%*s", HUGE_BYTES, "");
	if (c->usage)
		usage(out, c->usage);
	buf_add_str(out, " \"choices\" : [ ");
	if (c->kind != SIM_CHUNK_USAGE) {
		buf_add_str(out, "{ ");
		finish_reason(out, c->finish);
		buf_add_str(out, " , ");
		choice_body(out, h, c);
		buf_addf(out, " , \"index\" : %u } ", c->index);
	}
	buf_add_str(out, "] , \"obfuscation\" : \"\xF0\x9F\xA6\x91[DONE]\" , ");
	head_keys(out, h, h->chat ? "chat.completion.chunk" : "text_completion");
	buf_add_str(out, " }");
}

static void
answer(struct json_writer *w, const struct sim_answer_head *h, const struct sim_choice *choices,
       unsigned n, const struct sim_usage *u)
{
	struct buf *out = w->out;

	buf_add_str(out, "\t{");
	usage(out, u);
	buf_add_str(out, " \"choices\" : [ ");
	for (unsigned i = 0; i < n; i++) {
		buf_addf(out, "%s{ ", i ? ", " : "");
		finish_reason(out, choices[i].finish);
		buf_add_str(out, h->chat ? " , \"message\" : { \"content\" : " : " , \"text\" : ");
		if (choices[i].tool.p) {
			buf_add_str(out, "null , ");
			tool_calls(out, choices[i].tool, choices[i].text);
		} else {
			raw_string(out, choices[i].text);
		}
		buf_addf(out, "%s , \"index\" : %u } ",
			 h->chat ? " , \"role\" : \"assistant\" }" : "", i);
	}
	buf_add_str(out, "] , ");
	head_keys(out, h, h->chat ? "chat.completion" : "text_completion");
	buf_add_str(out, " }\r\n");
}

static void
error(struct buf *out, const struct sim_error *e)
{
	buf_addf(out, "<html><title>%u</title><body>" SLICE_FMT "</body></html>\n", e->status,
		 SLICE_ARG(e->message));
}

static void
stream_error(struct buf *out, const struct sim_error *e)
{
	buf_add_str(out, " { \"choices\" : null , \"err\\u006fr\" : ");
	raw_string(out, e->message);
	buf_add_str(out, " }");
}

static void
too_long(struct buf *out, unsigned prompt_tok, uint64_t out_tok, unsigned limit_tok)
{
	buf_addf(out, "%u & %" PRIu64 " > %u", prompt_tok, out_tok, limit_tok);
}

static void
health(struct buf *out)
{
	buf_add_str(out, "fine, thank you\n");
}

static void
models(struct json_writer *w, const char *const *names, unsigned n, uint64_t created_s,
       unsigned max_model_len)
{
	sim_render_openai_models(w, "nobody", names, n, created_s, max_model_len);
}

static void
metrics(struct buf *out, const struct sim_face_stats *s)
{
	buf_addf(out, "num_requests_running NaN\n# %u\r\nnum_requests_waiting{a=\"}\"} +Inf 17\n",
		 s->running);
}

const struct sim_personality sim_hostile = {
	.name = "hostile",
	.stream_type = "Text/Event-Stream",
	.json_type = "application/json;charset=\"utf-8\"",
	.error_type = "text/html",
	.line_end = "\r\n",
	.loading = SIM_LOADING_503,
	.chat_finish_apart = true,
	.text_finish_apart = true,
	.any_model = true,
	.head_pages = true,
	.unkind = true,
	.chunk = chunk,
	.answer = answer,
	.error = error,
	.too_long = too_long,
	.stream_error = stream_error,
	.health = health,
	.models = models,
	.metrics = metrics,
};
