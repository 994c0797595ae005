/* SPDX-License-Identifier: MIT */
#include "cli/man.h"
#include <stdio.h>
#include <string.h>
#include "base/str.h"
#include "cli/nearest.h"

enum {
	EXIT_UNKNOWN = 1,
	EXIT_USAGE = 2
};

struct man_page {
	const char *name, *title;
	const unsigned char *text;
	size_t n;
};
#include <cli/man_pages.inc> /* written by the build, which is why it is not looked for in src */

static const char usage[] = "usage: kvwarden man [TOPIC]\n"
			    "\n"
			    "Prints a page of the documentation; without a topic, the list of them.\n";

static int
written(void)
{
	return fflush(stdout) == 0 ? 0 : EXIT_UNKNOWN;
}

static int
list_topics(void)
{
	puts("kvwarden man TOPIC prints one of these:\n");
	for (size_t i = 0; i < ARRAY_LEN(pages); i++)
		printf("  %-14s %s\n", pages[i].name, pages[i].title);
	return written();
}

static int
unknown_topic(const char *name)
{
	struct nearest near;

	nearest_init(&near, name);
	for (size_t i = 0; i < ARRAY_LEN(pages); i++)
		nearest_offer(&near, pages[i].name);
	fprintf(stderr, "kvwarden man: no page '%s'", name);
	if (near.best)
		fprintf(stderr, "; did you mean '%s'?", near.best);
	fputs("\nkvwarden man lists the pages\n", stderr);
	return EXIT_UNKNOWN;
}

int
cli_man(int argc, char **argv)
{
	const char *topic = argc > 1 ? argv[1] : "topics";

	if (argc > 1 && (!strcmp(topic, "--help") || !strcmp(topic, "-h"))) {
		fputs(usage, stdout);
		return 0;
	}
	if (argc > 2 || *topic == '-') {
		fputs(usage, stderr);
		return EXIT_USAGE;
	}
	if (!strcmp(topic, "topics"))
		return list_topics();
	for (size_t i = 0; i < ARRAY_LEN(pages); i++)
		if (!strcmp(topic, pages[i].name)) {
			fwrite(pages[i].text, 1, pages[i].n, stdout);
			return written();
		}
	return unknown_topic(topic);
}
