/* SPDX-License-Identifier: MIT */
/* Who is asking, from where: what no test over loopback can show. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "http/server_impl.h"
#include "router/gateway_impl.h"

#define QUIET "sk-quiet-0123456789abcdef"
#define ADMIN "sk-admin-0123456789abcdef"
#define BEARER(key)                                                                                \
	{                                                                                          \
		SLICE_INIT("authorization"), SLICE_INIT("Bearer " key)                             \
	}

struct fixture {
	struct gateway g;
	struct http_conn_server conn;
	struct http_exchange x;
};

static void
configure(struct fixture *f, const char *yaml)
{
	struct config_errors errs = { 0 };

	f->g.config = config_parse(slice_of(yaml), "test", &errs);
	assert_non_null(f->g.config);
	f->g.tenants = tenant_table_create(16, 16, 1);
	assert_int_equal(tenant_table_configure(f->g.tenants, &f->g.config->tenants, 0), 0);
}

static void
come_from(struct fixture *f, const char *peer, bool local)
{
	snprintf(f->conn.peer, sizeof(f->conn.peer), "%s", peer);
	f->conn.peer_local = local;
}

static void
say(struct fixture *f, const struct http_header *v, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		f->x.header_v[i] = v[i];
	f->x.headers = (struct http_headers){ n, f->x.header_v };
}

#define SAY(f, ...)                                                                                \
	do {                                                                                       \
		static const struct http_header v_[] = { __VA_ARGS__ };                            \
		say(f, v_, ARRAY_LEN(v_));                                                         \
	} while (0)

static int
set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	f->x.conn = &f->conn;
	come_from(f, "203.0.113.9:4711", false);
	*state = f;
	return 0;
}

static int
tear_down(void **state)
{
	struct fixture *f = *state;

	tenant_table_destroy(f->g.tenants);
	config_unref(f->g.config);
	free(f);
	return 0;
}

static const char *
who(struct fixture *f)
{
	struct tenant *t = NULL;

	switch (identify_tenant(&f->g, &f->x, &t)) {
	case IDENTITY_KNOWN:
		return t->id;
	case IDENTITY_BAD_KEY:
		return "401";
	case IDENTITY_BAD_NAME:
		return "400";
	}
	return "?";
}

static const char with_keys[] = "tenants:\n- id: quiet\n  api_keys: [" QUIET "]\n";
static const char with_peers[] = "trusted_peers: [203.0.113.9, '2001:db8::7']\n"
				 "tenants:\n- id: quiet\n  api_keys: [" QUIET "]\n";

/* Pages of the administrator: another machine needs the key as soon as keys are configured. */
static void
another_machine_needs_the_admin_key(void **state)
{
	struct fixture *f = *state;

	configure(f, "admin_key: " ADMIN "\ntenants:\n- id: quiet\n  api_keys: [" QUIET "]\n");
	assert_false(identify_admin(&f->g, &f->x));
	SAY(f, BEARER(QUIET));
	assert_false(identify_admin(&f->g, &f->x));
	SAY(f, BEARER(ADMIN));
	assert_true(identify_admin(&f->g, &f->x));
	SAY(f, { SLICE_INIT("x-api-key"), SLICE_INIT(ADMIN) });
	assert_true(identify_admin(&f->g, &f->x));
	SAY(f, BEARER(ADMIN "x"));
	assert_false(identify_admin(&f->g, &f->x));
	come_from(f, "127.0.0.1:80", true);
	assert_true(identify_admin(&f->g, &f->x));
}

static void
without_an_admin_key_only_this_machine_sees_the_pages(void **state)
{
	struct fixture *f = *state;

	configure(f, with_keys);
	assert_false(identify_admin(&f->g, &f->x));
	SAY(f, BEARER(""));
	assert_false(identify_admin(&f->g, &f->x));
	come_from(f, "unix", true);
	assert_true(identify_admin(&f->g, &f->x));
}

/* auth: none does not open what keys in the same file have closed. */
static void
keys_close_the_pages_whatever_auth_says(void **state)
{
	struct fixture *f = *state;

	configure(f, "auth: none\ntenants:\n- id: quiet\n  api_keys: [" QUIET "]\n");
	assert_false(identify_admin(&f->g, &f->x));
}

static void
where_no_key_is_configured_the_pages_are_open(void **state)
{
	struct fixture *f = *state;

	configure(f, "tenants:\n- id: quiet\n");
	assert_true(identify_admin(&f->g, &f->x));
}

