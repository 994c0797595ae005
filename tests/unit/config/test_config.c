/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include "config/config.h"

static struct config_errors errs;

static struct config *
parse(const char *text)
{
	return config_parse(slice_of(text), "f.yaml", &errs);
}

static struct config *
parse_ok(const char *text)
{
	struct config *c = parse(text);

	if (!c)
		fail_msg("%s: %s\n%s", errs.v[0].where, errs.v[0].what, text);
	return c;
}

static const struct tenant_rule *
rule(const struct config *c, const char *id)
{
	for (unsigned i = 0; i < c->tenants.n_rules; i++)
		if (!strcmp(c->tenants.rules[i].pattern, id))
			return &c->tenants.rules[i];
	fail_msg("no rule %s", id);
	return NULL;
}

static bool
has_notice(const struct config *c, const char *part)
{
	for (unsigned i = 0; i < c->n_notices; i++)
		if (strstr(c->notices[i].what, part))
			return true;
	return false;
}

static void
every_mistake_is_named_with_its_place(void **state)
{
	static const struct {
		const char *text, *where, *what, *hint;
	} rows[] = {
		{ "hots: x", "f.yaml:1:1", "unknown key hots", "did you mean host?" },
		{ "models:\n  - {model_id: a, engin: sim}", "f.yaml:2:19",
		  "unknown key models[].engin", "did you mean engine?" },
		{ "port: 1\nport: 2", "f.yaml:2:1", "duplicate key port", "" },
		{ "port: \"8000\"", "f.yaml:1:7", "port: a number is expected", "quotes" },
		{ "port: 80.5", "f.yaml:1:7", "a whole number is expected", "" },
		{ "port: 65536", "f.yaml:1:7", "out of range: 0 to 65535", "" },
		{ "port: .nan", "f.yaml:1:7", "a whole number is expected", "" },
		{ "port: 1e400", "f.yaml:1:7", "a whole number is expected", "" },
		{ "max_concurrent: 0", "f.yaml:1:17", "out of range", "" },
		{ "allow_anonymous: maybe", "f.yaml:1:18", "true or false", "" },
		{ "scheduling: fare", "f.yaml:1:13", "did you mean 'fair'", "fair window fifo drr" },
		{ "log_level: loud", "f.yaml:1:12", "'loud' is not known", "" },
		{ "models: {}", "f.yaml:1:1", "a list is expected", "" },
		{ "http: []", "f.yaml:1:1", "a mapping is expected", "" },
		{ "host: [a]", "f.yaml:1:1", "one value is expected", "" },
		{ "- a", "f.yaml:1:3", "must be a mapping", "" },
		{ "cache: [", "f.yaml:2:1", "closing bracket", "" },
		{ "models: [{model_id: a, engine: llamacpp}]", "f.yaml:1:32",
		  "not started by this version", "openai" },
		{ "models: [{model_id: a, engine: openai}]", "f.yaml:1:11", "needs an endpoint", "" },
		{ "models: [{model_id: a, engine: openai, endpoint: ftp://x}]", "f.yaml:1:50",
		  "no address", "" },
		{ "models: [{model_id: a, engine: openai, endpoint: 'http://h:99999'}]",
		  "f.yaml:1:50", "port from 1 to 65535", "" },
		{ "models: [{model_id: a, engine: openai, endpoint: 'http://:80'}]", "f.yaml:1:50",
		  "no host", "" },
		{ "models: [{model_id: a, engine: openai, endpoint: 'http://[::1/v1'}]",
		  "f.yaml:1:50", "no host", "" },
		{ "models: [{model_id: a, engine: openai, endpoint: 'http://u@h/v1'}]",
		  "f.yaml:1:50", "no host", "" },
		{ "models: [{model_id: a, engine: openai, endpoint: 'http://h/v1?x=1'}]",
		  "f.yaml:1:50", "a query", "" },
		{ "models: [{model_id: a, engine: openai, endpoint: 'https://h/v1'}]",
		  "f.yaml:1:50", "https", "" },
		{ "models: [{model_id: a, endpoint_api_key: \"k\\r\\nX: y\"}]", "f.yaml:1:42",
		  "a blank", "" },
		{ "models: [{engine: sim}]", "f.yaml:1:11", "without model_id", "" },
		{ "models: [{model_id: a, engine: sim}, {model_id: a, engine: sim}]", "f.yaml:1:39",
		  "stands twice", "" },
		{ "models: [{model_id: x/a, engine: sim}, {model_id: y, short_name: a, engine: sim}]",
		  "f.yaml:1:41", "same name", "" },
		{ "tenants: [{id: a}, {id: a}]", "f.yaml:1:25", "stands twice", "" },
		{ "tenants: [{weight: 1}]", "f.yaml:1:12", "without id", "" },
		{ "tenants: [{id: a, weight: 0}]", "f.yaml:1:27", "out of range", "" },
		{ "organisations: [{id: laboratory}]\ntenants: [{id: a, organisation: labratory}]",
		  "f.yaml:2:33", "did you mean laboratory?", "" },
		{ "tenants: [{id: 'a*', api_keys: [sk-long-enough]}]", "f.yaml:1:33",
		  "a glob names many", "" },
		{ "tenants: [{id: a, api_keys: [short]}]", "f.yaml:1:30", "shorter than 8", "" },
		{ "tenants: [{id: a, api_keys: ['sha256:00']}]", "f.yaml:1:30", "no SHA-256", "" },
		{ "tenants: [{id: a, api_keys: [{name: x}]}]", "f.yaml:1:31", "either hash or env", "" },
		{ "tenants: [{id: a, api_keys: [sk-same-key]}, {id: b, api_keys: [sk-same-key]}]",
		  "f.yaml:1:64", "configured twice", "" },
		{ "tenants: [{id: a, scheduling: fifo}]", "f.yaml:1:31", "holds for all", "top level" },
		{ "tenant_defaults: {id: a}", "f.yaml:1:23", "nobody in particular", "" },
		{ "trusted_peers: [10.0.0]", "f.yaml:1:17", "no address", "" },
		{ "admin_key: 'sha256:1'", "f.yaml:1:12", "no SHA-256", "" },
		{ "host: ${KVWARDEN_TEST_UNSET}", "f.yaml:1:7", "KVWARDEN_TEST_UNSET is not set",
		  "${NAME:-text}" },
		{ "host: ${X", "f.yaml:1:7", "without its }", "" },
		{ "# a\n%YAML 1.2\n---\n", "f.yaml:2:1", "directives", "" },
		{ "host: a\x01", "f.yaml:1:8", "control character", "" },
		{ "host: \xff", "f.yaml:1:7", "not UTF-8", "" },
		{ "<<: {host: a}", "f.yaml:1:1", "unknown key <<", "" },
	};

	(void)state;
	unsetenv("KVWARDEN_TEST_UNSET");
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		assert_null(parse(rows[i].text));
		assert_true(errs.n >= 1);
		if (strcmp(errs.v[0].where, rows[i].where) != 0 ||
		    !strstr(errs.v[0].what, rows[i].what) || !strstr(errs.v[0].hint, rows[i].hint))
			fail_msg("%s\n got %s: %s (%s)", rows[i].text, errs.v[0].where,
				 errs.v[0].what, errs.v[0].hint);
	}
}

