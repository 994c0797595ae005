/* SPDX-License-Identifier: MIT */
#include "config/original.h"

const struct original_row original_rows[] = {
#define R(KIND, name, VERDICT, probe, expect, text)                                                \
	{ ORIGINAL_##KIND, #name, ORIGINAL_##VERDICT, probe, expect, text },
#include "config/original.def"
#undef R
};
const unsigned original_n_rows = ARRAY_LEN(original_rows);

static const char *const kind_titles[ORIGINAL_KINDS] = {
	[ORIGINAL_KEY] = "Keys of the configuration file",
	[ORIGINAL_ENV] = "Environment variables",
	[ORIGINAL_FLAG] = "Arguments of serve",
	[ORIGINAL_COMMAND] = "Commands",
	[ORIGINAL_ARGUMENT] = "Arguments of other commands",
	[ORIGINAL_EXIT] = "Exit codes",
};

static const char *const verdict_words[] = {
	[ORIGINAL_WORKS] = "works",
	[ORIGINAL_IDLE] = "accepted, without effect",
	[ORIGINAL_REFUSED] = "refused",
	[ORIGINAL_LATER] = "not in this version",
};

void
original_markdown(struct buf *out)
{
	buf_add_str(out,
		    "# Coming from the original KVWarden\n\n"
		    "This page is printed by `kvwarden config migration`; a test tries every row. Configuration files of "
		    "the original load unchanged, with one deviation: a limit that the file does not name does not exist.\n");
	for (int kind = 0; kind < ORIGINAL_KINDS; kind++) {
		buf_addf(out, "\n## %s\n| what | here | remarks |\n|---|---|---|\n", kind_titles[kind]);
		for (unsigned i = 0; i < original_n_rows; i++) {
			const struct original_row *r = &original_rows[i];

			if ((int)r->kind == kind)
				buf_addf(out, "| `%s` | %s | %s |\n", r->name,
					 verdict_words[r->verdict], r->text);
		}
	}
}
