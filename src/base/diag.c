/* SPDX-License-Identifier: MIT */
#include "base/diag.h"

#include <stdarg.h>
#include <stdio.h>

#define FILL(field)                                                                                \
	do {                                                                                       \
		va_list ap;                                                                        \
		if (!d)                                                                            \
			return;                                                                    \
		va_start(ap, fmt);                                                                 \
		vsnprintf(d->field, sizeof(d->field), fmt, ap);                                    \
		va_end(ap);                                                                        \
	} while (0)

void
diag_what(struct diag *d, const char *fmt, ...)
{
	FILL(what);
}

void
diag_where(struct diag *d, const char *fmt, ...)
{
	FILL(where);
}

void
diag_hint(struct diag *d, const char *fmt, ...)
{
	FILL(hint);
}
