/* SPDX-License-Identifier: MIT */
/*
 * url - where an engine listens: http://host:port[/base] or unix:/path.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "base/diag.h"
#include "base/str.h"

#define HTTP_HOST_MAX 256
#define HTTP_BASE_MAX 256

struct http_endpoint {
	bool is_unix;
	char host[HTTP_HOST_MAX]; /* name or address without brackets; the path of a Unix socket */
	uint16_t port;
	char base[HTTP_BASE_MAX]; /* put before every target: "" or "/openai"; a trailing "/v1" is dropped, since targets have it */
};

/* 0, or -EINVAL with @d filled.  https:// is refused with a word. */
MUST_CHECK int http_endpoint_parse(struct slice url, struct http_endpoint *ret, struct diag *d);
/* The Host header's value for it. */
void http_endpoint_host(const struct http_endpoint *ep, struct buf *out);