static void
an_admin_key_as_hash(void **state)
{
	struct fixture *f = *state;

	configure(f, "admin_key: sha256:54f4e673f2b10d68a1fa98fb02224ef953f6bff5ef2ad358a6f61c4795b07239\n");
	assert_false(identify_admin(&f->g, &f->x));
	SAY(f, BEARER(QUIET)); /* whose hash it is */
	assert_true(identify_admin(&f->g, &f->x));
}

static void
the_admin_key_is_no_tenants(void **state)
{
	struct fixture *f = *state;

	configure(f, "admin_key: " ADMIN "\ntenants:\n- id: quiet\n  api_keys: [" QUIET "]\n");
	SAY(f, BEARER(ADMIN));
	assert_string_equal(who(f), "401");
	assert_true(identify_reader(&f->g, &f->x));
}

static void
only_a_trusted_peers_header_is_believed(void **state)
{
	struct fixture *f = *state;

	configure(f, with_peers);
	SAY(f, { SLICE_INIT("x-tenant-id"), SLICE_INIT("alice") });
	assert_string_equal(who(f), "alice");
	come_from(f, "203.0.113.90:4711", false);
	assert_string_equal(who(f), "401");
	come_from(f, "203.0.113.9:1", false);
	assert_string_equal(who(f), "alice");
	come_from(f, "[2001:db8::7]:4711", false);
	assert_string_equal(who(f), "alice");
	come_from(f, "[2001:db8::8]:4711", false);
	assert_string_equal(who(f), "401");
	come_from(f, "127.0.0.1:4711", true); /* 'local' was not named */
	assert_string_equal(who(f), "401");
}

static void
local_is_this_machine_by_any_way(void **state)
{
	struct fixture *f = *state;

	configure(f, "trusted_peers: [local]\ntenants:\n- id: quiet\n  api_keys: [" QUIET "]\n");
	SAY(f, { SLICE_INIT("x-tenant-id"), SLICE_INIT("alice") });
	assert_string_equal(who(f), "401");
	come_from(f, "unix", true);
	assert_string_equal(who(f), "alice");
	come_from(f, "[::1]:9", true);
	assert_string_equal(who(f), "alice");
}

static void
a_key_beats_the_header(void **state)
{
	struct fixture *f = *state;

	configure(f, with_peers);
	SAY(f, { SLICE_INIT("x-tenant-id"), SLICE_INIT("alice") }, BEARER(QUIET));
	assert_string_equal(who(f), "quiet");
}

/* Authorization first, then the others in their order; a scheme that is not Bearer is none of ours. */
static void
the_key_is_read_from_the_first_header_that_has_one(void **state)
{
	struct fixture *f = *state;

	configure(f, with_keys);
	SAY(f, { SLICE_INIT("authorization"), SLICE_INIT("Basic eDp5") },
	    { SLICE_INIT("api-key"), SLICE_INIT(QUIET) });
	assert_string_equal(who(f), "quiet");
	SAY(f, { SLICE_INIT("authorization"), SLICE_INIT("Bearer wrong") },
	    { SLICE_INIT("api-key"), SLICE_INIT(QUIET) });
	assert_string_equal(who(f), "401");
	SAY(f, { SLICE_INIT("authorization"), SLICE_INIT("BEARER " QUIET) });
	assert_string_equal(who(f), "quiet");
	SAY(f, { SLICE_INIT("authorization"), SLICE_INIT(QUIET) });
	assert_string_equal(who(f), "401");
}

static void
without_keys_the_header_names_anybody(void **state)
{
	struct fixture *f = *state;

	configure(f, "host: 127.0.0.1\n");
	assert_string_equal(who(f), "default");
	SAY(f, { SLICE_INIT("x-gateway-inference-fairness-id"), SLICE_INIT("old") },
	    { SLICE_INIT("x-llm-d-inference-fairness-id"), SLICE_INIT("newer") },
	    { SLICE_INIT("x-tenant-id"), SLICE_INIT("ours") });
	assert_string_equal(who(f), "ours");
	SAY(f, { SLICE_INIT("x-tenant-id"), SLICE_INIT("a b") });
	assert_string_equal(who(f), "400");
}

#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(another_machine_needs_the_admin_key),
		T(without_an_admin_key_only_this_machine_sees_the_pages),
		T(keys_close_the_pages_whatever_auth_says),
		T(where_no_key_is_configured_the_pages_are_open),
		T(an_admin_key_as_hash),
		T(the_admin_key_is_no_tenants),
		T(only_a_trusted_peers_header_is_believed),
		T(local_is_this_machine_by_any_way),
		T(a_key_beats_the_header),
		T(the_key_is_read_from_the_first_header_that_has_one),
		T(without_keys_the_header_names_anybody),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
