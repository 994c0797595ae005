/* SPDX-License-Identifier: MIT */
#include "wire/chunk_facts.h"

#include <stdio.h>

/* What a value is, by the keys on the way to it. */
enum what {
	OTHER,
	TOP,
	CHOICES, /* the array */
	CHOICE,
	DELTA,	/* or the whole message: an object with the content */
	BLOCK,	/* the beginning of a content block; a tool's name is a token */
	TOKEN,	/* a string or an array that is a token unless it is empty */
	CALL,	/* an object that is a token by being there */
	FINISH, /* the end of a choice unless it is null */
	USAGE,
	PROMPT_TOK,
	COMPLETION_TOK,
	DETAILS, /* of the prompt tokens */
	CACHED_TOK,
	ERROR,
	ERROR_MESSAGE,
	ERROR_TYPE,
	ERROR_CODE,
	RESPONSE, /* an object that wraps usage and error: of /v1/responses, of message_start */
	MESSAGE, /* RESPONSE when it is an object, the message of a flat error when it is a string */
	EVENT_DELTA, /* TOKEN when it is a string, DELTA when it is an object */
	EVENT_TYPE,
	OBJECT_KIND,
};

static const struct {
	enum what in;
	struct slice key;
	enum what is;
} table[] = {
	{ TOP, SLICE_INIT("choices"), CHOICES },
	{ TOP, SLICE_INIT("usage"), USAGE },
	{ TOP, SLICE_INIT("error"), ERROR },
	{ TOP, SLICE_INIT("object"), OBJECT_KIND },
	{ TOP, SLICE_INIT("type"), EVENT_TYPE },
	{ TOP, SLICE_INIT("code"), ERROR_CODE },
	{ TOP, SLICE_INIT("message"), MESSAGE },
	{ TOP, SLICE_INIT("detail"), ERROR_MESSAGE },
	{ TOP, SLICE_INIT("response"), RESPONSE },
	{ TOP, SLICE_INIT("delta"), EVENT_DELTA },
	{ TOP, SLICE_INIT("content_block"), BLOCK },
	{ TOP, SLICE_INIT("content"), TOKEN },
	{ CHOICE, SLICE_INIT("delta"), DELTA },
	{ CHOICE, SLICE_INIT("message"), DELTA },
	{ CHOICE, SLICE_INIT("text"), TOKEN },
	{ CHOICE, SLICE_INIT("finish_reason"), FINISH },
	{ DELTA, SLICE_INIT("content"), TOKEN },
	{ DELTA, SLICE_INIT("reasoning"), TOKEN },
	{ DELTA, SLICE_INIT("reasoning_content"), TOKEN },
	{ DELTA, SLICE_INIT("refusal"), TOKEN },
	{ DELTA, SLICE_INIT("tool_calls"), TOKEN },
	{ DELTA, SLICE_INIT("function_call"), CALL },
	{ DELTA, SLICE_INIT("audio"), CALL },
	/* of /v1/messages */
	{ DELTA, SLICE_INIT("text"), TOKEN },
	{ DELTA, SLICE_INIT("thinking"), TOKEN },
	{ DELTA, SLICE_INIT("partial_json"), TOKEN },
	{ DELTA, SLICE_INIT("stop_reason"), FINISH },
	{ BLOCK, SLICE_INIT("text"), TOKEN },
	{ BLOCK, SLICE_INIT("thinking"), TOKEN },
	{ BLOCK, SLICE_INIT("name"), TOKEN },
	{ USAGE, SLICE_INIT("prompt_tokens"), PROMPT_TOK },
	{ USAGE, SLICE_INIT("input_tokens"), PROMPT_TOK },
	{ USAGE, SLICE_INIT("completion_tokens"), COMPLETION_TOK },
	{ USAGE, SLICE_INIT("output_tokens"), COMPLETION_TOK },
	{ USAGE, SLICE_INIT("prompt_tokens_details"), DETAILS },
	{ USAGE, SLICE_INIT("input_tokens_details"), DETAILS },
	{ USAGE, SLICE_INIT("cache_read_input_tokens"), CACHED_TOK },
	{ DETAILS, SLICE_INIT("cached_tokens"), CACHED_TOK },
	{ RESPONSE, SLICE_INIT("usage"), USAGE },
	{ RESPONSE, SLICE_INIT("error"), ERROR },
	{ ERROR, SLICE_INIT("message"), ERROR_MESSAGE },
	{ ERROR, SLICE_INIT("type"), ERROR_TYPE },
	{ ERROR, SLICE_INIT("code"), ERROR_CODE },
};

/* Types of an event that end its stream, where there is no [DONE]. */
static const struct slice last_events[] = {
	SLICE_INIT("message_stop"),
	SLICE_INIT("response.completed"),
	SLICE_INIT("response.incomplete"),
	SLICE_INIT("response.failed"),
};