/* The original took such files; the first of them has the name. */
static void
short_names_that_nobody_wrote_may_meet(void **state)
{
	struct config *c =
		parse_ok("models: [{model_id: x/a, engine: sim}, {model_id: y/A, engine: sim}]");

	(void)state;
	assert_true(has_notice(c, "the same short name by default"));
	config_unref(c);
}

static void
an_error_shows_its_line_and_a_caret(void **state)
{
	(void)state;
	assert_null(parse("host: a\n\tport: x\n"));
	assert_null(parse("host: a\nport:   x # why\n"));
	assert_string_equal(errs.v[0].excerpt, "port:   x # why\n        ^\n");
}

static void
all_errors_come_at_once_and_many_are_counted(void **state)
{
	struct buf b;

	(void)state;
	assert_null(parse("hosst: 1\nport: x\nscheduling: y\n"));
	assert_int_equal(errs.n, 3);
	buf_init(&b, BUF_MAX_DEFAULT);
	for (int i = 0; i < 50; i++)
		buf_addf(&b, "nonsense%d: 1\n", i);
	assert_null(parse(buf_cstr(&b)));
	assert_int_equal(errs.n, CONFIG_ERRORS_MAX);
	assert_int_equal(errs.total, 50);
	buf_finish(&b);
}

/* A plain key in the file must not come out in a message about its line. */
static void
secrets_are_never_shown(void **state)
{
	struct config *c;
	struct buf out;

	(void)state;
	assert_null(parse("tenants: [{id: a, api_keys: [sk-very-secret], wieght: 1}]"));
	assert_string_equal(errs.v[0].excerpt, "");
	c = parse_ok("admin_key: sk-admin-secret\n"
		     "models: [{model_id: a, engine: openai, endpoint: 'unix:/s', endpoint_api_key: sk-engine-secret}]\n"
		     "tenants: [{id: a, api_keys: [sk-very-secret]}]");
	buf_init(&out, BUF_MAX_DEFAULT);
	config_show(c, &out);
	assert_null(strstr(buf_cstr(&out), "secret"));
	assert_non_null(strstr(buf_cstr(&out), "endpoint_api_key: \"***\""));
	buf_finish(&out);
	config_unref(c);
}

