/* SPDX-License-Identifier: MIT */
#include "http/headers.h"

struct slice
http_header_get(const struct http_headers *h, struct slice name)
{
	for (unsigned i = 0; i < h->n; i++)
		if (slice_ieq(h->v[i].name, name))
			return h->v[i].value;
	return (struct slice){ NULL, 0 };
}

static bool
list_has(struct slice list, struct slice token)
{
	while (list.n) {
		const char *comma = memchr(list.p, ',', list.n);
		size_t n = comma ? (size_t)(comma - list.p) : list.n;

		if (slice_ieq(slice_trim((struct slice){ list.p, n }), token))
			return true;
		n += comma != NULL;
		list.p += n, list.n -= n;
	}
	return false;
}

bool
http_header_has_token(const struct http_headers *h, struct slice name, struct slice token)
{
	for (unsigned i = 0; i < h->n; i++)
		if (slice_ieq(h->v[i].name, name) && list_has(h->v[i].value, token))
			return true;
	return false;
}

static bool
is_one_of(struct slice name, const struct slice *v, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (slice_ieq(name, v[i]))
			return true;
	return false;
}

bool
http_header_is_hop(const struct http_headers *h, struct slice name)
{
	static const struct slice hop[] = {
		SLICE_INIT("connection"),
		SLICE_INIT("keep-alive"),
		SLICE_INIT("proxy-connection"),
		SLICE_INIT("proxy-authenticate"),
		SLICE_INIT("proxy-authorization"),
		SLICE_INIT("te"),
		SLICE_INIT("trailer"),
		SLICE_INIT("transfer-encoding"),
		SLICE_INIT("upgrade"),
		SLICE_INIT("content-length"),
		SLICE_INIT("host"),
		SLICE_INIT("expect"),
	};

	return is_one_of(name, hop, ARRAY_LEN(hop)) ||
	       http_header_has_token(h, SLICE("connection"), name);
}

bool
http_header_is_secret(struct slice name)
{
	static const struct slice secret[] = {
		SLICE_INIT("authorization"),  SLICE_INIT("x-api-key"), SLICE_INIT("api-key"),
		SLICE_INIT("x-goog-api-key"), SLICE_INIT("cookie"),
	};

	return is_one_of(name, secret, ARRAY_LEN(secret));
}

bool
http_request_id_valid(struct slice id)
{
	if (id.n == 0 || id.n > 128)
		return false;
	for (size_t i = 0; i < id.n; i++) {
		char c = id.p[i];

		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
		      c == '.' || c == '_' || c == ':' || c == '-'))
			return false;
	}
	return true;
}