void
wire_usage_merge(struct wire_usage *into, const struct wire_usage *from)
{
	into->known |= from->known;
	into->prompt_tok = MAX(into->prompt_tok, from->prompt_tok);
	into->completion_tok = MAX(into->completion_tok, from->completion_tok);
	into->cached_tok = MAX(into->cached_tok, from->cached_tok);
}

/* Copies what fits, cut between two characters. */
static void
copy_text(char *to, size_t size, struct slice text)
{
	size_t n = MIN(text.n, size - 1);

	while (n && n < text.n && ((unsigned char)text.p[n] & 0xc0) == 0x80)
		n--;
	if (n)
		memcpy(to, text.p, n);
	to[n] = '\0';
}

static const char *
on_key(void *ctx, unsigned depth, struct slice key, bool cut)
{
	struct chunk_walk *w = ctx;

	w->next = OTHER;
	for (size_t i = 0; i < ARRAY_LEN(table) && !cut; i++)
		if (table[i].in == w->path[depth] && slice_eq(table[i].key, key))
			w->next = table[i].is;
	return NULL;
}

/* What the value that begins inside @depth containers is. */
static enum what
what_begins(const struct chunk_walk *w, unsigned depth, enum json_type type)
{
	enum what in = w->path[depth], is = w->next;

	if (depth == 0)
		return type == JSON_OBJECT ? TOP : OTHER;
	if (in == CHOICES)
		return type == JSON_OBJECT ? CHOICE : OTHER;
	if (is == MESSAGE)
		return type == JSON_OBJECT ? RESPONSE : ERROR_MESSAGE;
	if (is == EVENT_DELTA)
		return type == JSON_OBJECT ? DELTA : TOKEN;
	if ((is == CHOICES || is == TOKEN) && type == JSON_OBJECT)
		return OTHER; /* its members are no elements */
	return is;
}

static void
found_token(struct chunk_walk *w)
{
	w->facts->has_token = true;
	w->choice_has_token = true;
}

static const char *
on_begin(void *ctx, unsigned depth, enum json_type type, uint64_t at)
{
	struct chunk_walk *w = ctx;
	struct chunk_facts *f = w->facts;
	enum what in = w->path[depth], is = what_begins(w, depth, type);

	w->value_at = at;
	w->next = (uint8_t)is;
	if (type == JSON_OBJECT || type == JSON_ARRAY) {
		w->path[depth + 1] = (uint8_t)is;
		w->next = OTHER; /* elements of an array have no key */
	}
	if (in == CHOICES) {
		f->choices++;
		w->choice_has_token = false;
	} else if (in == TOKEN) {
		found_token(w); /* an element of tool_calls, or of content in parts */
	}
	if (is == CALL && type == JSON_OBJECT)
		found_token(w);
	else if (is == CHOICES && type == JSON_ARRAY)
		f->has_choices = true;
	else if (is == ERROR && type == JSON_OBJECT)
		w->nested_error = f->has_error = true;
	else if (is == USAGE && in == TOP)
		w->usage_at = at;
	return NULL;
}

static void
take_count(struct chunk_facts *f, enum what is, struct slice text)
{
	double v;
	int64_t n;

	if (slice_to_double(text, &v) < 0 || !(v >= 0))
		return;
	n = v < 1e15 ? (int64_t)v : (int64_t)1e15;
	if (is == PROMPT_TOK)
		f->usage.prompt_tok = n;
	else if (is == COMPLETION_TOK)
		f->usage.completion_tok = n;
	else
		f->usage.cached_tok = n;
	f->usage.known |= is != CACHED_TOK;
}

static void
take_code(struct chunk_walk *w, bool nested, struct slice text)
{
	uint64_t code;

	if ((nested || !w->nested_error) && slice_to_u64(text, &code) == 0 && code < 1000)
		w->facts->error_code = (int)code;
}

static void
take_event_type(struct chunk_walk *w, struct slice text)
{
	for (size_t i = 0; i < ARRAY_LEN(last_events); i++)
		if (slice_eq(text, last_events[i]))
			w->facts->has_finish = true;
	if (slice_eq(text, SLICE("error")))
		w->flat_error = true;
	else if (!w->nested_error)
		copy_text(w->facts->error_type, sizeof(w->facts->error_type), text);
}

