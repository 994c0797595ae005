/* SPDX-License-Identifier: MIT */
#include "cli/config.h"

#include <stdio.h>
#include <string.h>
#include "cli/sim_names.h"
#include "config/config.h"
#include "config/original.h"

static const char usage[] = "usage: kvwarden config check FILE\n"
			    "       kvwarden config show [FILE]\n"
			    "       kvwarden config schema [--json|--markdown]\n"
			    "       kvwarden config migration\n";

static void
print_diag(FILE *to, const char *word, const struct diag *d)
{
	fprintf(to, "%s%s%s: %s\n%s", d->where, *d->where ? ": " : "", word, d->what, d->excerpt);
	if (*d->hint)
		fprintf(to, "  hint: %s\n", d->hint);
}

static struct config *
load(const char *path)
{
	struct config_errors errs = { 0 };
	struct config *c = config_load(path, &errs);

	for (unsigned i = 0; !c && i < errs.n; i++)
		print_diag(stderr, "error", &errs.v[i]);
	if (!c && errs.total > errs.n)
		fprintf(stderr, "%s: %u more errors\n", path, errs.total - errs.n);
	if (c && sim_names_check(c, &errs.v[0])) {
		print_diag(stderr, "error", &errs.v[0]);
		config_unref(c);
		return NULL;
	}
	return c;
}

static int
check(const char *path)
{
	struct config *c = load(path);
	struct diag d = { 0 };

	if (!c)
		return 1;
	for (unsigned i = 0; i < c->n_notices; i++)
		print_diag(stdout, "notice", &c->notices[i]);
	if (config_cannot_serve(c, &d))
		print_diag(stdout, "notice: `serve` refuses it", &d);
	printf("%s: ok (%u models, %u tenants, %u keys)\n", path, c->n_models, c->tenants.n_rules,
	       c->tenants.n_keys);
	config_unref(c);
	return 0;
}

static int
print_buf(struct buf *b)
{
	int rc = b->overflow || fwrite(b->p, 1, b->n, stdout) != b->n || fflush(stdout) ? 1 : 0;

	if (rc)
		fputs("kvwarden: the output could not be written\n", stderr);
	buf_finish(b);
	return rc;
}

static int
show(const char *path)
{
	struct config_errors errs;
	struct config *c = path ? load(path) : config_parse((struct slice){ "", 0 }, "defaults", &errs);
	struct buf out;

	if (!c)
		return 1;
	buf_init(&out, BUF_MAX_DEFAULT);
	config_show(c, &out);
	config_unref(c);
	return print_buf(&out);
}

static int
page(void (*write)(struct buf *out))
{
	struct buf out;

	buf_init(&out, BUF_MAX_DEFAULT);
	write(&out);
	return print_buf(&out);
}

int
cli_config(int argc, char **argv)
{
	const char *verb = argc > 1 ? argv[1] : "", *arg = argc > 2 ? argv[2] : NULL;

	if (!strcmp(verb, "check") && argc == 3)
		return check(arg);
	if (!strcmp(verb, "show") && argc <= 3)
		return show(arg);
	if (!strcmp(verb, "schema") && (argc == 2 || (argc == 3 && !strcmp(arg, "--json"))))
		return page(config_schema_json);
	if (!strcmp(verb, "schema") && argc == 3 && !strcmp(arg, "--markdown"))
		return page(config_schema_markdown);
	if (!strcmp(verb, "migration") && argc == 2)
		return page(original_markdown);
	fputs(usage, !strcmp(verb, "--help") ? stdout : stderr);
	return !strcmp(verb, "--help") ? 0 : 2;
}