static void
tenants_inherit_field_by_field(void **state)
{
	struct config *c = parse_ok(
		"admission_timeout_s: 30\n"
		"tenant_defaults: {rate_limit_rpm: 600, rate_limit_burst: 10, queue_requests: 5}\n"
		"organisations: [{id: lab, weight: 2}]\n"
		"tenants:\n"
		"  - {id: quiet, organisation: lab, rate_limit_rpm: 6000, rate_limit_action: queue}\n"
		"  - {id: 'team-*', rate_limit_tpm: 1000, queue_age_s: 5}\n");
	const struct tenant_rule *quiet = rule(c, "quiet"), *team = rule(c, "team-*");

	(void)state;
	assert_true(quiet->limits.rate_rpm == 6000 && quiet->limits.rate_burst == 10);
	assert_int_equal(quiet->limits.rate_action, TENANT_QUEUE);
	assert_int_equal(quiet->organisation, 0);
	assert_int_equal(quiet->limits.queue_requests, 5);
	assert_true(quiet->limits.queue_age_us == 30000000);
	assert_true(team->is_glob && team->organisation == -1);
	assert_true(team->limits.rate_rpm == 600 && team->limits.tokens_rpm == 1000);
	assert_true(team->limits.tokens_burst == 1000);
	assert_true(team->limits.queue_age_us == 5000000);
	assert_int_equal(c->n_exact_tenants, 1);
	config_unref(c);
}

static void
nothing_is_limited_unless_the_file_says_so(void **state)
{
	struct config *c = parse_ok("models: [{model_id: a/B, engine: vllm}]");

	(void)state;
	assert_true(c->tenants.defaults.rate_rpm <= 0 && c->tenants.defaults.tokens_rpm <= 0);
	assert_int_equal(c->tenants.defaults.max_concurrent, 0);
	assert_int_equal(c->max_concurrent, 0);
	config_unref(c);
}

