/* SPDX-License-Identifier: MIT */
/*
 * text_table - a table for a terminal: aligned columns of bounded width, from JSON that somebody else wrote.
 *
 * Whatever a value is, its cell is something short and printable: control characters and those that turn or hide text
 * are escaped, too long a text is cut, a number of the wrong kind is shown as it is, and what is missing is "-".
 */
#pragma once
#include <stdbool.h>
#include <yyjson.h>
#include "base/str.h"

#define TEXT_TABLE_COLUMNS 10
#define TEXT_TABLE_ROWS 64
#define TEXT_CELL_BYTES 256

struct text_column {
	const char *title;
	unsigned most; /* characters; at most 60 */
	bool right;
};

struct text_table {
	const struct text_column *columns;
	unsigned n_columns, n_rows;
	char cells[TEXT_TABLE_ROWS][TEXT_TABLE_COLUMNS][TEXT_CELL_BYTES];
};

/* Appends @s, at most @most characters of it. */
void text_add(struct buf *out, struct slice s, unsigned most);
/* Appends a value: text, 12.3M for a large number, yes or no, "-" for nothing, "?" for a list or an object. */
void text_add_value(struct buf *out, yyjson_val *v, unsigned most);

void text_table_init(struct text_table *t, const struct text_column *columns, unsigned n_columns);
/* Opens a row; false when the table is full. */
bool text_table_row(struct text_table *t);
/* Cells of the row opened last. */
void text_table_text(struct text_table *t, unsigned column, struct slice s);
void text_table_value(struct text_table *t, unsigned column, yyjson_val *v);
void text_table_print(const struct text_table *t, struct buf *out);
