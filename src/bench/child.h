/* SPDX-License-Identifier: MIT */
/*
 * child - a process of this very program, watched: its first report, its later lines, its last log lines, its end.
 *
 * The program is started from /proc/self/exe, in a session of its own, so that Ctrl-C on the terminal reaches only the
 * parent, which then stops its children in order.  Descriptor 3 of the child is a pipe that comes back line by line;
 * standard error is kept, its last lines at least, to be shown when something went wrong.
 */
#pragma once
#include <stdbool.h>
#include <uv.h>
#include "base/diag.h"
#include "base/str.h"

#define CHILD_REPORT_FD 3
#define CHILD_ARGS_MAX 40
#define CHILD_LINE_MAX ((size_t)1 << 20) /* of a report */
#define CHILD_LOG_KEPT ((size_t)4096)	 /* last bytes of the log */

struct child {
	const char *name; /* for messages */
	uv_process_t process;
	uv_pipe_t report, log;
	struct buf report_buf, log_buf;
	void (*on_line)(void *ctx, struct slice line);
	void *ctx;
	bool spawned, exited;
	unsigned open_handles;
	int64_t status;
	int signal;
};

/* Starts `kvwarden ARGS`; @args ends with NULL.  @c is memory of the caller and stays until child_is_gone(). */
MUST_CHECK int child_start(struct child *c, uv_loop_t *loop, const char *name, const char *const *args,
			   void (*on_line)(void *ctx, struct slice line), void *ctx, struct diag *d);
/* True when the process has ended and nothing of @c is on the loop any more, or it was never started. */
bool child_is_gone(const struct child *c);
/* Sends @signal unless the process has ended. */
void child_signal(struct child *c, int signal);
/* How it ended, in words: "the gateway ended with code 1". */
void child_describe_end(const struct child *c, char *out, size_t size);
void child_finish(struct child *c);
