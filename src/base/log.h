/* SPDX-License-Identifier: MIT */
/*
 * log - the text log on standard error: time, level, message, one line each.
 *
 * Only router, engine and cli log; library modules fill a struct diag.  Bytes of outsiders are escaped, so that
 * nobody forges a line.  Keys and bodies never reach it.
 */
#pragma once
#include <stdbool.h>
#include "base/diag.h"
#include "base/must.h"

enum log_level {
	LOG_ERROR,
	LOG_WARN,
	LOG_INFO,
	LOG_DEBUG
};

#define LOG_LINE_MAX 2048 /* a longer message is cut */

void log_set_level(enum log_level level);
enum log_level log_get_level(void);
/* "error", "warning" or "warn", "info", "debug", any case: 0, or -EINVAL. */
MUST_CHECK int log_level_parse(const char *name, enum log_level *ret);
void log_at(enum log_level level, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* Where, what, excerpt and hint, as a user reads them. */
void log_diag(enum log_level level, const struct diag *d);

#define log_error(...) log_at(LOG_ERROR, __VA_ARGS__)
#define log_warn(...) log_at(LOG_WARN, __VA_ARGS__)
#define log_info(...) log_at(LOG_INFO, __VA_ARGS__)
#define log_debug(...) log_at(LOG_DEBUG, __VA_ARGS__)
