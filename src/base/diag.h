/* SPDX-License-Identifier: MIT */
/*
 * diag - what went wrong, where, and what to do, in words that a user reads.
 *
 * Library modules fill one and return an error; only cli, router and engine print or log it.
 */
#pragma once
#include <stddef.h>
#include "base/must.h"

struct diag {
	char where[256];   /* "kvwarden.yaml:12:5", "--port", "KVWARDEN_TELEMETRY"; may be empty */
	char what[512];	   /* one sentence without a full stop */
	char hint[512];	   /* what to do about it; may be empty */
	char excerpt[512]; /* source line and caret, with line ends; may be empty */
};

/* Fill a field; a NULL @d is ignored. */
void diag_what(struct diag *d, const char *fmt, ...) PRINTF_LIKE(2, 3);
void diag_where(struct diag *d, const char *fmt, ...) PRINTF_LIKE(2, 3);
void diag_hint(struct diag *d, const char *fmt, ...) PRINTF_LIKE(2, 3);
