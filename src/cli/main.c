/* SPDX-License-Identifier: MIT */
/* The dispatcher: every command is a row of commands.def and a file of this folder. */
#include <stdio.h>
#include <string.h>
#include "base/str.h"
#include "cli/bench_load.h"
#include "cli/config.h"
#include "cli/demo.h"
#include "cli/man.h"
#include "cli/models.h"
#include "cli/nearest.h"
#include "cli/serve.h"
#include "cli/sim.h"
#include "cli/status.h"

static const struct {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *usage, *help;
} commands[] = {
#define X(name, run, usage, help) { name, run, usage, help },
#include "cli/commands.def"
#undef X
};

static void
print_help(void)
{
	puts("kvwarden " KVWARDEN_VERSION
	     ": a gateway that shares LLM engines fairly among tenants\n\ncommands:");
	for (size_t i = 0; i < ARRAY_LEN(commands); i++)
		if (*commands[i].usage) /* the others are for our own child processes */
			printf("  kvwarden %s\n      %s\n", commands[i].usage, commands[i].help);
	puts("  kvwarden --version\n  kvwarden --help");
}

static int
unknown_command(const char *name)
{
	struct nearest near;

	nearest_init(&near, name);
	for (size_t i = 0; i < ARRAY_LEN(commands); i++)
		if (*commands[i].usage) /* the others are for our own child processes */
			nearest_offer(&near, commands[i].name);
	fprintf(stderr, "kvwarden: unknown command '%s'", name);
	if (near.best)
		fprintf(stderr, "; did you mean '%s'?", near.best);
	fputs("\nkvwarden --help lists the commands\n", stderr);
	return 2;
}

int
main(int argc, char **argv)
{
	const char *name = argc > 1 ? argv[1] : NULL;

	if (!name) {
		print_help();
		return 1;
	}
	if (!strcmp(name, "--version")) {
		puts("kvwarden " KVWARDEN_VERSION);
		return 0;
	}
	if (!strcmp(name, "--help") || !strcmp(name, "-h") || !strcmp(name, "help")) {
		print_help();
		return 0;
	}
	for (size_t i = 0; i < ARRAY_LEN(commands); i++)
		if (!strcmp(name, commands[i].name))
			return commands[i].run(argc - 1, argv + 1);
	return unknown_command(name);
}
