/* SPDX-License-Identifier: MIT */
/* Listening, routing, and the wall clock. */
#include "sim/http_face.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>
#include "base/clock.h"
#include "sim/face_impl.h"

/* time --------------------------------------------------------------------------------------------------------------- */
uint64_t
face_now_us(const struct sim_face *f)
{
	return (uint64_t)((double)(clock_mono_us() - f->t0_us) * f->o.speed);
}

bool
face_is_ready(const struct sim_face *f)
{
	return clock_mono_us() >= f->ready_at_us;
}

/* A timerfd, since a step is a few milliseconds and the loop's own timers count in whole ones. */
void
face_arm(struct sim_face *f)
{
	uint64_t next = f->source->ops->next_us(f->source), now = face_now_us(f), wait_ns;
	struct itimerspec t = { 0 };

	if (next == f->armed_us)
		return;
	f->armed_us = next;
	if (next != UINT64_MAX) {
		wait_ns = next > now ? (uint64_t)((double)(next - now) * 1000 / f->o.speed) : 0;
		wait_ns = MAX(wait_ns, (uint64_t)1);
		t.it_value.tv_sec = (time_t)(wait_ns / 1000000000u);
		t.it_value.tv_nsec = (long)(wait_ns % 1000000000u);
	}
	timerfd_settime(f->timer_fd, 0, &t, NULL);
}

static void
abort_doomed(struct sim_face *f)
{
	if (!f->some_doomed)
		return;
	f->some_doomed = false;
	list_for_each(it, &f->gens) {
		struct sim_gen *g = list_entry(it, struct sim_gen, link);

		if (g->doomed)
			gen_abort_lines(g);
	}
}

static void
note_peak(struct sim_face *f)
{
	f->source->ops->stats(f->source, &f->stats);
	f->stats.peak_running = MAX(f->stats.peak_running, f->stats.running);
}

void
face_advance(struct sim_face *f)
{
	note_peak(f);
	f->advancing = true;
	f->advance_us = face_now_us(f);
	f->source->ops->advance(f->source, f->advance_us, gen_on_tokens, f);
	f->advancing = false;
	abort_doomed(f);
	note_peak(f);
	face_arm(f);
}

static void
on_timer(uv_poll_t *p, int status, int events)
{
	struct sim_face *f = p->data;
	uint64_t times;

	(void)status;
	(void)events;
	if (read(f->timer_fd, &times, sizeof(times)) < 0)
		return;
	f->armed_us = UINT64_MAX;
	face_advance(f);
}

/* requests ------------------------------------------------------------------------------------------------------------- */
static void
on_head(void *ctx, struct http_exchange *x)
{
	struct sim_face *f = ctx;
	struct slice path = http_path(x);
	bool chat = slice_eq(path, SLICE("/v1/chat/completions"));

	if (chat || slice_eq(path, SLICE("/v1/completions"))) {
		if (slice_eq(http_method(x), SLICE("POST")))
			gen_create(f, x, chat);
		else
			face_answer_unknown(f, x, 405, "POST");
		return;
	}
	if (!slice_starts(path, SLICE("/sim/")))
		face_record(f, x, SLICE(""));
	if (!face_answer_page(f, x))
		face_answer_unknown(f, x, face_is_ready(f) ? 404 : 503, NULL);
}

static void
on_body(void *ctx, struct http_exchange *x, struct slice piece)
{
	struct sim_gen *g = http_exchange_user(x);

	(void)ctx;
	buf_add_slice(&g->body, piece);
}

static void
on_body_end(void *ctx, struct http_exchange *x)
{
	(void)ctx;
	gen_start(http_exchange_user(x));
}

static void
on_close(void *ctx, struct http_exchange *x, enum http_close why)
{
	struct sim_face *f = ctx;
	struct sim_gen *g = http_exchange_user(x);

	(void)why;
	if (!g)
		return;
	gen_on_close(g);
	face_arm(f);
}

static unsigned
render_refusal(void *ctx, const struct http_refused *why, struct buf *body)
{
	struct sim_face *f = ctx;
	struct sim_error e = { .status = why->status, .message = slice_of(why->detail) };

	f->o.personality->error(body, &e);
	return why->status;
}

static const struct http_server_ops server_ops = {
	.on_head = on_head,
	.on_body = on_body,
	.on_body_end = on_body_end,
	.on_close = on_close,
	.render_refusal = render_refusal,
};

/* life ----------------------------------------------------------------------------------------------------------------- */
struct sim_face *
sim_face_create(uv_loop_t *loop, const struct sim_face_options *o, struct sim_source *source,
		struct diag *d)
{
	struct http_limits limits = HTTP_LIMITS_DEFAULT;
	struct sim_face *f;
	int record_fd = -1;

	must(o->n_models > 0 && o->speed > 0);
	if (o->record) {
		record_fd = open(o->record, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0640);
		if (record_fd < 0) {
			diag_where(d, "%s", o->record);
			diag_what(d, "the record cannot be opened: %s", strerror(errno));
			return NULL;
		}
	}
	f = must_calloc(1, sizeof(*f));
	f->loop = loop;
	f->o = *o;
	f->source = source;
	f->record_fd = record_fd;
	f->held_fd = -1;
	f->t0_us = clock_mono_us();
	f->created_s = SIM_CREATED_S;
	f->armed_us = UINT64_MAX;
	sim_face_stats_init(&f->stats);
	f->stats.model = f->o.models[0];
	list_init(&f->gens);
	buf_init(&f->out, BUF_MAX_DEFAULT);
	limits.idle_ms = o->idle_ms;
	limits.body_bytes = SIM_BODY_MAX;
	/* An engine keeps what a slow client does not read: that the gateway reads is the gateway's business. */
	limits.slow_soft_bytes = limits.slow_hard_bytes = SIZE_MAX / 4;
	f->server = http_server_create(loop, &limits, &server_ops, f);
	f->server_open = true;
	f->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	must(f->timer_fd >= 0);
	uv_poll_init(loop, &f->timer, f->timer_fd);
	f->timer.data = f;
	f->timer_open = true;
	uv_poll_start(&f->timer, UV_READABLE, on_timer);
	return f;
}

