/* SPDX-License-Identifier: MIT */
/* Listening sockets, the tick that keeps every time-out, and the server's beginning and end. */
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "http/server_impl.h"

static void on_tick(uv_timer_t *t);
static void on_prepare(uv_prepare_t *p);

struct http_server *
http_server_create(uv_loop_t *loop, const struct http_limits *limits,
		   const struct http_server_ops *ops, void *ctx)
{
	struct http_server *s = must_calloc(1, sizeof(*s));

	s->loop = loop;
	s->limits = *limits;
	s->ops = ops;
	s->ctx = ctx;
	list_init(&s->listeners);
	list_init(&s->dirty);
	list_init(&s->resume);
	for (int i = 0; i < CONN_STATES; i++)
		list_init(&s->conns[i]);
	uv_timer_init(loop, &s->tick);
	s->tick.data = s;
	uv_timer_start(&s->tick, on_tick, HTTP_TICK_MS, HTTP_TICK_MS);
	uv_prepare_init(loop, &s->flush);
	s->flush.data = s;
	uv_prepare_start(&s->flush, on_prepare);
	s->n_handles = 2;
	return s;
}

void
http_server_set_limits(struct http_server *s, const struct http_limits *limits)
{
	s->limits = *limits;
}

const struct http_server_stats *
http_server_stats(const struct http_server *s)
{
	return &s->stats;
}

unsigned
http_server_active(const struct http_server *s)
{
	return s->n_active;
}

bool
http_server_note_buffered(struct http_server *s, int64_t delta)
{
	if (delta > 0 && s->stats.buffered_bytes + (size_t)delta > s->limits.buffered_bytes)
		return false;
	must(delta >= 0 || s->noted >= (size_t)-delta);
	s->noted = delta >= 0 ? s->noted + (size_t)delta : s->noted - (size_t)-delta;
	s->stats.buffered_bytes = delta >= 0 ? s->stats.buffered_bytes + (size_t)delta
					     : s->stats.buffered_bytes - (size_t)-delta;
	return true;
}

static void on_accept(uv_poll_t *p, int status, int events);

static void
pause_accept(struct http_server *s)
{
	s->accept_paused = true;
	list_for_each(it, &s->listeners)
		uv_poll_stop(&list_entry(it, struct http_listener, link)->poll);
}

static void
resume_accept(struct http_server *s)
{
	if (!s->accept_paused || s->n_conns >= s->limits.connections)
		return;
	s->accept_paused = false;
	list_for_each(it, &s->listeners)
		uv_poll_start(&list_entry(it, struct http_listener, link)->poll, UV_READABLE, on_accept);
}

static void
on_accept(uv_poll_t *p, int status, int events)
{
	struct http_listener *l = p->data;
	struct http_server *s = l->srv;

	(void)events;
	if (status < 0)
		return;
	for (int i = 0; i < 64; i++) { /* the other connections want their turn too */
		int fd;

		if (s->n_conns >= s->limits.connections) {
			pause_accept(s);
			return;
		}
		fd = accept4(l->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd < 0) {
			/* Out of descriptors or memory: the listener stays readable, so wait for the tick instead of
			 * turning the loop in circles. */
			if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
				pause_accept(s);
			return;
		}
		conn_create(l, fd);
	}
}

static int
add_listener(struct http_server *s, int fd, int tag, const char *unix_path, struct diag *d)
{
	struct http_listener *l;

	if (listen(fd, 1024) < 0) {
		int err = -errno;

		diag_what(d, "cannot listen: %s", strerror(-err));
		close(fd);
		return err;
	}
	l = must_calloc(1, sizeof(*l));
	l->srv = s;
	l->fd = fd;
	l->tag = tag;
	if (unix_path) {
		l->is_unix = true;
		snprintf(l->path, sizeof(l->path), "%s", unix_path);
	}
	list_push_back(&s->listeners, &l->link);
	uv_poll_init(s->loop, &l->poll, fd);
	l->poll.data = l;
	uv_poll_start(&l->poll, UV_READABLE, on_accept);
	s->n_handles++;
	return 0;
}

