/* SPDX-License-Identifier: MIT */
/* Who is asking: API key, then a header that may be believed, then the default tenant. */
#include "router/gateway_impl.h"

static const struct slice tenant_headers[] = {
	SLICE_INIT("x-tenant-id"), SLICE_INIT("x-llm-d-inference-fairness-id"),
	SLICE_INIT("x-gateway-inference-fairness-id"), /* its older name */
};

bool
identity_is_tenant_header(struct slice name)
{
	for (size_t i = 0; i < ARRAY_LEN(tenant_headers); i++)
		if (slice_ieq(name, tenant_headers[i]))
			return true;
	return false;
}

static struct slice
tenant_header(const struct http_headers *h)
{
	struct slice v = { NULL, 0 };

	for (size_t i = 0; i < ARRAY_LEN(tenant_headers) && !v.p; i++)
		v = http_header_get(h, tenant_headers[i]);
	return v;
}

/* The key that came with the request, in whichever header SDKs use; empty: none. */
static struct slice
key_of(const struct http_headers *h)
{
	static const struct slice others[] = { SLICE_INIT("x-api-key"), SLICE_INIT("api-key"),
					       SLICE_INIT("x-goog-api-key") };
	struct slice v = http_header_get(h, SLICE("authorization")), bearer = SLICE("Bearer ");

	if (v.n > bearer.n && slice_ieq((struct slice){ v.p, bearer.n }, bearer))
		return slice_trim((struct slice){ v.p + bearer.n, v.n - bearer.n });
	for (size_t i = 0; i < ARRAY_LEN(others); i++) {
		v = http_header_get(h, others[i]);
		if (v.n)
			return v;
	}
	return (struct slice){ NULL, 0 };
}

/* trusted_peers: an address without port, or "local". */
static bool
peer_is_trusted(const struct config *c, const struct http_exchange *x)
{
	struct slice peer = slice_of(http_peer(x));
	const char *colon = memrchr(peer.p, ':', peer.n);

	if (colon)
		peer.n = (size_t)(colon - peer.p);
	if (peer.n > 2 && peer.p[0] == '[')
		peer = (struct slice){ peer.p + 1, peer.n - 2 };
	for (unsigned i = 0; i < c->n_trusted_peers; i++) {
		struct slice t = slice_of(c->trusted_peers[i]);

		if (slice_ieq(t, SLICE("local")) ? http_peer_is_local(x) : slice_ieq(t, peer))
			return true;
	}
	return false;
}

static enum identity
by_name(struct gateway *g, struct slice name, struct tenant **ret)
{
	*ret = tenant_by_name(g->tenants, name, g->now_us);
	return *ret ? IDENTITY_KNOWN : IDENTITY_BAD_NAME;
}

enum identity
identify_tenant(struct gateway *g, struct http_exchange *x, struct tenant **ret)
{
	const struct http_headers *h = http_request_headers(x);
	const struct config *c = g->config;
	bool keys = c->auth == CONFIG_AUTH_KEYS;
	struct slice key = key_of(h), name = tenant_header(h);

	if (keys && key.n) {
		*ret = tenant_by_key(g->tenants, key, NULL);
		if (*ret)
			return IDENTITY_KNOWN;
	}
	if (name.p && (!keys || peer_is_trusted(c, x)))
		return by_name(g, name, ret);
	if (keys && !c->allow_anonymous)
		return IDENTITY_BAD_KEY;
	return by_name(g, SLICE(TENANT_DEFAULT), ret);
}

static bool
has_admin_key(const struct gateway *g, const struct http_exchange *x)
{
	struct slice key = key_of(http_request_headers(x));
	struct sha256 hash;

	if (!g->config->has_admin_key || !key.n)
		return false;
	digest_sha256(key.p, key.n, &hash);
	return digest_equal(&hash, &g->config->admin_key_hash);
}

bool
identify_admin(const struct gateway *g, const struct http_exchange *x)
{
	bool open = g->config->auth != CONFIG_AUTH_KEYS && !g->config->tenants.n_keys &&
		    !g->config->has_admin_key;

	return open || http_peer_is_local(x) || has_admin_key(g, x);
}

bool
identify_reader(struct gateway *g, const struct http_exchange *x)
{
	const struct config *c = g->config;
	struct slice key = key_of(http_request_headers(x));

	return c->auth != CONFIG_AUTH_KEYS || c->allow_anonymous || peer_is_trusted(c, x) ||
	       has_admin_key(g, x) || (key.n && tenant_by_key(g->tenants, key, NULL));
}
