/* SPDX-License-Identifier: MIT */
/*
 * child_side - what a command of ours does when another one started it: it reports its address, and ends with its parent.
 *
 *   --report-fd N            write {"address","port","pid"} to descriptor N once the address is held
 *   --die-with-parent[=PID]  end when the process that started this one ends
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct child_side {
	int report_fd; /* -1: nobody wants to know */
	bool die_with_parent;
	pid_t parent; /* 0: whoever it is */
};

/* Asks for SIGKILL at the parent's end.  False when it is gone already. */
bool child_side_follow(const struct child_side *c);
/* Writes the report, and closes the descriptor.  @unix_path NULL: @host and @port. */
void child_side_report(struct child_side *c, const char *host, uint16_t port, const char *unix_path);
