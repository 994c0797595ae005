/* SPDX-License-Identifier: MIT */
#include "engine/child.h"
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>
#include <yyjson.h>
#include "base/clock.h"

#define LAST_WORDS_MAX                                                                             \
	((size_t)1 << 20) /* read at its end, however much a grandchild still writes */

static void
on_handle_closed(uv_handle_t *h)
{
	struct engine_child *c = h->data;

	if (--c->open_handles == 0 && c->stopping)
		c->ops->on_closed(c->ctx);
}

static void
close_once(uv_handle_t *h)
{
	if (!uv_is_closing(h))
		uv_close(h, on_handle_closed);
}

static void
on_alloc(uv_handle_t *h, size_t suggested, uv_buf_t *ret)
{
	static char scratch[16 << 10]; /* one loop, and each piece is copied at once */

	(void)h;
	(void)suggested;
	*ret = uv_buf_init(scratch, sizeof(scratch));
}

static void
tell_end(struct engine_child *c, const char *why)
{
	if (c->ended)
		return;
	c->ended = true;
	c->ops->on_end(c->ctx, why);
}

/* its address ---------------------------------------------------------------------------------- */
static int
read_report(struct slice line, struct buf *host, uint16_t *ret_port)
{
	yyjson_doc *doc = yyjson_read(line.p, line.n, 0);
	yyjson_val *root = yyjson_doc_get_root(doc);
	yyjson_val *address = yyjson_obj_get(root, "address"), *port = yyjson_obj_get(root, "port");
	bool good = yyjson_is_str(address) && yyjson_is_uint(port) && yyjson_get_uint(port) > 0 &&
		    yyjson_get_uint(port) <= UINT16_MAX;

	if (good) {
		buf_add_str(host, yyjson_get_str(address));
		*ret_port = (uint16_t)yyjson_get_uint(port);
	}
	yyjson_doc_free(doc);
	return good ? 0 : -EINVAL;
}

static void
take_report(struct engine_child *c, struct slice line)
{
	struct buf host;
	uint16_t port = 0;

	c->reported = true;
	close_once((uv_handle_t *)&c->report);
	buf_init(&host, ENGINE_CHILD_REPORT_MAX);
	if (read_report(line, &host, &port) == 0) {
		c->ops->on_address(c->ctx, buf_cstr(&host), port);
	} else {
		kill(-c->pid, SIGKILL);
		tell_end(c, "did not tell its address in a way that is understood");
	}
	buf_finish(&host);
}

static void
on_report(uv_stream_t *s, ssize_t n, const uv_buf_t *piece)
{
	struct engine_child *c = s->data;
	struct slice line;
	const char *end;

	if (n < 0) {
		close_once((uv_handle_t *)s);
		return;
	}
	buf_add(&c->report_buf, piece->base, (size_t)n);
	line = buf_slice(&c->report_buf);
	end = line.n ? memchr(line.p, '\n', line.n) : NULL;
	if (end)
		line.n = (size_t)(end - line.p);
	if (end || c->report_buf.overflow)
		take_report(c, line);
}

/* its last words ------------------------------------------------------------------------------- */
static void
keep_log(struct engine_child *c, const char *p, size_t n)
{
	buf_add(&c->log_buf, p, n);
	if (c->log_buf.n > ENGINE_CHILD_LOG_KEPT)
		buf_drop_front(&c->log_buf, c->log_buf.n - ENGINE_CHILD_LOG_KEPT);
}

static void
on_log(uv_stream_t *s, ssize_t n, const uv_buf_t *piece)
{
	if (n < 0)
		close_once((uv_handle_t *)s);
	else
		keep_log(s->data, piece->base, (size_t)n);
}

/* Its end may be seen before what it wrote last: the pipe still has that. */
static void
drain_log(struct engine_child *c)
{
	char piece[4096];
	uv_os_fd_t fd;
	ssize_t n;

	if (uv_is_closing((uv_handle_t *)&c->log) || uv_fileno((uv_handle_t *)&c->log, &fd))
		return;
	for (size_t total = 0; total < LAST_WORDS_MAX; total += (size_t)n) {
		n = read(fd, piece, sizeof(piece));
		if (n <= 0)
			return;
		keep_log(c, piece, (size_t)n);
	}
}

/* Without the time and level that our own log puts before each line. */
static struct slice
without_log_prefix(struct slice s)
{
	const char *blank = s.n > CLOCK_RFC3339_LEN && s.p[CLOCK_RFC3339_LEN - 2] == 'Z' &&
					    s.p[CLOCK_RFC3339_LEN - 1] == ' '
				    ? memchr(s.p + CLOCK_RFC3339_LEN, ' ', s.n - CLOCK_RFC3339_LEN)
				    : NULL;

	if (!blank)
		return s;
	return slice_trim((struct slice){ blank, s.n - (size_t)(blank - s.p) });
}

