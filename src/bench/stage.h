/* SPDX-License-Identifier: MIT */
/*
 * stage - a loop driven step by step: "wait until this holds, at most so long".
 *
 * A comparison of arms is a story told in order (start this, wait for its address, run that, stop it), so it is written as
 * straight code that waits, instead of a machine of callbacks.  SIGINT, SIGTERM and SIGHUP end every wait.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <uv.h>
#include "base/diag.h"
#include "bench/child.h"

#define STAGE_STOP_GRACE_MS 5000 /* from SIGTERM to SIGKILL */

struct stage {
	uv_loop_t loop;
	uv_timer_t alarm;
	uv_signal_t signals[3];
	int interrupted; /* the signal; 0: none */
};

void stage_init(struct stage *s);
/* Every other handle must be closed. */
void stage_finish(struct stage *s);
/* 0 when @holds(@ctx); -ETIMEDOUT; -EINTR when a signal came.  @holds is asked after every turn of the loop. */
MUST_CHECK int stage_wait(struct stage *s, bool (*holds)(void *ctx), void *ctx, uint64_t most_ms);
/* The same without a condition: only a signal ends it early. */
MUST_CHECK int stage_sleep(struct stage *s, uint64_t ms);
/* Ends the process and everything of it, whatever signals come; harmless for one that has ended or never began. */
void stage_stop_child(struct stage *s, struct child *c);
