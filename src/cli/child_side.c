/* SPDX-License-Identifier: MIT */
#include "cli/child_side.h"

#include <errno.h>
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>
#include "base/json_writer.h"
#include "base/log.h"

#define REPORT_MAX 4096

bool
child_side_follow(const struct child_side *c)
{
	if (!c->die_with_parent)
		return true;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	/* It may have ended before that call. */
	return c->parent ? getppid() == c->parent : getppid() != 1;
}

void
child_side_report(struct child_side *c, const char *host, uint16_t port, const char *unix_path)
{
	struct json_writer w;
	struct buf line;

	if (c->report_fd < 0)
		return;
	buf_init(&line, REPORT_MAX);
	jw_init(&w, &line);
	jw_object(&w);
	if (unix_path) {
		jw_kv_str(&w, "unix", unix_path);
	} else {
		jw_kv_str(&w, "address", host);
		jw_kv_uint(&w, "port", port);
	}
	jw_kv_int(&w, "pid", getpid());
	jw_end_object(&w);
	buf_add_char(&line, '\n');
	if (write(c->report_fd, line.p, line.n) != (ssize_t)line.n)
		log_warn("the address could not be reported: %s", strerror(errno));
	close(c->report_fd);
	c->report_fd = -1;
	buf_finish(&line);
}
