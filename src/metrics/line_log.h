/* SPDX-License-Identifier: MIT */
/*
 * line_log - a file of lines that a thread of its own writes, so that a slow disk or reader never holds the loop.
 *
 * One thread puts lines into a ring, the writer takes them out; neither waits for the other.  When the ring is full the
 * line is dropped and counted.  Nothing is allocated after line_log_open().
 */
#pragma once
#include <stdint.h>
#include "base/diag.h"
#include "base/str.h"

#define LINE_LOG_LINE_MAX ((size_t)16 << 10) /* bytes of one line; a longer one is dropped */
#define LINE_LOG_RING_DEFAULT ((size_t)4 << 20)
#define LINE_LOG_CLOSE_MS 2000 /* how long a reader that does not read can delay line_log_close() */

struct line_log;

/* Appends to @path ("-": standard output).  @ring_bytes is rounded up to a power of two that holds a line at least.
 * NULL with @d filled when the file cannot be opened. */
struct line_log *line_log_open(const char *path, size_t ring_bytes, struct diag *d);
/* Queues @line; the line end is added.  False when it was dropped. */
bool line_log_write(struct line_log *l, struct slice line);
/* Has the writer open the path again, after the lines queued so far: for rotation.  When that fails the old file is kept. */
void line_log_reopen(struct line_log *l);
/* Lines that were dropped: no room, too long, or the file could not be written. */
uint64_t line_log_dropped(const struct line_log *l);
/* Writes what is queued, ends the thread and frees @l.  NULL is fine. */
void line_log_close(struct line_log *l);