static int
bind_address(const struct addrinfo *a)
{
	int fd = socket(a->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), one = 1, err;

	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(fd, a->ai_addr, a->ai_addrlen) == 0)
		return fd;
	err = -errno;
	close(fd);
	return err;
}

int
http_server_listen(struct http_server *s, const char *host, uint16_t port, int tag,
		   uint16_t *ret_port, struct diag *d)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV },
			*res = NULL;
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);
	char service[8];
	int fd = -EINVAL, rc;

	snprintf(service, sizeof(service), "%u", port);
	rc = getaddrinfo(host, service, &hints, &res); /* at start-up: it may block */
	if (rc != 0) {
		diag_what(d, "cannot listen on '%s': %s", host, gai_strerror(rc));
		diag_hint(d, "give an address of this machine, such as 127.0.0.1 or 0.0.0.0");
		return -EINVAL;
	}
	for (struct addrinfo *a = res; a && fd < 0; a = a->ai_next)
		fd = bind_address(a);
	freeaddrinfo(res);
	if (fd < 0) {
		diag_what(d, "cannot listen on %s port %u: %s", host, port, strerror(-fd));
		if (fd == -EADDRINUSE)
			diag_hint(d, "another program uses the port; choose one with --port, or 0 for any free port");
		return fd;
	}
	memset(&ss, 0, sizeof(ss));
	getsockname(fd, (struct sockaddr *)&ss, &len);
	if (ret_port)
		*ret_port = ntohs(ss.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&ss)->sin6_port
							   : ((struct sockaddr_in *)&ss)->sin_port);
	return add_listener(s, fd, tag, NULL, d);
}

/* True when a socket file stands at @a that nobody listens on any more. */
static bool
is_stale_socket(const struct sockaddr_un *a)
{
	struct stat st;
	int fd, rc;

	if (lstat(a->sun_path, &st) < 0 || !S_ISSOCK(st.st_mode))
		return false;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	rc = connect(fd, (const struct sockaddr *)a, sizeof(*a));
	close(fd);
	return rc < 0;
}

int
http_server_listen_unix(struct http_server *s, const char *path, int tag, struct diag *d)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd, err;

	if (strlen(path) >= sizeof(a.sun_path)) {
		diag_what(d, "the socket's path is longer than %zu bytes: %s",
			  sizeof(a.sun_path) - 1, path);
		return -ENAMETOOLONG;
	}
	memcpy(a.sun_path, path, strlen(path) + 1);
	if (is_stale_socket(&a))
		unlink(path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0) {
		err = -errno;
		diag_what(d, "cannot listen on unix:%s: %s", path, strerror(-err));
		if (fd >= 0)
			close(fd);
		return err;
	}
	return add_listener(s, fd, tag, path, d);
}

/* Ends what is too old in the list of one state; entries stand in the order of since_us. */
static void
expire(struct http_server *s, enum conn_state st, uint64_t after_us, uint64_t now)
{
	struct list *it;

	while ((it = list_first(&s->conns[st])) != NULL) {
		struct http_conn_server *c = list_entry(it, struct http_conn_server, link);

		if (now - c->since_us < after_us)
			break;
		if (st == CONN_IDLE || st == CONN_LINGER)
			conn_destroy(c, HTTP_CLOSE_TIMEOUT);
		else
			conn_refuse(c, HTTP_REFUSE_TIMEOUT,
				    st == CONN_HEAD ? "the request's head did not arrive in time"
						    : "the request's body did not arrive in time");
		if (c->state == st) /* refused twice: it does not even take the answer */
			conn_destroy(c, HTTP_CLOSE_TIMEOUT);
	}
}