/* A string or a number that the table knows. */
static void
take_scalar(struct chunk_walk *w, enum what is, bool nested, enum json_type type, struct slice text,
	    uint64_t json_bytes)
{
	struct chunk_facts *f = w->facts;
	bool string = type == JSON_STRING;

	switch (is) {
	case TOKEN:
		if (string && text.n) {
			found_token(w);
			f->text_bytes += json_bytes - 2; /* without the quotes */
		}
		break;
	case FINISH:
		f->has_finish |= string;
		break;
	case PROMPT_TOK:
	case COMPLETION_TOK:
	case CACHED_TOK:
		if (!string)
			take_count(f, is, text);
		break;
	case ERROR:
		if (string && text.n) {
			f->has_error = w->nested_error = true;
			copy_text(f->error_message, sizeof(f->error_message), text);
		}
		break;
	case ERROR_MESSAGE:
		if (string && (nested || !w->nested_error))
			copy_text(f->error_message, sizeof(f->error_message), text);
		break;
	case ERROR_TYPE:
		if (string)
			copy_text(f->error_type, sizeof(f->error_type), text);
		break;
	case ERROR_CODE:
		take_code(w, nested, text);
		break;
	case EVENT_TYPE:
		if (string)
			take_event_type(w, text);
		break;
	case OBJECT_KIND:
		w->flat_error |= slice_eq(text, SLICE("error"));
		break;
	default:
		break;
	}
}

static const char *
on_end(void *ctx, unsigned depth, enum json_type type, struct slice text, bool cut, uint64_t at)
{
	struct chunk_walk *w = ctx;
	struct chunk_facts *f = w->facts;
	bool container = type == JSON_OBJECT || type == JSON_ARRAY;
	enum what in = w->path[depth], is = container ? w->path[depth + 1] : w->next;

	(void)cut; /* what is kept of a longer string is enough */
	if (type == JSON_STRING || type == JSON_NUMBER)
		take_scalar(w, is, in == ERROR, type, text, at - w->value_at);
	if (in == CHOICES)
		f->token_choices += w->choice_has_token;
	if (is == USAGE && in == TOP)
		f->usage_span = (struct wire_span){ w->usage_at, at - w->usage_at };
	w->next = OTHER;
	return NULL;
}

static const struct json_sink sink = { on_key, on_begin, on_end };

static void
walk_init(struct chunk_walk *w, struct chunk_facts *f)
{
	memset(f, 0, sizeof(*f));
	w->facts = f;
	memset(w->path, OTHER, sizeof(w->path));
	w->next = OTHER;
	w->choice_has_token = w->nested_error = w->flat_error = false;
	w->value_at = w->usage_at = 0;
	json_scan_init(&w->scan, &sink, w, CHUNK_DEPTH - 1);
}

/*
 * True when the input was JSON.  What a flat error would have said is still in the error's fields.
 */
static bool
walk_end(struct chunk_walk *w)
{
	struct chunk_facts *f = w->facts;

	if (!json_scan_end(&w->scan)) {
		*f = (struct chunk_facts){ .bad = true };
		return false;
	}
	f->has_error |= w->flat_error;
	f->usage_only = f->usage.known && f->has_choices && f->choices == 0 && !f->has_error;
	return true;
}

static void
forget_error(struct chunk_facts *f)
{
	f->error_message[0] = f->error_type[0] = '\0';
	f->error_code = 0;
}

void
chunk_facts_read(struct chunk_facts *f, struct slice json)
{
	struct chunk_walk w;

	walk_init(&w, f);
	json_scan_feed(&w.scan, json);
	if (walk_end(&w) && !f->has_error)
		forget_error(f);
}

void
chunk_facts_read_error(struct chunk_facts *f, struct slice body)
{
	struct chunk_walk w;

	walk_init(&w, f);
	json_scan_feed(&w.scan, body);
	if (!walk_end(&w)) {
		size_t n = 0;

		while (n < body.n && body.p[n] != '\r' && body.p[n] != '\n')
			n++;
		copy_text(f->error_message, sizeof(f->error_message), (struct slice){ body.p, n });
	}
	f->has_error = true;
}

unsigned
chunk_facts_hide_usage(const struct chunk_facts *f, struct slice raw, struct slice data,
		       struct slice ret[3])
{
	uintptr_t begin = (uintptr_t)raw.p, at = (uintptr_t)data.p;
	size_t before;

	ret[0] = raw;
	if (!f->usage.known || f->usage_span.off == 0)
		return 1;
	if (at < begin || at + data.n > begin + raw.n)
		return 1;
	must(f->usage_span.off + f->usage_span.n <= data.n);
	before = at - begin + f->usage_span.off;
	ret[0].n = before;
	ret[1] = SLICE("null");
	ret[2].p = raw.p + before + f->usage_span.n;
	ret[2].n = raw.n - before - f->usage_span.n;
	return 3;
}

void
answer_facts_init(struct answer_facts *a)
{
	walk_init(&a->walk, &a->facts);
}

void
answer_facts_feed(struct answer_facts *a, struct slice piece)
{
	json_scan_feed(&a->walk.scan, piece);
}

void
answer_facts_end(struct answer_facts *a)
{
	if (walk_end(&a->walk) && !a->facts.has_error)
		forget_error(&a->facts);
}