static void
check_closed(struct sim_face *f)
{
	if (f->closed && f->closing_handles == 0 && !f->server_open && f->n_gens == 0) {
		void (*done)(void *ctx) = f->closed;

		f->closed = NULL;
		done(f->closed_ctx);
	}
}

void
face_gen_gone(struct sim_face *f)
{
	f->n_gens--;
	check_closed(f);
}

static void
on_server_closed(void *ctx)
{
	struct sim_face *f = ctx;

	f->server_open = false;
	check_closed(f);
}

static void
on_handle_closed(uv_handle_t *h)
{
	struct sim_face *f = h->data;

	f->closing_handles--;
	check_closed(f);
}

void
sim_face_close(struct sim_face *f, void (*done)(void *ctx), void *ctx)
{
	f->closed = done;
	f->closed_ctx = ctx;
	uv_close((uv_handle_t *)&f->timer, on_handle_closed);
	f->closing_handles++;
	if (f->startup_open) {
		uv_close((uv_handle_t *)&f->startup, on_handle_closed);
		f->closing_handles++;
	}
	http_server_close(f->server, on_server_closed, f);
}

void
sim_face_destroy(struct sim_face *f)
{
	if (!f)
		return;
	http_server_destroy(f->server);
	close(f->timer_fd);
	if (f->record_fd >= 0)
		close(f->record_fd);
	if (f->held_fd >= 0)
		close(f->held_fd);
	buf_finish(&f->out);
	free(f);
}

void
sim_face_stats(const struct sim_face *f, struct sim_face_stats *ret)
{
	*ret = f->stats;
	f->source->ops->stats(f->source, ret);
}

const struct diag *
sim_face_failure(const struct sim_face *f)
{
	return f->failed ? &f->failure : NULL;
}

/* listening ------------------------------------------------------------------------------------------------------------ */
static int
listen_now(struct sim_face *f, struct diag *d)
{
	if (f->held_fd >= 0)
		close(f->held_fd);
	f->held_fd = -1;
	if (f->unix_path[0])
		return http_server_listen_unix(f->server, f->unix_path, 0, d);
	return http_server_listen(f->server, f->host, f->port, 0, &f->port, d);
}

static void
on_startup(uv_timer_t *t)
{
	struct sim_face *f = t->data;

	if (listen_now(f, &f->failure)) {
		f->failed = true;
		uv_stop(f->loop);
	}
}

/* When the socket opens: at once, or after loading, or in its last third. */
static uint64_t
refused_ms(const struct sim_face *f)
{
	double ms = f->o.startup_s * 1000;

	switch (f->o.personality->loading) {
	case SIM_LOADING_REFUSED:
		return (uint64_t)ms;
	case SIM_LOADING_REFUSED_THEN_503:
		return (uint64_t)(ms * 2 / 3);
	default:
		return 0;
	}
}

/* Binds without listening: the port is ours, connections are refused. */
static int
hold_port(struct sim_face *f, struct diag *d)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(f->port) };
	socklen_t len = sizeof(a);
	int one = 1, fd;

	if (inet_pton(AF_INET, f->host, &a.sin_addr) != 1) {
		diag_what(d, "'%s' is not an IPv4 address, which a slow start needs", f->host);
		return -EINVAL;
	}
	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(fd, (struct sockaddr *)&a, sizeof(a)) || getsockname(fd, (struct sockaddr *)&a, &len)) {
		int err = -errno;

		diag_what(d, "%s:%u cannot be used: %s", f->host, f->port, strerror(errno));
		close(fd);
		return err;
	}
	f->held_fd = fd;
	f->port = ntohs(a.sin_port);
	return 0;
}

static int
open_address(struct sim_face *f, struct diag *d)
{
	uint64_t wait_ms = refused_ms(f);
	int err;

	f->ready_at_us = clock_mono_us() + (uint64_t)(f->o.startup_s * 1e6);
	if (wait_ms == 0)
		return listen_now(f, d);
	err = f->unix_path[0] ? 0 : hold_port(f, d);
	if (err)
		return err;
	uv_timer_init(f->loop, &f->startup);
	f->startup.data = f;
	f->startup_open = true;
	uv_timer_start(&f->startup, on_startup, wait_ms, 0);
	return 0;
}

int
sim_face_listen(struct sim_face *f, const char *host, uint16_t port, uint16_t *ret_port, struct diag *d)
{
	int err;

	snprintf(f->host, sizeof(f->host), "%s", host);
	f->port = port;
	err = open_address(f, d);
	*ret_port = f->port;
	return err;
}

int
sim_face_listen_unix(struct sim_face *f, const char *path, struct diag *d)
{
	if (strlen(path) >= sizeof(f->unix_path)) {
		diag_what(d, "the path of the Unix socket is too long");
		return -ENAMETOOLONG;
	}
	snprintf(f->unix_path, sizeof(f->unix_path), "%s", path);
	return open_address(f, d);
}
