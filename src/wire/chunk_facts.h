/* SPDX-License-Identifier: MIT */
/*
 * chunk_facts - what one event of a stream, or a whole JSON answer, says: first token, usage, end, error.
 *
 * Works for OpenAI's chat and text completions, and for the streams of /v1/responses and /v1/messages.  The order of keys
 * does not matter.  No allocation, no tree.
 */
#pragma once
#include "wire/json_scan.h"

#define CHUNK_MESSAGE_MAX 256
#define CHUNK_WORD_MAX 64

struct wire_usage {
	bool known;
	int64_t prompt_tok, completion_tok, cached_tok;	/* cached: prompt tokens found in the engine's cache; 0 unless said */
};

struct chunk_facts {
	bool bad;			/* not JSON */
	bool has_token;			/* a choice has non-empty content, reasoning, refusal, text or a tool call */
	unsigned choices;		/* elements of "choices" */
	bool has_choices;		/* "choices" stands there, though maybe empty */
	bool has_finish;		/* a choice has a finish_reason, or the event is the protocol's end */
	struct wire_usage usage;
	bool usage_only;		/* usage, and choices is empty: the chunk that include_usage adds */
	bool has_error;
	char error_message[CHUNK_MESSAGE_MAX];
	char error_type[CHUNK_WORD_MAX];
	int error_code;			/* HTTP-like number when the engine gives one, else 0 */
};

/* Reads the data of one event. */
void chunk_facts_read(struct chunk_facts *f, struct slice json);

/* The same of a JSON answer that arrives in pieces. */
struct answer_facts {
	struct chunk_facts facts;
	/* private */
	struct json_scan scan;
	uint8_t path[8];
	uint64_t text_bytes;
};

void answer_facts_init(struct answer_facts *a);
void answer_facts_feed(struct answer_facts *a, struct slice piece);
void answer_facts_end(struct answer_facts *a);
