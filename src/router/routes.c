/* SPDX-License-Identifier: MIT */
#include "router/gateway_impl.h"

static const struct route routes[] = {
#define PAGE(path, page) { path, ROUTE_PAGE, page, WIRE_OPENAI, false },
#define RELAY(path, dialect, usage) { path, ROUTE_RELAY, NULL, dialect, usage },
#define NEVER(path)
#include "router/routes.def"
#undef PAGE
#undef RELAY
#undef NEVER
};

static const char *const never[] = {
#define PAGE(path, page)
#define RELAY(path, dialect, usage)
#define NEVER(path) path,
#include "router/routes.def"
#undef PAGE
#undef RELAY
#undef NEVER
};

/* Any other POST with a model. */
static const struct route other = { "", ROUTE_RELAY, NULL, WIRE_OPENAI, false };

static const struct route *
find_path(struct slice path)
{
	for (size_t i = 0; i < ARRAY_LEN(routes); i++)
		if (slice_eq(path, slice_of(routes[i].path)))
			return &routes[i];
	return NULL;
}

/* A path that any server on the way reads alike: no escapes, no empty or dotted segments, nothing but plain letters. */
static bool
is_plain(struct slice path)
{
	if (path.n < 2 || path.p[0] != '/')
		return false;
	for (size_t i = 0; i < path.n; i++) {
		char c = path.p[i], before = i ? path.p[i - 1] : 'x';

		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
		      c == '/' || c == '-' || c == '_' || c == '.' || c == ':'))
			return false;
		if ((c == '/' || c == '.') && before == '/')
			return false;
	}
	return true;
}

static bool
is_never(struct slice path)
{
	for (size_t i = 0; i < ARRAY_LEN(never); i++) {
		struct slice n = slice_of(never[i]);

		if (path.n >= n.n && slice_ieq((struct slice){ path.p, n.n }, n) &&
		    (path.n == n.n || path.p[n.n] == '/'))
			return true;
	}
	return false;
}

const struct route *
route_find(struct slice method, struct slice path, enum wire_error *e)
{
	bool reads = slice_eq(method, SLICE("GET")) || slice_eq(method, SLICE("HEAD"));
	bool posts = slice_eq(method, SLICE("POST"));
	const struct route *r = find_path(path);

	if (r && (r->kind == ROUTE_PAGE ? reads : posts))
		return r;
	*e = WIRE_ERR_METHOD_NOT_ALLOWED;
	if (r)
		return NULL;
	if (reads && slice_starts(path, SLICE("/v1/models/")))
		return find_path(SLICE("/v1/models"));
	*e = WIRE_ERR_NOT_FOUND;
	return posts && is_plain(path) && !is_never(path) ? &other : NULL;
}

const char *
route_allow(struct slice path)
{
	const struct route *r = find_path(path);

	return r && r->kind == ROUTE_RELAY ? "POST" : "GET, HEAD";
}

enum wire_dialect
route_dialect(struct slice path)
{
	return slice_starts(path, SLICE("/v1/messages")) ? WIRE_ANTHROPIC : WIRE_OPENAI;
}
