/* SPDX-License-Identifier: MIT */
/* original - the table of what the original KVWarden understood (original.def), for its page and its test. */
#pragma once
#include "base/str.h"

enum original_kind {
	ORIGINAL_KEY,
	ORIGINAL_ENV,
	ORIGINAL_FLAG,
	ORIGINAL_COMMAND,
	ORIGINAL_ARGUMENT,
	ORIGINAL_EXIT,
	ORIGINAL_KINDS
};
enum original_verdict {
	ORIGINAL_WORKS,
	ORIGINAL_IDLE,
	ORIGINAL_REFUSED,
	ORIGINAL_LATER
};

struct original_row {
	enum original_kind kind;
	const char *name;
	enum original_verdict verdict;
	const char *probe, *expect; /* see original.def */
	const char *text;
};

extern const struct original_row original_rows[];
extern const unsigned original_n_rows;

/* The page docs/migration.md. */
void original_markdown(struct buf *out);
