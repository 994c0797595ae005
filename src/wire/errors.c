/* SPDX-License-Identifier: MIT */
#include "wire/errors.h"

#include "base/json_writer.h"

static const struct wire_error_info infos[] = {
#define X(NAME, status, type, code, retry, text)                                                   \
	[WIRE_ERR_##NAME] = { status, type, code, text, WIRE_RETRY_##retry },
#include "wire/errors.def"
#undef X
};

const struct wire_error_info *
wire_error_info(enum wire_error e)
{
	must(e < WIRE_ERRORS);
	return &infos[e];
}

unsigned
wire_error_status(enum wire_error e, enum wire_dialect dialect)
{
	unsigned status = wire_error_info(e)->status;

	return dialect == WIRE_ANTHROPIC && e == WIRE_ERR_OVERLOADED ? 529 : status;
}

/* Anthropic's word for a status. */
static const char *
anthropic_type(unsigned status)
{
	switch (status) {
	case 401:
		return "authentication_error";
	case 403:
		return "permission_error";
	case 404:
		return "not_found_error";
	case 413:
		return "request_too_large";
	case 429:
		return "rate_limit_error";
	case 529:
		return "overloaded_error";
	default:
		return status >= 500 ? "api_error" : "invalid_request_error";
	}
}

void
wire_error_body(struct buf *out, enum wire_error e, enum wire_dialect dialect, const char *message,
		const char *param)
{
	const struct wire_error_info *i = wire_error_info(e);
	struct json_writer w;

	jw_init(&w, out);
	jw_object(&w);
	if (dialect == WIRE_ANTHROPIC)
		jw_kv_str(&w, "type", "error");
	jw_key(&w, "error");
	jw_object(&w);
	if (dialect == WIRE_ANTHROPIC) {
		jw_kv_str(&w, "type", anthropic_type(wire_error_status(e, dialect)));
		jw_kv_str(&w, "message", message ? message : i->text);
	} else {
		jw_kv_str(&w, "message", message ? message : i->text);
		jw_kv_str(&w, "type", i->type);
		jw_kv_str(&w, "param", param);
		jw_kv_str(&w, "code", i->code);
	}
	jw_end_object(&w);
	jw_end_object(&w);
}

void
wire_error_event(struct buf *out, enum wire_error e, enum wire_dialect dialect, const char *message)
{
	if (dialect == WIRE_ANTHROPIC)
		buf_add_str(out, "event: error\n");
	buf_add_str(out, "data: ");
	wire_error_body(out, e, dialect, message, NULL);
	buf_add_str(out, "\n\n");
}
