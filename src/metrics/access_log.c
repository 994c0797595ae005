/* SPDX-License-Identifier: MIT */
#include "metrics/access_log.h"
#include <errno.h>
#include "base/clock.h"
#include "base/json_writer.h"

int
access_log_init(struct access_log *a, const char *path, size_t ring_bytes, struct diag *d)
{
	buf_init(&a->line, LINE_LOG_LINE_MAX);
	must(buf_reserve(&a->line, LINE_LOG_LINE_MAX) == 0);
	a->lines = line_log_open(path, ring_bytes, d);
	if (a->lines)
		return 0;
	buf_finish(&a->line);
	return -EIO;
}

void
access_log_finish(struct access_log *a)
{
	line_log_close(a->lines);
	a->lines = NULL;
	buf_finish(&a->line);
}

static void
add_text(struct json_writer *w, const char *key, struct slice s)
{
	jw_key(w, key);
	if (s.n == 0)
		jw_null(w);
	else
		jw_slice(w, (struct slice){ s.p, MIN(s.n, (size_t)ACCESS_LOG_FIELD_MAX) });
}

static void
add_count(struct json_writer *w, const char *key, int64_t n)
{
	jw_key(w, key);
	if (n < 0)
		jw_null(w);
	else
		jw_int(w, n);
}

static void
add_ms(struct json_writer *w, const char *key, int64_t us)
{
	jw_key(w, key);
	if (us < 0)
		jw_null(w);
	else
		jw_double(w, (double)us / 1000, 3);
}

static void
render_line(struct buf *out, const struct access_entry *e)
{
	struct json_writer w;
	char ts[CLOCK_RFC3339_LEN];

	clock_rfc3339(e->ts_wall_us, ts);
	jw_init(&w, out);
	jw_object(&w);
	jw_kv_str(&w, "ts", ts);
	add_text(&w, "request_id", e->request_id);
	add_text(&w, "tenant", e->tenant);
	add_text(&w, "model", e->model);
	add_text(&w, "path", e->path);
	add_count(&w, "status", e->status ? (int64_t)e->status : -1);
	jw_kv_bool(&w, "stream", e->stream);
	add_count(&w, "prompt_tokens", e->prompt_tokens);
	add_count(&w, "completion_tokens", e->completion_tokens);
	add_ms(&w, "queue_ms", e->queue_us);
	add_ms(&w, "ttft_ms", e->ttft_us);
	add_ms(&w, "duration_ms", (int64_t)e->duration_us);
	jw_kv_uint(&w, "bytes_in", e->bytes_in);
	jw_kv_uint(&w, "bytes_out", e->bytes_out);
	add_text(&w, "reason", e->reason);
	add_text(&w, "engine", e->engine);
	add_count(&w, "client_retry_count", e->client_retry_count);
	jw_end_object(&w);
}

bool
access_log_write(struct access_log *a, const struct access_entry *e)
{
	buf_clear(&a->line);
	render_line(&a->line, e);
	must(!a->line.overflow);
	return line_log_write(a->lines, buf_slice(&a->line));
}
