/* SPDX-License-Identifier: MIT */
/*
 * access_log - one JSON line for each request, written by a line_log.
 *
 * {"ts":"2026-11-24T14:05:09.123456Z","request_id":"…","tenant":"quiet","model":"m","path":"/v1/chat/completions",
 *  "status":200,"stream":true,"prompt_tokens":12,"completion_tokens":64,"queue_ms":0.3,"ttft_ms":51.2,
 *  "duration_ms":803.9,"bytes_in":211,"bytes_out":9120,"reason":null,"engine":"vllm","client_retry_count":0}
 *
 * Unknown numbers are null.  Keys and bodies never reach it.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "base/str.h"
#include "metrics/line_log.h"

#define ACCESS_LOG_FIELD_MAX                                                                       \
	256 /* bytes of a text field; the rest is cut, so that every line fits LINE_LOG_LINE_MAX */

struct access_entry {
	uint64_t ts_wall_us; /* arrival, since 1970 */
	struct slice request_id;
	struct slice tenant, model; /* empty: null */
	struct slice path;
	unsigned status; /* 0: the client left before there was one, null */
	bool stream;
	int64_t prompt_tokens, completion_tokens; /* < 0: null */
	int64_t queue_us, ttft_us;		  /* < 0: null */
	uint64_t duration_us;
	uint64_t bytes_in, bytes_out;
	struct slice reason; /* why it was refused or ended early; empty: null */
	struct slice engine;
	int64_t client_retry_count; /* of x-stainless-retry-count; < 0: null */
};

struct access_log {
	struct line_log *lines; /* owned; for reopen and the count of dropped lines */
	struct buf line;	/* the one being rendered: its memory is kept */
};

/* Opens @path ("-": standard output): 0, or -EIO with @d filled. */
MUST_CHECK int
access_log_init(struct access_log *a, const char *path, size_t ring_bytes, struct diag *d);
/* Writes what is queued and closes. */
void access_log_finish(struct access_log *a);
/* Queues the line; false when it was dropped. */
bool access_log_write(struct access_log *a, const struct access_entry *e);