/* Also when an endpoint was added to the original's file, as this version wants it. */
static void
who_relied_on_a_silent_limit_is_told(void **state)
{
	static const struct {
		const char *text;
		bool rate, concurrent;
	} rows[] = {
		{ "models: [{model_id: a/B}]", true, true },
		{ "models: [{model_id: a/B, endpoint: 'http://h:1'}]\ntenant_defaults: {priority: 1}",
		  true, true },
		{ "models: [{model_id: a/B}]\ntenant_defaults: {rate_limit_rpm: 6}", false, true },
		{ "models: [{model_id: a/B}]\ntenant_defaults: {max_concurrent_requests: 6}", true, false },
		{ "models: [{model_id: a/B}]\ntenant_defaults: {rate_limit_rpm: 6, max_concurrent_requests: 6}",
		  false, false },
		{ "models: [{model_id: a/B}]\ntenant_defaults: {rate_limit_rpm: 0, max_concurrent_requests: 0}",
		  false, false },
		{ "models: [{model_id: a/B}]\nscheduling: fair", false, false },
		{ "models: [{model_id: a/B, engine: openai, endpoint: 'http://h:1'}]", false, false },
		{ "", false, false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct config *c = parse_ok(rows[i].text);

		assert_int_equal(has_notice(c, "600 requests a minute"), rows[i].rate);
		assert_int_equal(has_notice(c, "64 requests at once"), rows[i].concurrent);
		config_unref(c);
	}
}

static void
zero_is_off_against_the_defaults_and_null_inherits(void **state)
{
	struct config *c = parse_ok(
		"tenant_defaults: {rate_limit_rpm: 6, rate_limit_tpm: 7, max_concurrent_requests: 8}\n"
		"tenants:\n  - {id: free, rate_limit_rpm: 0, rate_limit_tpm: 0, max_concurrent_requests: 0}\n"
		"  - {id: same, rate_limit_rpm: null, rate_limit_tpm: , max_concurrent_requests: ~}\n");
	const struct tenant_limits *free_one = &rule(c, "free")->limits, *same = &rule(c, "same")->limits;

	(void)state;
	assert_true(free_one->rate_rpm <= 0 && free_one->tokens_rpm <= 0 &&
		    free_one->max_concurrent == 0);
	assert_true(same->rate_rpm == 6 && same->tokens_rpm == 7 && same->max_concurrent == 8);
	config_unref(c);
}

/* What is shown says the same again, limits that are off against the defaults included. */
static void
what_is_shown_is_the_same_again(void **state)
{
	struct config *c = parse_ok(
		"tenant_defaults: {rate_limit_rpm: 6, rate_limit_burst: 3, rate_limit_tpm: 7, max_concurrent_requests: 8}\n"
		"organisations: [{id: lab, weight: 2}]\n"
		"models: [{model_id: a, engine: sim, max_in_flight: 3}, {model_id: b, engine: vllm, extra_args: [--x]}]\n"
		"tenants:\n  - {id: free, rate_limit_rpm: 0, rate_limit_tpm: 0, max_concurrent_requests: 0}\n"
		"  - {id: own, rate_limit_rpm: 100, rate_limit_action: queue, organisation: lab}\n  - {id: same}\n");
	struct buf first, second;

	(void)state;
	buf_init(&first, BUF_MAX_DEFAULT);
	buf_init(&second, BUF_MAX_DEFAULT);
	config_show(c, &first);
	config_unref(c);
	c = parse_ok(buf_cstr(&first));
	config_show(c, &second);
	assert_string_equal(buf_cstr(&first), buf_cstr(&second));
	config_unref(c);
	buf_finish(&first);
	buf_finish(&second);
}

static void
what_has_no_effect_yet_is_said(void **state)
{
	struct config *c = parse_ok("models: [{model_id: a, dtype: f16}, {model_id: b, extra_args: [-x], dtype: f16},"
				    " {model_id: c, engine: sim, sim_host: h100}]");

	(void)state;
	assert_true(has_notice(c, "starts no engines: dtype, extra_args"));
	assert_false(has_notice(c, "sim_host"));
	config_unref(c);
	c = parse_ok("models: [{model_id: a, engine: sim}]");
	assert_int_equal(c->n_notices, 0);
	config_unref(c);
}

/* Pointer arithmetic on no bytes at all was found here by a sanitizer. */
static void
a_file_that_says_nothing_is_one_of_defaults(void **state)
{
	static const char *const texts[] = {
		"",  "\n", "\r\n \n", "# only words", "  # words\n\n#\n", "---\n", "--- # x\n...\n",
		"{}"
	};
	char path[] = "/tmp/kw-config-XXXXXX";
	int fd = mkstemp(path);
	struct config *c = config_load(path, &errs);

	(void)state;
	assert_true(fd >= 0);
	close(fd);
	unlink(path);
	assert_non_null(c);
	assert_int_equal(c->port, 8080);
	config_unref(c);
	c = config_parse((struct slice){ NULL, 0 }, "f.yaml", &errs);
	assert_non_null(c);
	config_unref(c);
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		c = parse_ok(texts[i]);
		assert_int_equal(c->n_models, 0);
		assert_int_equal(c->scheduling, CONFIG_FAIR);
		config_unref(c);
	}
}

static void
endpoints_of_every_form_are_taken(void **state)
{
	static const char *const good[] = { "http://h",
					    "http://h:1",
					    "http://127.0.0.1:65535/v1",
					    "http://[::1]:8000/x/",
					    "http://[fe80::1]",
					    "unix:/run/x.sock" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		char text[256];

		snprintf(text, sizeof(text),
			 "models: [{model_id: a, engine: openai, endpoint: '%s'}]", good[i]);
		config_unref(parse_ok(text));
	}
}

