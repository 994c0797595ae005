/* SPDX-License-Identifier: MIT */
/*
 * child - the simulator's process behind an engine: its address, its last words, its end.
 *
 * It runs in a session of its own, so that Ctrl-C on the terminal reaches only the gateway, which then stops its
 * children in order.  Its first line on descriptor 3 tells its address; standard error is kept, the last bytes of it,
 * to say why it ended.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <uv.h>
#include "base/diag.h"
#include "base/str.h"

#define ENGINE_CHILD_ARGS_MAX 24
#define ENGINE_CHILD_REPORT_FD 3
#define ENGINE_CHILD_REPORT_MAX ((size_t)4096) /* bytes of its first line */
#define ENGINE_CHILD_LOG_KEPT ((size_t)4096)   /* last bytes of its standard error */
#define ENGINE_CHILD_GRACE_MS 2000	       /* from SIGTERM to SIGKILL */

struct engine_child_ops {
	/* Once: where it listens. */
	void (*on_address)(void *ctx, const char *host, uint16_t port);
	/* It ended, unasked; @why names the code or signal and its last line. */
	void (*on_end)(void *ctx, const char *why);
	/* After engine_child_stop(): nothing of it is on the loop any more. */
	void (*on_closed)(void *ctx);
};

/* Memory of the caller, from engine_child_start() to on_closed. */
struct engine_child {
	uv_process_t process;
	uv_pipe_t report, log;
	uv_timer_t kill_timer;
	struct buf report_buf, log_buf;
	const struct engine_child_ops *ops;
	void *ctx;
	bool running, stopping, reported, ended;
	unsigned open_handles;
	pid_t pid;
};

/* Starts @file with @args (NULL at the end; args[0] is its name).  0, or a negative errno with @d filled; either way
 * the child is to be stopped. */
MUST_CHECK int engine_child_start(struct engine_child *c, uv_loop_t *loop, const char *file,
				  const char *const *args, const struct engine_child_ops *ops,
				  void *ctx, struct diag *d);
/* SIGTERM, SIGKILL to its session after the grace; on_closed always follows, from the loop. */
void engine_child_stop(struct engine_child *c);
void engine_child_finish(struct engine_child *c);
