/* SPDX-License-Identifier: MIT */
/*
 * chunk_facts - what one event of a stream, or a whole JSON answer, says: first token, usage, end,
 * error.
 *
 * Works for OpenAI's chat and text completions, and for the streams of /v1/responses and
 * /v1/messages; a table in the .c file names the keys that are looked at.  Their order does not
 * matter: llama-server writes "choices" first, others last. One pass, no allocation, no tree.
 */
#pragma once
#include "wire/json_scan.h"

#define CHUNK_MESSAGE_MAX 256 /* bytes of an engine's message that are kept, with NUL */
#define CHUNK_WORD_MAX 64
#define CHUNK_DEPTH 6 /* containers around the deepest value that is looked at, plus one */

struct wire_usage {
	bool known;
	int64_t prompt_tok, completion_tok; /* 0 when not said: an embedding has no completion */
	int64_t cached_tok; /* prompt tokens found in the engine's cache; 0 when not said */
};

/* Joins what several events of one stream say: counts only grow, so the largest is the last. */
void wire_usage_merge(struct wire_usage *into, const struct wire_usage *from);

struct chunk_facts {
	bool bad;	/* not JSON; everything else is empty then */
	bool has_token; /* non-empty content, reasoning, refusal, text or a tool call stands in it */
	unsigned choices; /* elements of "choices" */
	unsigned token_choices; /* those among them that carry a token: what to count when no usage comes */
	uint64_t text_bytes; /* JSON bytes of the content: what to estimate from when no usage comes */
	bool has_choices;    /* "choices" stands there, though maybe empty */
	bool has_finish; /* a choice has a finish_reason, or the event is the protocol's own end */
	struct wire_usage usage;
	struct wire_span usage_span; /* value of the top-level "usage", null or not, in what was fed; off 0: absent */
	bool usage_only; /* usage, and choices is empty: the chunk that include_usage adds */
	bool has_error;
	char error_message[CHUNK_MESSAGE_MAX];
	char error_type[CHUNK_WORD_MAX];
	int error_code; /* HTTP-like number when the engine gives one, else 0 */
};

/* Reads the data of one event. */
void chunk_facts_read(struct chunk_facts *f, struct slice json);
/*
 * Reads the body of an answer whose status says that it is an error, for the log: vLLM's and
 * llama-server's nested object, the bare string, SGLang's flat object, {"detail":…} of web
 * frameworks, or plain text, of which the first line is the message.
 */
void chunk_facts_read_error(struct chunk_facts *f, struct slice body);

/*
 * An event's bytes with null in the place of its usage, for a client that did not ask for any: some
 * engines write usage into chunks that also carry content, which cannot be dropped whole.  @f was
 * read from @data, which lies inside @raw; when it does not (several data lines were joined), or
 * there is no usage, the event stays as it is.  Returns the number of slices, 1 to 3.
 */
unsigned chunk_facts_hide_usage(const struct chunk_facts *f, struct slice raw, struct slice data,
				struct slice ret[3]);

/* Where a scan stands; private. */
struct chunk_walk {
	struct json_scan scan;
	struct chunk_facts *facts;
	uint8_t path[CHUNK_DEPTH + 1]; /* what each open container is */
	uint8_t next;		       /* what the value after the key is */
	bool choice_has_token;
	bool nested_error; /* an error object was read: it knows better than its surroundings */
	bool flat_error;
	uint64_t value_at, usage_at;
};

/* The same of a JSON answer that arrives in pieces.  Not to be moved between init and end. */
struct answer_facts {
	struct chunk_facts facts; /* whole after answer_facts_end() */
	struct chunk_walk walk;
};

void answer_facts_init(struct answer_facts *a);
void answer_facts_feed(struct answer_facts *a, struct slice piece);
void answer_facts_end(struct answer_facts *a);