static void
scheduling_comes_from_the_top_then_the_defaults_then_is_fair(void **state)
{
	static const struct {
		const char *text;
		int want;
		bool notice;
	} rows[] = {
		{ "", CONFIG_FAIR, false },
		{ "tenant_defaults: {scheduling: drr}", CONFIG_DRR, true },
		{ "tenant_defaults: {scheduling: drr}\nscheduling: window", CONFIG_WINDOW, false },
		{ "scheduling: fifo", CONFIG_FIFO, false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct config *c = parse_ok(rows[i].text);

		assert_int_equal(c->scheduling, rows[i].want);
		assert_int_equal(has_notice(c, "there is also fair"), rows[i].notice);
		config_unref(c);
	}
}

static void
auth_is_keys_as_soon_as_there_is_one(void **state)
{
	struct sha256 want;
	struct config *c = parse_ok("tenants: [{id: a}]");

	(void)state;
	assert_int_equal(c->auth, CONFIG_AUTH_NONE);
	config_unref(c);
	setenv("KVWARDEN_TEST_KEY", "sk-from-the-environment", 1);
	c = parse_ok("tenants: [{id: b}, {id: a, api_keys: [{env: KVWARDEN_TEST_KEY, name: ci, weight: 3}]}]");
	assert_int_equal(c->auth, CONFIG_AUTH_KEYS);
	assert_int_equal(c->tenants.n_keys, 1);
	digest_sha256("sk-from-the-environment", 23, &want);
	assert_true(digest_equal(&want, &c->tenants.keys[0].hash));
	assert_string_equal(c->tenants.keys[0].name, "ci");
	assert_int_equal(c->tenants.keys[0].rule, 1);
	config_unref(c);
	c = parse_ok("auth: none\ntenants: [{id: a, api_keys: [sk-long-enough]}]");
	assert_int_equal(c->auth, CONFIG_AUTH_NONE);
	assert_true(has_notice(c, "ignores the api_keys"));
	config_unref(c);
}

static void
variables_are_replaced_in_values(void **state)
{
	struct config *c;

	(void)state;
	setenv("KVWARDEN_TEST_A", "one", 1);
	setenv("KVWARDEN_TEST_EMPTY", "", 1);
	c = parse_ok("host: x${KVWARDEN_TEST_A}y${KVWARDEN_TEST_EMPTY:-two}\nport: ${KVWARDEN_TEST_NONE:-81}\n"
		     "access_log: \"${KVWARDEN_TEST_NONE:-}\"");
	assert_string_equal(c->host, "xoneytwo");
	assert_int_equal(c->port, 81);
	assert_null(c->access_log);
	config_unref(c);
}

static void
defaults_are_those_of_the_modules(void **state)
{
	struct config *c = parse_ok("");
	const struct http_limits want = HTTP_LIMITS_DEFAULT, *got = &c->http_limits;

	(void)state;
	assert_int_equal(got->head_bytes, want.head_bytes);
	assert_int_equal(got->uri_bytes, want.uri_bytes);
	assert_int_equal(got->headers, want.headers);
	assert_int_equal(got->body_bytes, want.body_bytes);
	assert_int_equal(got->buffered_bytes, want.buffered_bytes);
	assert_int_equal(got->connections, want.connections);
	assert_int_equal(got->idle_ms, want.idle_ms);
	assert_int_equal(got->head_ms, want.head_ms);
	assert_int_equal(got->body_ms, want.body_ms);
	assert_true(c->tenants.defaults.weight == TENANT_WEIGHT_DEFAULT);
	assert_int_equal(c->tenants.defaults.priority, TENANT_PRIORITY_DEFAULT);
	assert_int_equal(c->tenants.defaults.queue_requests, TENANT_QUEUE_REQUESTS_DEFAULT);
	assert_true(c->tenants.defaults.queue_bytes == TENANT_QUEUE_BYTES_DEFAULT);
	config_unref(c);
}

/* Aliases are followed, never copied: what they multiply is bounded like everything else. */
static void
aliases_work_and_bombs_do_not_grow(void **state)
{
	struct config *c = parse_ok(
		"tenants:\n  - &a {id: a, weight: 3}\ncache_manager: {x: &x [1, 1], y: &y [*x, *x], z: [*y, *y]}");

	(void)state;
	assert_true(rule(c, "a")->limits.weight == 3);
	config_unref(c);
	assert_null(parse("tenants: &a\n  - *a\n"));
	assert_null(parse("host: *nobody\n"));
}

static void
nesting_is_bounded(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, BUF_MAX_DEFAULT);
	buf_add_str(&b, "cache_manager: ");
	for (int i = 0; i < 100000; i++)
		buf_add_char(&b, '[');
	assert_null(config_parse(buf_slice(&b), "deep", &errs));
	buf_finish(&b);
}

static void
a_file_that_is_too_large_is_refused(void **state)
{
	char *big = malloc(CONFIG_FILE_MAX + 1);

	(void)state;
	memset(big, '#', CONFIG_FILE_MAX + 1);
	assert_null(config_parse((struct slice){ big, CONFIG_FILE_MAX + 1 }, "big", &errs));
	assert_non_null(strstr(errs.v[0].what, "larger than"));
	free(big);
}

