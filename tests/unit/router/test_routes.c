/* SPDX-License-Identifier: MIT */
/* Which path goes where, and which never reaches an engine. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "router/gateway_impl.h"

static const struct route *
find(const char *method, const char *path, enum wire_error *e)
{
	*e = WIRE_ERRORS;
	return route_find(slice_of(method), slice_of(path), e);
}

static void
the_apis_endpoints_are_relayed(void **state)
{
	static const struct {
		const char *path;
		enum wire_dialect dialect;
		bool usage;
	} rows[] = {
		{ "/v1/chat/completions", WIRE_OPENAI, true },
		{ "/v1/completions", WIRE_OPENAI, true },
		{ "/v1/embeddings", WIRE_OPENAI, false },
		{ "/v1/responses", WIRE_OPENAI, false },
		{ "/v1/messages", WIRE_ANTHROPIC, false },
		{ "/v1/messages/count_tokens", WIRE_ANTHROPIC, false },
		{ "/v1/rerank", WIRE_OPENAI, false },
		{ "/rerank", WIRE_OPENAI, false },
		{ "/v1/score", WIRE_OPENAI, false },
		{ "/tokenize", WIRE_OPENAI, false },
		{ "/v1/audio/transcriptions", WIRE_OPENAI, false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		enum wire_error e;
		const struct route *r = find("POST", rows[i].path, &e);

		assert_non_null(r);
		assert_int_equal(r->kind, ROUTE_RELAY);
		assert_int_equal(r->dialect, rows[i].dialect);
		assert_int_equal(r->takes_usage, rows[i].usage);
	}
}

static void
pages_are_read_only(void **state)
{
	static const char *const pages[] = { "/health",		 "/live",
					     "/ready",		 "/metrics",
					     "/kvwarden/status", "/v1/models",
					     "/v1/models/a/b" };
	enum wire_error e;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(pages); i++) {
		assert_int_equal(find("GET", pages[i], &e)->kind, ROUTE_PAGE);
		assert_int_equal(find("HEAD", pages[i], &e)->kind, ROUTE_PAGE);
		if (i == 6)
			continue;
		assert_null(find("POST", pages[i], &e));
		assert_int_equal(e, WIRE_ERR_METHOD_NOT_ALLOWED);
		assert_string_equal(route_allow(slice_of(pages[i])), "GET, HEAD");
	}
	assert_null(find("GET", "/v1/completions", &e));
	assert_int_equal(e, WIRE_ERR_METHOD_NOT_ALLOWED);
	assert_string_equal(route_allow(SLICE("/v1/completions")), "POST");
	assert_null(find("DELETE", "/v1/models/x", &e));
	assert_null(find("GET", "/nothing", &e));
	assert_int_equal(e, WIRE_ERR_NOT_FOUND);
}

/* Administration and development endpoints of engines, in whatever spelling. */
static void
what_is_the_engines_own_is_never_proxied(void **state)
{
	static const char *const paths[] = {
		"/sleep",
		"/SLEEP",
		"/sleep/",
		"/sleep/x",
		"/wake_up",
		"/collective_rpc",
		"/pause",
		"/resume",
		"/abort_request",
		"/flush_cache",
		"/kvwarden/x",
		"/admin/keys",
		"/slots",
		"/slots/0",
		"/v1/load_lora_adapter",
		"/start_profile",
		"/v1/../sleep",
		"/./sleep",
		"//sleep",
		"/%73leep",
		"/v1//completions",
		"/sleep;x",
		"/a b",
		"*",
		"sleep",
		"/",
		"/v1/completions/../../sleep",
		"/\xc3\xa9",
		"/x\\y",
		"/props",
	};
	enum wire_error e;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
		assert_null(find("POST", paths[i], &e));
		assert_int_equal(e, WIRE_ERR_NOT_FOUND);
	}
	assert_non_null(find("POST", "/sleepy", &e));
}

static void
errors_have_the_shape_of_their_path(void **state)
{
	(void)state;
	assert_int_equal(route_dialect(SLICE("/v1/messages")), WIRE_ANTHROPIC);
	assert_int_equal(route_dialect(SLICE("/v1/messages/nothing")), WIRE_ANTHROPIC);
	assert_int_equal(route_dialect(SLICE("/v1/completions")), WIRE_OPENAI);
	assert_int_equal(route_dialect(SLICE("/")), WIRE_OPENAI);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_apis_endpoints_are_relayed),
		cmocka_unit_test(pages_are_read_only),
		cmocka_unit_test(what_is_the_engines_own_is_never_proxied),
		cmocka_unit_test(errors_have_the_shape_of_their_path),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
