/* SPDX-License-Identifier: MIT */
/*
 * headers - a bounded list of header fields as slices, and which of them may pass a gateway.
 */
#pragma once
#include <stdbool.h>
#include "base/str.h"

#define HTTP_HEADERS_MAX 200 /* fields in one list */

struct http_header {
	struct slice name, value;
};

/* The slices belong to whoever filled the list. */
struct http_headers {
	unsigned n;
	const struct http_header *v;
};

/* The value of the first field of that name (any case), or an empty slice with p NULL. */
struct slice http_header_get(const struct http_headers *h, struct slice name);
/* True when the comma-separated field @name has @token (any case) in it. */
bool http_header_has_token(const struct http_headers *h, struct slice name, struct slice token);
/* Fields that end at a proxy: Connection and what it names, Keep-Alive, Proxy-*, TE, Trailer, Transfer-Encoding,
 * Upgrade, and those that the message's framing owns: Content-Length, Host, Expect, Date of answers is kept. */
bool http_header_is_hop(const struct http_headers *h, struct slice name);
/* Authorization, x-api-key, api-key, x-goog-api-key, Cookie: the client's own secrets, never for the engine. */
bool http_header_is_secret(struct slice name);
/* A request id that may go into logs and headers: 1 to 128 of [A-Za-z0-9._:-]. */
bool http_request_id_valid(struct slice id);