static struct slice
last_line(struct engine_child *c)
{
	struct slice s = buf_slice(&c->log_buf);
	const char *before;

	while (s.n && (unsigned char)s.p[s.n - 1] <= ' ')
		s.n--;
	before = s.n ? memrchr(s.p, '\n', s.n) : NULL;
	if (before) {
		s.n -= (size_t)(before + 1 - s.p);
		s.p = before + 1;
	}
	s.n = MIN(s.n, (size_t)300);
	return s;
}

static void
on_exit_of(uv_process_t *p, int64_t status, int signal)
{
	struct engine_child *c = p->data;
	struct slice line;
	struct buf why;

	c->running = false;
	close_once((uv_handle_t *)p);
	if (c->stopping) {
		close_once((uv_handle_t *)&c->kill_timer);
		return;
	}
	drain_log(c);
	line = without_log_prefix(last_line(c));
	buf_init(&why, 1024);
	if (signal)
		buf_addf(&why, "was ended by signal %d", signal);
	else
		buf_addf(&why, "ended with code %lld", (long long)status);
	if (line.n)
		buf_addf(&why, ": " SLICE_FMT, SLICE_ARG(line));
	tell_end(c, buf_cstr(&why));
	buf_finish(&why);
}

/* life ----------------------------------------------------------------------------------------- */
static void
init_handles(struct engine_child *c, uv_loop_t *loop)
{
	buf_init(&c->report_buf, ENGINE_CHILD_REPORT_MAX);
	buf_init(&c->log_buf, 2 * ENGINE_CHILD_LOG_KEPT + (16 << 10));
	uv_pipe_init(loop, &c->report, 0);
	uv_pipe_init(loop, &c->log, 0);
	uv_timer_init(loop, &c->kill_timer);
	c->report.data = c->log.data = c->kill_timer.data = c->process.data = c;
	c->open_handles = 4;
}

int
engine_child_start(struct engine_child *c, uv_loop_t *loop, const char *file, const char *const *args,
		   const struct engine_child_ops *ops, void *ctx, struct diag *d)
{
	const uv_stdio_flags pipe = UV_CREATE_PIPE | UV_WRITABLE_PIPE;
	uv_stdio_container_t fds[ENGINE_CHILD_REPORT_FD + 1] = {
		{ .flags = UV_IGNORE },
		{ .flags = UV_IGNORE },
		{ .flags = pipe, .data.stream = (uv_stream_t *)&c->log },
		{ .flags = pipe, .data.stream = (uv_stream_t *)&c->report },
	};
	uv_process_options_t o = { .file = file,
				   .args = (char **)(uintptr_t)args,
				   .flags = UV_PROCESS_DETACHED,
				   .stdio = fds,
				   .stdio_count = ENGINE_CHILD_REPORT_FD + 1,
				   .exit_cb = on_exit_of };
	int err;

	*c = (struct engine_child){ .ops = ops, .ctx = ctx };
	init_handles(c, loop);
	err = uv_spawn(loop, &c->process, &o);
	if (err) {
		diag_what(d, "could not be started: %s", uv_strerror(err));
		return err;
	}
	c->running = true;
	c->pid = c->process.pid;
	uv_read_start((uv_stream_t *)&c->report, on_alloc, on_report);
	uv_read_start((uv_stream_t *)&c->log, on_alloc, on_log);
	return 0;
}

static void
on_grace_over(uv_timer_t *t)
{
	struct engine_child *c = t->data;

	kill(-c->pid, SIGKILL); /* it leads its own session, and has not been waited for yet */
	close_once((uv_handle_t *)t);
}

void
engine_child_stop(struct engine_child *c)
{
	if (c->stopping)
		return;
	c->stopping = true;
	close_once((uv_handle_t *)&c->report);
	close_once((uv_handle_t *)&c->log);
	if (!c->running) {
		close_once((uv_handle_t *)&c->kill_timer);
		if (!uv_is_closing((uv_handle_t *)&c->process))
			close_once((uv_handle_t *)&c->process);
		return;
	}
	uv_process_kill(&c->process, SIGTERM);
	uv_timer_start(&c->kill_timer, on_grace_over, ENGINE_CHILD_GRACE_MS, 0);
}

void
engine_child_finish(struct engine_child *c)
{
	must(c->open_handles == 0);
	buf_finish(&c->report_buf);
	buf_finish(&c->log_buf);
}
