/* SPDX-License-Identifier: MIT */
#include "cli/text_table.h"
#include <math.h>

#define GAP 2 /* blanks between columns */

/* text ------------------------------------------------------------------------------------------ */

/* The bytes of the UTF-8 character at @s, and its code point; of bytes that are none, one. */
static size_t
next_char(struct slice s, uint32_t *ret)
{
	unsigned char c = (unsigned char)s.p[0];
	size_t n = c < 0x80 ? 1 : c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : c >= 0xc0 ? 2 : 0;

	if (n == 0 || n > s.n) {
		*ret = 0xfffd;
		return 1;
	}
	*ret = n == 1 ? c : c & (0xffu >> (n + 1));
	for (size_t i = 1; i < n; i++)
		*ret = *ret << 6 | ((unsigned char)s.p[i] & 0x3f);
	return n;
}

/* Moves the cursor, changes the direction of writing, or cannot be seen. */
static bool
is_hidden(uint32_t c)
{
	return c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0xad || c == 0x61c ||
	       (c >= 0x200b && c <= 0x200f) || (c >= 0x2028 && c <= 0x202e) ||
	       (c >= 0x2060 && c <= 0x206f) || c == 0xfeff || c == 0xfffd ||
	       (c >= 0xfff0 && c <= 0xfffb) || c >= 0xe0000;
}

static unsigned
width_of(struct slice s)
{
	unsigned n = 0;

	for (size_t i = 0; i < s.n; i++)
		n += ((unsigned char)s.p[i] & 0xc0) != 0x80;
	return n;
}

void
text_add(struct buf *out, struct slice s, unsigned most)
{
	size_t last = out->n; /* where to cut for the ellipsis */
	unsigned width = 0;

	while (s.n) {
		char piece[16];
		struct buf b = { .p = piece, .cap = sizeof(piece), .max = sizeof(piece) };
		uint32_t c;
		size_t n = next_char(s, &c);

		if (is_hidden(c))
			buf_addf(&b, "\\u%04x", c);
		else
			buf_add(&b, s.p, n);
		if (width + width_of(buf_slice(&b)) > most) {
			out->n = last;
			buf_add_str(out, "…");
			return;
		}
		width += width_of(buf_slice(&b));
		buf_add_slice(out, buf_slice(&b));
		if (width < most)
			last = out->n;
		s.p += n;
		s.n -= n;
	}
}

static void
add_number(struct buf *out, double v)
{
	static const char units[] = "MGTPE";
	const char *unit = units;

	if (!isfinite(v)) {
		buf_add_str(out, "?");
	} else if (fabs(v) < 1e6) {
		if (v == floor(v) || fabs(v) >= 1000)
			buf_addf(out, "%.0f", v);
		else if (fabs(v) >= 10)
			buf_addf(out, "%.1f", v);
		else
			buf_addf(out, "%.3g", v);
	} else if (fabs(v) < 1e21) {
		for (v /= 1e6; fabs(v) >= 999.95 && unit[1]; unit++)
			v /= 1e3;
		buf_addf(out, "%.1f%c", v, *unit);
	} else {
		buf_addf(out, "%.1e", v);
	}
}

void
text_add_value(struct buf *out, yyjson_val *v, unsigned most)
{
	if (!v || yyjson_is_null(v))
		buf_add_str(out, "-");
	else if (yyjson_is_str(v))
		text_add(out, (struct slice){ yyjson_get_str(v), yyjson_get_len(v) }, most);
	else if (yyjson_is_num(v))
		add_number(out, yyjson_get_num(v));
	else if (yyjson_is_bool(v))
		buf_add_str(out, yyjson_get_bool(v) ? "yes" : "no");
	else
		buf_add_str(out, "?");
}

/* table ----------------------------------------------------------------------------------------- */
void
text_table_init(struct text_table *t, const struct text_column *columns, unsigned n_columns)
{
	must(n_columns <= TEXT_TABLE_COLUMNS);
	t->columns = columns;
	t->n_columns = n_columns;
	t->n_rows = 0;
}

bool
text_table_row(struct text_table *t)
{
	if (t->n_rows == TEXT_TABLE_ROWS)
		return false;
	for (unsigned i = 0; i < t->n_columns; i++)
		t->cells[t->n_rows][i][0] = '\0';
	t->n_rows++;
	return true;
}

static void
set_cell(struct text_table *t, unsigned column, struct buf *text)
{
	must(t->n_rows > 0 && column < t->n_columns && text->n < TEXT_CELL_BYTES);
	memcpy(t->cells[t->n_rows - 1][column], text->p, text->n);
	t->cells[t->n_rows - 1][column][text->n] = '\0';
}

void
text_table_text(struct text_table *t, unsigned column, struct slice s)
{
	char bytes[TEXT_CELL_BYTES];
	struct buf b = { .p = bytes, .cap = sizeof(bytes), .max = sizeof(bytes) - 1 };

	text_add(&b, s, t->columns[column].most);
	set_cell(t, column, &b);
}

void
text_table_value(struct text_table *t, unsigned column, yyjson_val *v)
{
	char bytes[TEXT_CELL_BYTES];
	struct buf b = { .p = bytes, .cap = sizeof(bytes), .max = sizeof(bytes) - 1 };

	text_add_value(&b, v, t->columns[column].most);
	set_cell(t, column, &b);
}

static void
add_padded(struct buf *out, const char *text, unsigned width, bool right, bool last)
{
	unsigned blanks = width - MIN(width, width_of(slice_of(text)));

	if (right)
		buf_addf(out, "%*s%s", (int)blanks, "", text);
	else
		buf_addf(out, "%s%*s", text, last ? 0 : (int)blanks, "");
	if (!last)
		buf_addf(out, "%*s", GAP, "");
}

void
text_table_print(const struct text_table *t, struct buf *out)
{
	unsigned widths[TEXT_TABLE_COLUMNS] = { 0 };

	for (unsigned i = 0; i < t->n_columns; i++) {
		widths[i] = width_of(slice_of(t->columns[i].title));
		for (unsigned row = 0; row < t->n_rows; row++)
			widths[i] = MAX(widths[i], width_of(slice_of(t->cells[row][i])));
	}
	for (unsigned row = 0; row <= t->n_rows; row++) {
		for (unsigned i = 0; i < t->n_columns; i++)
			add_padded(out, row ? t->cells[row - 1][i] : t->columns[i].title, widths[i],
				   t->columns[i].right, i + 1 == t->n_columns);
		buf_add_char(out, '\n');
	}
}