static void
expire_slow_readers(struct http_server *s, uint64_t now)
{
	uint64_t after_us = (uint64_t)s->limits.slow_soft_ms * 1000u;

	list_for_each_safe(it, &s->conns[CONN_WORK]) {
		struct http_conn_server *c = list_entry(it, struct http_conn_server, link);
		bool stuck = conn_pending(c) > 0 && now - c->written_us >= after_us;

		if (stuck || (c->slow_since_us && now - c->slow_since_us >= after_us)) {
			s->stats.slow_aborted++;
			conn_destroy(c, HTTP_CLOSE_SLOW);
		}
	}
}

static void
on_tick(uv_timer_t *t)
{
	struct http_server *s = t->data;
	uint64_t now = server_now_us(s);

	expire(s, CONN_IDLE, (uint64_t)s->limits.idle_ms * 1000u, now);
	expire(s, CONN_HEAD, (uint64_t)s->limits.head_ms * 1000u, now);
	expire(s, CONN_BODY, (uint64_t)s->limits.body_ms * 1000u, now);
	expire(s, CONN_LINGER, HTTP_LINGER_MS * 1000u, now);
	resume_accept(s);
	if (now - s->slow_look_us >= 1000000u) { /* once a second is enough for these */
		s->slow_look_us = now;
		expire_slow_readers(s, now);
	}
}

static void
on_prepare(uv_prepare_t *p)
{
	struct http_server *s = p->data;
	struct list *it;

	/* Either may bring the other about: the end of an answer begins the next request. */
	while (!list_empty(&s->resume) || !list_empty(&s->dirty)) {
		while ((it = list_first(&s->resume)) != NULL)
			conn_resume(list_entry(it, struct http_conn_server, resume));
		while ((it = list_pop_front(&s->dirty)) != NULL)
			conn_flush(list_entry(it, struct http_conn_server, dirty));
	}
}

static void
maybe_closed(struct http_server *s)
{
	if (s->closing && s->n_handles == 0 && s->n_conns == 0 && s->closed) {
		void (*closed)(void *) = s->closed;

		s->closed = NULL;
		closed(s->closed_ctx);
	}
}

void
server_conn_closed(struct http_server *s)
{
	resume_accept(s);
	maybe_closed(s);
}

static void
on_listener_closed(uv_handle_t *h)
{
	struct http_listener *l = h->data;
	struct http_server *s = l->srv;

	close(l->fd);
	free(l);
	s->n_handles--;
	maybe_closed(s);
}

static void
on_own_handle_closed(uv_handle_t *h)
{
	struct http_server *s = h->data;

	s->n_handles--;
	maybe_closed(s);
}

static void
stop_listening(struct http_server *s)
{
	struct list *it;

	while ((it = list_pop_front(&s->listeners)) != NULL) {
		struct http_listener *l = list_entry(it, struct http_listener, link);

		if (l->is_unix)
			unlink(l->path);
		uv_poll_stop(&l->poll);
		uv_close((uv_handle_t *)&l->poll, on_listener_closed);
	}
}

void
http_server_drain(struct http_server *s)
{
	s->draining = true;
	list_for_each_safe(it, &s->conns[CONN_IDLE]) {
		struct http_conn_server *c = list_entry(it, struct http_conn_server, link);

		if (c->used)
			conn_destroy(c, HTTP_CLOSE_DONE);
	}
}

void
http_server_close(struct http_server *s, void (*done)(void *ctx), void *ctx)
{
	s->draining = s->closing = true;
	s->closed = done;
	s->closed_ctx = ctx;
	stop_listening(s);
	for (int st = 0; st < CONN_DEAD; st++)
		while (!list_empty(&s->conns[st]))
			conn_destroy(list_entry(list_first(&s->conns[st]), struct http_conn_server, link),
				     HTTP_CLOSE_ABORTED);
	uv_close((uv_handle_t *)&s->tick, on_own_handle_closed);
	uv_close((uv_handle_t *)&s->flush, on_own_handle_closed);
}

void
http_server_destroy(struct http_server *s)
{
	if (!s)
		return;
	must(s->n_handles == 0 && s->n_conns == 0);
	free(s);
}
