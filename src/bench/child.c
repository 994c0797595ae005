/* SPDX-License-Identifier: MIT */
#include "bench/child.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void
on_handle_closed(uv_handle_t *h)
{
	struct child *c = h->data;

	c->open_handles--;
}

static void
on_alloc(uv_handle_t *h, size_t suggested, uv_buf_t *ret)
{
	static char scratch[64 << 10]; /* one loop, and each piece is copied at once */

	(void)h;
	(void)suggested;
	*ret = uv_buf_init(scratch, sizeof(scratch));
}

static void
pass_lines(struct child *c)
{
	const char *end;

	while (c->report_buf.n && (end = memchr(c->report_buf.p, '\n', c->report_buf.n))) {
		size_t n = (size_t)(end - c->report_buf.p);

		c->on_line(c->ctx, (struct slice){ c->report_buf.p, n });
		buf_drop_front(&c->report_buf, n + 1);
	}
}

static void
on_report(uv_stream_t *s, ssize_t n, const uv_buf_t *piece)
{
	struct child *c = s->data;

	if (n < 0) {
		uv_close((uv_handle_t *)s, on_handle_closed);
		return;
	}
	buf_add(&c->report_buf, piece->base, (size_t)n);
	pass_lines(c);
}

static void
on_log(uv_stream_t *s, ssize_t n, const uv_buf_t *piece)
{
	struct child *c = s->data;
	struct buf *b = &c->log_buf;

	if (n < 0) {
		uv_close((uv_handle_t *)s, on_handle_closed);
		return;
	}
	buf_add(b, piece->base, (size_t)n);
	if (b->n > CHILD_LOG_KEPT)
		buf_drop_front(b, b->n - CHILD_LOG_KEPT);
}

static void
on_exit_of(uv_process_t *p, int64_t status, int signal)
{
	struct child *c = p->data;

	c->exited = true;
	c->status = status;
	c->signal = signal;
	uv_close((uv_handle_t *)p, on_handle_closed);
}

static void
open_pipes(struct child *c, uv_loop_t *loop)
{
	buf_init(&c->report_buf, CHILD_LINE_MAX);
	buf_init(&c->log_buf, 1 << 20);
	uv_pipe_init(loop, &c->report, 0);
	uv_pipe_init(loop, &c->log, 0);
	c->report.data = c->log.data = c->process.data = c;
	c->open_handles = 3;
}

int
child_start(struct child *c, uv_loop_t *loop, const char *name, const char *const *args,
	    void (*on_line)(void *ctx, struct slice line), void *ctx, struct diag *d)
{
	const uv_stdio_flags pipe = UV_CREATE_PIPE | UV_WRITABLE_PIPE;
	const char *argv[CHILD_ARGS_MAX + 2] = { "kvwarden" };
	uv_stdio_container_t fds[CHILD_REPORT_FD + 1] = {
		{ .flags = UV_IGNORE },
		{ .flags = UV_IGNORE },
		{ .flags = pipe, .data.stream = (uv_stream_t *)&c->log },
		{ .flags = pipe, .data.stream = (uv_stream_t *)&c->report },
	};
	uv_process_options_t o = { .file = "/proc/self/exe",
				   .args = (char **)(uintptr_t)argv,
				   .flags = UV_PROCESS_DETACHED,
				   .stdio = fds,
				   .stdio_count = CHILD_REPORT_FD + 1,
				   .exit_cb = on_exit_of };
	unsigned n = 1;
	int err;

	*c = (struct child){ .name = name, .on_line = on_line, .ctx = ctx, .spawned = true };
	for (; args[n - 1]; n++) {
		must(n <= CHILD_ARGS_MAX);
		argv[n] = args[n - 1];
	}
	open_pipes(c, loop);
	err = uv_spawn(loop, &c->process, &o);
	if (err) {
		diag_what(d, "%s could not be started: %s", name, uv_strerror(err));
		c->exited = true;
		uv_close((uv_handle_t *)&c->process, on_handle_closed);
		uv_close((uv_handle_t *)&c->report, on_handle_closed);
		uv_close((uv_handle_t *)&c->log, on_handle_closed);
		return err;
	}
	uv_read_start((uv_stream_t *)&c->report, on_alloc, on_report);
	uv_read_start((uv_stream_t *)&c->log, on_alloc, on_log);
	return 0;
}

bool
child_is_gone(const struct child *c)
{
	return !c->spawned || (c->exited && c->open_handles == 0);
}

void
child_signal(struct child *c, int signal)
{
	if (c->spawned && !c->exited)
		uv_process_kill(&c->process, signal);
}

void
child_describe_end(const struct child *c, char *out, size_t size)
{
	if (c->signal)
		snprintf(out, size, "%s was ended by signal %d", c->name, c->signal);
	else
		snprintf(out, size, "%s ended with code %lld", c->name, (long long)c->status);
}

void
child_finish(struct child *c)
{
	must(child_is_gone(c));
	buf_finish(&c->report_buf);
	buf_finish(&c->log_buf);
	*c = (struct child){ 0 };
}
