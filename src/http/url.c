/* SPDX-License-Identifier: MIT */
#include "http/url.h"

#include <errno.h>

static int
bad(struct diag *d, struct slice url, const char *why)
{
	diag_what(d, "the endpoint '" SLICE_FMT "' %s", SLICE_ARG(url), why);
	diag_hint(d, "write http://HOST:PORT, http://HOST:PORT/BASE or unix:/PATH");
	return -EINVAL;
}

static int
take(char *to, size_t cap, struct slice s)
{
	if (s.n >= cap)
		return -EINVAL;
	memcpy(to, s.p, s.n);
	to[s.n] = '\0';
	return 0;
}

static int
parse_authority(struct slice url, struct slice a, struct http_endpoint *ret, struct diag *d)
{
	struct slice host = a, port = SLICE("80");
	uint64_t number;

	if (a.n && a.p[0] == '[') {
		const char *close = memchr(a.p, ']', a.n);
		size_t n = close ? (size_t)(close - a.p) : 0;

		if (!close || (n + 1 < a.n && a.p[n + 1] != ':'))
			return bad(d, url, "has a broken IPv6 address");
		host = (struct slice){ a.p + 1, n - 1 };
		if (n + 1 < a.n)
			port = (struct slice){ a.p + n + 2, a.n - n - 2 };
	} else {
		const char *colon = memchr(a.p, ':', a.n);

		if (colon) {
			host.n = (size_t)(colon - a.p);
			port = (struct slice){ colon + 1, a.n - host.n - 1 };
		}
	}
	if (memchr(a.p, '@', a.n))
		return bad(d, url, "has a user name in it; give the key as endpoint_api_key");
	if (host.n == 0 || take(ret->host, sizeof(ret->host), host) < 0)
		return bad(d, url, "has no host, or one that is too long");
	if (slice_to_u64(port, &number) < 0 || number == 0 || number > 65535)
		return bad(d, url, "has no port from 1 to 65535");
	ret->port = (uint16_t)number;
	return 0;
}

int
http_endpoint_parse(struct slice url, struct http_endpoint *ret, struct diag *d)
{
	struct slice rest = url, base;
	const char *slash;

	*ret = (struct http_endpoint){ 0 };
	for (size_t i = 0; i < url.n; i++)
		if ((unsigned char)url.p[i] <= 0x20 || url.p[i] == 0x7f || url.p[i] == '?' ||
		    url.p[i] == '#')
			return bad(d, url, "has a blank, a query or a fragment in it");
	if (slice_starts(url, SLICE("unix:"))) {
		rest = (struct slice){ url.p + 5, url.n - 5 };
		if (slice_starts(rest, SLICE("//")))
			rest.p += 2, rest.n -= 2;
		ret->is_unix = true;
		if (rest.n == 0 || rest.p[0] != '/' || take(ret->host, 108, rest) < 0)
			return bad(d, url, "needs an absolute path of at most 107 bytes");
		return 0;
	}
	if (slice_starts(url, SLICE("https://"))) {
		bad(d, url, "is https, which this version does not speak to engines");
		diag_hint(d, "use http:// on this machine or a trusted network, or put a TLS-terminating proxy between");
		return -EINVAL;
	}
	if (!slice_starts(url, SLICE("http://")))
		return bad(d, url, "has no scheme");
	rest = (struct slice){ url.p + 7, url.n - 7 };
	slash = memchr(rest.p, '/', rest.n);
	base = slash ? (struct slice){ slash, rest.n - (size_t)(slash - rest.p) } : SLICE("");
	rest.n -= base.n;
	while (base.n && base.p[base.n - 1] == '/')
		base.n--;
	if (base.n >= 3 && memcmp(base.p + base.n - 3, "/v1", 3) == 0)
		base.n -= 3;
	if (take(ret->base, sizeof(ret->base), base) < 0)
		return bad(d, url, "has too long a path");
	return parse_authority(url, rest, ret, d);
}

void
http_endpoint_host(const struct http_endpoint *ep, struct buf *out)
{
	if (ep->is_unix)
		buf_add_str(out, "localhost");
	else if (strchr(ep->host, ':'))
		buf_addf(out, "[%s]:%u", ep->host, ep->port);
	else
		buf_addf(out, "%s:%u", ep->host, ep->port);
}