static void
reload_names_what_needs_a_restart(void **state)
{
	struct config *was =
		parse_ok("port: 1\nmodels: [{model_id: a, engine: sim}]\ntenants: [{id: q, weight: 1}]");
	struct config *now = parse_ok(
		"port: 2\nscheduling: fifo\nmodels: [{model_id: a, engine: sim, sim_host: h100, max_in_flight: 3}]\n"
		"tenants: [{id: q, weight: 2}]");
	struct diag d[4];

	(void)state;
	assert_int_equal(config_diff(was, was, d, 4), 0);
	assert_int_equal(config_diff(was, now, d, 4), 2);
	assert_string_equal(d[0].where, "port");
	assert_string_equal(d[1].where, "models[].sim_host");
	config_unref(now);
	now = parse_ok("port: 1\nmodels: [{model_id: b, engine: sim}]");
	assert_int_equal(config_diff(was, now, d, 4), 1);
	assert_string_equal(d[0].where, "models");
	config_unref(now);
	config_unref(was);
}

static void
serve_refuses_engines_that_it_would_have_to_start(void **state)
{
	static const struct {
		const char *text;
		bool refused;
	} rows[] = {
		{ "models: [{model_id: a, engine: vllm}]", true },
		{ "models: [{model_id: a, engine: sglang}]", true },
		{ "", true },
		{ "models: [{model_id: a, engine: vllm, endpoint: 'http://h:1'}]", false },
		{ "models: [{model_id: a, engine: sim}]", false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct config *c = parse_ok(rows[i].text);
		struct diag d = { 0 };

		assert_int_equal(config_cannot_serve(c, &d), rows[i].refused);
		assert_int_equal(*d.what != 0, rows[i].refused);
		config_unref(c);
	}
}

static unsigned
load_folder(const char *sub)
{
	char path[1024];
	struct dirent *e;
	unsigned n = 0;
	DIR *dir;

	snprintf(path, sizeof(path), "%s/configs%s", getenv("KVWARDEN_SOURCE"), sub);
	dir = opendir(path);
	assert_non_null(dir);
	while ((e = readdir(dir))) {
		char file[2048];
		struct config *c;

		if (!strstr(e->d_name, ".yaml"))
			continue;
		snprintf(file, sizeof(file), "%s/%s", path, e->d_name);
		c = config_load(file, &errs);
		if (!c)
			fail_msg("%s: %s", errs.v[0].where, errs.v[0].what);
		config_unref(c);
		n++;
	}
	closedir(dir);
	return n;
}

static void
every_shipped_file_loads(void **state)
{
	(void)state;
	assert_int_equal(load_folder(""), 23);
	assert_int_equal(load_folder("/models"), 2);
	assert_int_equal(load_folder("/docker"), 1);
	assert_null(config_load("/nonexistent/kvwarden.yaml", &errs));
	assert_non_null(strstr(errs.v[0].what, "cannot be read"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_mistake_is_named_with_its_place),
		cmocka_unit_test(short_names_that_nobody_wrote_may_meet),
		cmocka_unit_test(an_error_shows_its_line_and_a_caret),
		cmocka_unit_test(all_errors_come_at_once_and_many_are_counted),
		cmocka_unit_test(secrets_are_never_shown),
		cmocka_unit_test(tenants_inherit_field_by_field),
		cmocka_unit_test(nothing_is_limited_unless_the_file_says_so),
		cmocka_unit_test(who_relied_on_a_silent_limit_is_told),
		cmocka_unit_test(zero_is_off_against_the_defaults_and_null_inherits),
		cmocka_unit_test(what_is_shown_is_the_same_again),
		cmocka_unit_test(what_has_no_effect_yet_is_said),
		cmocka_unit_test(a_file_that_says_nothing_is_one_of_defaults),
		cmocka_unit_test(endpoints_of_every_form_are_taken),
		cmocka_unit_test(scheduling_comes_from_the_top_then_the_defaults_then_is_fair),
		cmocka_unit_test(auth_is_keys_as_soon_as_there_is_one),
		cmocka_unit_test(variables_are_replaced_in_values),
		cmocka_unit_test(defaults_are_those_of_the_modules),
		cmocka_unit_test(aliases_work_and_bombs_do_not_grow),
		cmocka_unit_test(nesting_is_bounded),
		cmocka_unit_test(a_file_that_is_too_large_is_refused),
		cmocka_unit_test(reload_names_what_needs_a_restart),
		cmocka_unit_test(serve_refuses_engines_that_it_would_have_to_start),
		cmocka_unit_test(every_shipped_file_loads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
