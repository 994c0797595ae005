/* SPDX-License-Identifier: MIT */
/*
 * What no configuration file has is refused before the YAML library sees it: bytes that are no text, and directives, in
 * which the library's scanner can be made to run for ever.
 */
#include "base/utf8.h"
#include "config/load_impl.h"

static void
refuse_at(struct loader *l, size_t offset, const char *what)
{
	int line = 0, column = 0;

	for (size_t i = 0; i < offset; i++) {
		column = l->text.p[i] == '\n' ? 0 : column + 1;
		line += l->text.p[i] == '\n';
	}
	load_error_at(l, line, column, NULL, "%s", what);
}

bool
screen_text(struct loader *l)
{
	struct utf8_check utf8 = { 0 };
	size_t good = utf8_run(&utf8, l->text.p, l->text.n);
	char before = '\n';

	if (good < l->text.n || !utf8_complete(&utf8)) {
		refuse_at(l, good, "this is not UTF-8");
		return false;
	}
	for (size_t i = 0; i < l->text.n; i++) {
		unsigned char c = (unsigned char)l->text.p[i];

		if ((c < 0x20 && c != '\t' && c != '\n' && c != '\r') || c == 0x7f) {
			refuse_at(l, i, "a control character");
			return false;
		}
		if (c == '%' && (before == '\n' || before == '\r')) {
			refuse_at(l, i, "YAML directives are not taken");
			return false;
		}
		before = (char)c;
	}
	return true;
}
