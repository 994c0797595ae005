/* SPDX-License-Identifier: MIT */
#include "base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/clock.h"

static enum log_level level_now = LOG_INFO;
static const char *const level_names[] = { "ERROR", "WARN", "INFO", "DEBUG" };

void
log_set_level(enum log_level level)
{
	level_now = level;
}

enum log_level
log_get_level(void)
{
	return level_now;
}

int
log_level_parse(const char *name, enum log_level *ret)
{
	static const struct {
		const char *name;
		enum log_level level;
	} known[] = {
		{ "error", LOG_ERROR },	 { "critical", LOG_ERROR }, { "warn", LOG_WARN },
		{ "warning", LOG_WARN }, { "info", LOG_INFO },	    { "debug", LOG_DEBUG },
	};

	for (size_t i = 0; i < ARRAY_LEN(known); i++)
		if (!strcasecmp(name, known[i].name)) {
			*ret = known[i].level;
			return 0;
		}
	return -EINVAL;
}

void
log_at(enum log_level level, const char *fmt, ...)
{
	char msg[LOG_LINE_MAX], line[LOG_LINE_MAX * 2 + 64], when[CLOCK_RFC3339_LEN];
	va_list ap;
	size_t n;

	if (level > level_now)
		return;
	va_start(ap, fmt);
	vsnprintf(msg, sizeof(msg), fmt, ap);
	va_end(ap);
	clock_rfc3339(clock_wall_us(), when);
	n = (size_t)snprintf(line, sizeof(line), "%s %-5s ", when, level_names[level]);
	for (const char *p = msg; *p && n + 6 < sizeof(line); p++) {
		unsigned char c = (unsigned char)*p;

		if (c == '\n' && p[1])
			n += (size_t)snprintf(line + n, sizeof(line) - n, "\\n");
		else if (c < 0x20 || c == 0x7f)
			n += c == '\n' ? 0 : (size_t)snprintf(line + n, sizeof(line) - n, "\\x%02x", c);
		else
			line[n++] = (char)c;
	}
	line[n++] = '\n';
	for (size_t done = 0; done < n;) {
		ssize_t w = write(STDERR_FILENO, line + done, n - done);

		if (w < 0 && errno == EINTR)
			continue;
		if (w <= 0)
			break;
		done += (size_t)w;
	}
}

void
log_diag(enum log_level level, const struct diag *d)
{
	log_at(level, "%s%s%s%s%s", d->where, d->where[0] ? ": " : "", d->what,
	       d->hint[0] ? "; " : "", d->hint);
}
