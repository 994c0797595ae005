/* SPDX-License-Identifier: MIT */
/*
 * request_facts - what the gateway must know of a request body, found while the body arrives.
 *
 * One pass, no tree, bounded memory.  The body itself stays as it is: what must be added or changed
 * is spliced in by request_edit, using the spans found here.
 *
 * Refused, with the key's name where there is one: what is not JSON or not an object, a top-level
 * key that stands twice (also when one of them is written with escapes), and a wrong type of a key
 * that matters (request_keys.def).
 */
#pragma once
#include "wire/errors.h"
#include "wire/json_scan.h"

#define WIRE_TOP_KEYS_MAX 128	    /* top-level keys of one body */
#define WIRE_TOP_KEY_BYTES_MAX 4096 /* all of them together, unescaped */
#define WIRE_MODEL_MAX 256	    /* bytes of a model's name */
#define WIRE_USER_MAX 128
#define WIRE_TIER_MAX 32
#define WIRE_TOKENS_MAX 1000000000 /* larger counts are taken for this */

enum wire_key {
#define X(NAME, key, types, expected) WIRE_KEY_##NAME,
#include "wire/request_keys.def"
#undef X
	WIRE_KEYS
};

struct request_facts {
	char model[WIRE_MODEL_MAX + 1];	      /* "" when absent */
	char user[WIRE_USER_MAX + 1];	      /* cut when longer: for the log */
	char service_tier[WIRE_TIER_MAX + 1]; /* cut as well: no tier that is known is that long */
	bool stream;
	bool include_usage;		     /* stream_options.include_usage is true */
	bool has_include_usage;		     /* the key stands there, whatever its value */
	struct wire_span include_usage_span; /* its value */
	unsigned stream_options_keys;	     /* keys inside stream_options */
	int64_t max_tokens; /* the least of the synonyms that are set and not negative; -1: not said */
	int64_t n, best_of; /* 1 when not said */
	int64_t priority;
	uint32_t seen;			  /* bit per enum wire_key: stands there and is not null */
	struct wire_span span[WIRE_KEYS]; /* of each key that stands there, null or not; off 0: absent */
	uint64_t prompt_bytes; /* JSON bytes of messages, prompt, input, system, instructions and tools */
	uint64_t prompt_items; /* elements, when prompt or input is a list; else 1 */
	bool prompt_is_tokens; /* the list holds token ids: prompt_items is their number */
	uint64_t open_at;      /* offset behind the outermost '{' */
	bool empty_object;

	enum wire_error error;		   /* after a refusal */
	char message[JSON_TEXT_MAX + 128]; /* for the client */
	char param[JSON_TEXT_MAX + 1];	   /* the key it is about, or "" */

	/* private from here */
	struct json_scan scan;
	int key, inner; /* the key whose value comes, at depth 1 and 2; -1: none that matters */
	uint64_t value_at;
	unsigned n_keys;
	uint16_t key_end[WIRE_TOP_KEYS_MAX];
	char keys[WIRE_TOP_KEY_BYTES_MAX];
};

static inline bool
request_facts_has(const struct request_facts *f, enum wire_key key)
{
	return f->seen >> key & 1;
}

void request_facts_init(struct request_facts *f);
/* False once the body is refused: error, message and param are set. */
bool request_facts_feed(struct request_facts *f, struct slice piece);
/* The body ends here. */
bool request_facts_end(struct request_facts *f);
