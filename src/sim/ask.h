/* SPDX-License-Identifier: MIT */
/*
 * ask - what a request to the simulated engine asks for.
 *
 * There is no tokenizer: a token is four bytes of text, or one of the ids when the prompt is given as ids.  Equal
 * beginnings of prompts give equal tokens, so that the prefix cache has something to find.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "base/str.h"

#define SIM_MODEL_NAME_MAX 256
#define SIM_CHOICES_MAX 128 /* prompts times n */
#define SIM_TOOL_NAME_MAX 64
#define SIM_BYTES_PER_TOKEN 4
#define SIM_OUTPUT_MAX 1000000	       /* tokens of one choice; a larger max_tokens means this */
#define SIM_PROMPT_TOK_MAX (16u << 20) /* of all prompts of a request */

struct sim_prompt {
	uint32_t *tokens;
	unsigned n;
};

struct sim_ask {
	bool chat, stream;
	bool include_usage, continuous_usage;
	bool ignore_eos;
	char model[SIM_MODEL_NAME_MAX + 1]; /* "" when absent */
	int64_t max_tok;		    /* -1: not said */
	int64_t priority;
	unsigned n; /* answers to each prompt */
	struct sim_prompt *prompts;
	unsigned n_prompts;
	char tool[SIM_TOOL_NAME_MAX + 1]; /* the function that must be called, "" for none */
	uint64_t seed;			  /* of the words: from the prompt */
};

/* Reads @body of chat/completions (@chat) or completions.  0, or -EINVAL with one sentence in @why and the key it is
 * about in *@ret_param (a static string, or NULL).  @max_prompt_tok bounds the prompts together. */
MUST_CHECK int sim_ask_parse(struct sim_ask *a, bool chat, struct slice body,
			     unsigned max_prompt_tok, struct buf *why, const char **ret_param);
void sim_ask_finish(struct sim_ask *a);
