/* SPDX-License-Identifier: MIT */
/* Every row of the table of the original is tried. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include "base/digest.h"
#include "cli/serve_options.h"
#include "config/original.h"

#define ARGS_MAX 8

static void
describe_notices(const struct config *c, struct buf *out)
{
	for (unsigned i = 0; i < c->n_notices; i++)
		buf_addf(out, "%s\n", c->notices[i].what);
}

/* Settings in force and notices, as one text. */
static void
describe(const struct config *c, struct buf *out)
{
	config_show(c, out);
	describe_notices(c, out);
}

static void
describe_errors(const struct config_errors *errs, struct buf *out)
{
	for (unsigned i = 0; i < errs->n; i++)
		buf_addf(out, "%s\n", errs->v[i].what);
}

static void
try_key(const struct original_row *r, struct buf *out)
{
	struct config_errors errs;
	struct config *c = config_parse(slice_of(r->probe), "probe", &errs);

	assert_int_equal(c == NULL, r->verdict == ORIGINAL_REFUSED);
	if (!c)
		describe_errors(&errs, out);
	else if (r->verdict == ORIGINAL_IDLE)
		describe_notices(c, out); /* whoever writes it is told */
	else
		describe(c, out);
	config_unref(c);
}

static void
show_with_environment(struct buf *out)
{
	struct config_errors errs;
	struct config *c = config_parse(SLICE("models: [{model_id: m, engine: vllm, port: 8010}]"),
					"probe", &errs);
	struct diag d;

	assert_non_null(c);
	assert_int_equal(config_override(c, &CONFIG_OVERRIDES_NONE, &d), 0);
	describe(c, out);
	config_unref(c);
}

/* A variable without effect must leave everything as it is. */
static void
try_env(const struct original_row *r, struct buf *out)
{
	struct buf without;

	buf_init(&without, BUF_MAX_DEFAULT);
	unsetenv(r->name);
	show_with_environment(&without);
	setenv(r->name, r->probe, 1);
	show_with_environment(out);
	unsetenv(r->name);
	assert_int_equal(slice_eq(buf_slice(&without), buf_slice(out)), r->verdict != ORIGINAL_WORKS);
	buf_finish(&without);
}

static void
try_flag(const struct original_row *r, struct buf *out)
{
	char words[256], *args[ARGS_MAX + 1] = { NULL }, *save = NULL;
	struct serve_options o;
	struct config_errors errs;
	struct config *c;
	struct diag d = { 0 };
	int n = 0;

	snprintf(words, sizeof(words), "serve %s", r->probe);
	for (char *w = strtok_r(words, " ", &save); w && n < ARGS_MAX; w = strtok_r(NULL, " ", &save))
		args[n++] = w;
	if (serve_options_parse(n, args, &o, &d) < 0) {
		assert_int_equal(r->verdict, ORIGINAL_REFUSED);
		buf_add_str(out, d.what);
		return;
	}
	assert_int_equal(r->verdict, ORIGINAL_WORKS);
	c = serve_options_load(&o, &errs);
	if (c)
		describe(c, out);
	else
		describe_errors(&errs, out);
	config_unref(c);
}

static int
run(const char *args)
{
	char line[512];
	int status;

	snprintf(line, sizeof(line), "'%s' %s >/dev/null 2>&1", getenv("KVWARDEN_BINARY"), args);
	status = system(line); /* NOLINT: the table's own words */
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void
try_command(const struct original_row *r)
{
	char code[16];

	snprintf(code, sizeof(code), "%d", run(r->probe));
	if (strcmp(code, r->expect) != 0)
		fail_msg("%s: kvwarden %s ended with %s, not %s", r->name, r->probe, code, r->expect);
}

static void
try_row(const struct original_row *r)
{
	struct buf out;

	if (r->kind >= ORIGINAL_COMMAND) {
		try_command(r);
		return;
	}
	buf_init(&out, BUF_MAX_DEFAULT);
	if (r->kind == ORIGINAL_KEY)
		try_key(r, &out);
	else if (r->kind == ORIGINAL_ENV)
		try_env(r, &out);
	else
		try_flag(r, &out);
	if (!strstr(buf_cstr(&out), r->expect))
		fail_msg("%s: '%s' is not in:\n%s", r->name, r->expect, buf_cstr(&out));
	buf_finish(&out);
}

static void
every_row_does_what_it_says(void **state)
{
	(void)state;
	for (unsigned i = 0; i < original_n_rows; i++)
		try_row(&original_rows[i]);
}

static void
assert_page_is(const char *name, void (*write)(struct buf *out))
{
	char path[512], piece[4096];
	struct buf page, file;
	size_t n;
	FILE *f;

	snprintf(path, sizeof(path), "%s/docs/%s", getenv("KVWARDEN_SOURCE"), name);
	f = fopen(path, "r");
	assert_non_null(f);
	buf_init(&page, BUF_MAX_DEFAULT);
	buf_init(&file, BUF_MAX_DEFAULT);
	while ((n = fread(piece, 1, sizeof(piece), f)) > 0)
		buf_add(&file, piece, n);
	fclose(f);
	write(&page);
	if (!slice_eq(buf_slice(&page), buf_slice(&file)))
		fail_msg("docs/%s is not current: print it again", name);
	buf_finish(&page);
	buf_finish(&file);
}

static void
printed_pages_are_current(void **state)
{
	(void)state;
	assert_page_is("migration.md", original_markdown);
	assert_page_is("configuration.md", config_schema_markdown);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_row_does_what_it_says),
		cmocka_unit_test(printed_pages_are_current),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
