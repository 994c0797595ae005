/* SPDX-License-Identifier: MIT */
/*
 * errors - what kvwarden answers when it refuses or fails, in OpenAI's shape or in Anthropic's.
 */
#pragma once
#include "base/str.h"

enum wire_error {
#define X(NAME, status, type, code, retry, text) WIRE_ERR_##NAME,
#include "wire/errors.def"
#undef X
	WIRE_ERRORS
};

enum wire_retry {
	WIRE_RETRY_UNSAID,
	WIRE_RETRY_YES,
	WIRE_RETRY_NO
};

/* Whose shape an answer has: by the endpoint that was asked. */
enum wire_dialect {
	WIRE_OPENAI,
	WIRE_ANTHROPIC
};

struct wire_error_info {
	unsigned status;
	const char *type, *code, *text;
	enum wire_retry retry;
};

const struct wire_error_info *wire_error_info(enum wire_error e);
/* The status to send: Anthropic's clients know 529 for an overload where OpenAI's know 503. */
unsigned wire_error_status(enum wire_error e, enum wire_dialect dialect);
/*
 * Appends the error's JSON object.  @message NULL: the table's text.  @param NULL: null (OpenAI's
 * shape only).
 */
void wire_error_body(struct buf *out, enum wire_error e, enum wire_dialect dialect,
		     const char *message, const char *param);
/* The same as one event of a stream, for failures after the head. */
void
wire_error_event(struct buf *out, enum wire_error e, enum wire_dialect dialect, const char *message);
