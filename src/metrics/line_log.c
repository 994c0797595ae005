/* SPDX-License-Identifier: MIT */
/*
 * The ring is of bytes and has one producer and one consumer: head is moved by the producer only, tail by the writer
 * only, both count bytes since the start, and a release store of one is seen by an acquire load on the other side
 * together with the bytes it covers.  The producer wakes the writer only when that says it sleeps.
 */
#include "metrics/line_log.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/clock.h"

#define POLL_MS 100 /* between looks at the stop flag while a pipe's reader does not read */
#define WRITE_MAX ((size_t)256 << 10) /* one write to a file */
#define NO_REOPEN UINT64_MAX

struct line_log {
	char *path;
	bool is_stdout;
	char *ring;
	size_t mask; /* size - 1 */
	pthread_t thread;
	sem_t wake;
	atomic_bool sleeping, stop;
	_Atomic uint64_t head, tail; /* bytes put in and taken out, ever */
	_Atomic uint64_t reopen_at;  /* open the path again once tail is there */
	_Atomic uint64_t dropped;
	/* the writer's own */
	int fd;
	bool regular; /* a file: write never blocks for long */
};

/* the writer ------------------------------------------------------------------------------------------------------ */
static int
open_path(const struct line_log *l)
{
	int fd = l->is_stdout
			 ? fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3)
			 : open(l->path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, 0640);

	return fd < 0 ? -errno : fd;
}

static void
reopen(struct line_log *l)
{
	int fd = l->is_stdout ? -EINVAL : open_path(l);

	if (fd < 0)
		return;
	close(l->fd);
	l->fd = fd;
}

/* True when the descriptor takes bytes; false when the log ends while its reader does not read. */
static bool
wait_writable(struct line_log *l)
{
	struct pollfd p = { .fd = l->fd, .events = POLLOUT };
	uint64_t give_up_us = 0;

	if (l->regular)
		return true;
	while (poll(&p, 1, POLL_MS) <= 0) {
		if (!atomic_load(&l->stop))
			continue;
		if (give_up_us == 0)
			give_up_us = clock_mono_us() + LINE_LOG_CLOSE_MS * 1000ull;
		else if (clock_mono_us() > give_up_us)
			return false;
	}
	return true;
}

static unsigned
count_lines(const char *p, size_t n)
{
	unsigned lines = 0;

	for (const char *end = p + n; (p = memchr(p, '\n', (size_t)(end - p))); p++)
		lines++;
	return lines;
}

/* Writes [@p, @p + @n); what the file does not take is counted as dropped.  A pipe that polls writable takes PIPE_BUF
 * bytes at least without blocking. */
static void
write_out(struct line_log *l, const char *p, size_t n)
{
	while (n > 0) {
		ssize_t put = -1;

		if (wait_writable(l))
			put = write(l->fd, p, l->regular ? n : MIN(n, (size_t)PIPE_BUF));
		else
			errno = EPIPE;
		if (put < 0 && (errno == EINTR || errno == EAGAIN))
			continue;
		if (put < 0) {
			atomic_fetch_add(&l->dropped, count_lines(p, n));
			return;
		}
		p += put;
		n -= (size_t)put;
	}
}

/* Writes what is there, up to the place where the path is to be opened again.  False when there was nothing to do. */
static bool
write_pending(struct line_log *l)
{
	uint64_t tail = atomic_load_explicit(&l->tail, memory_order_relaxed);
	uint64_t mark = atomic_load(&l->reopen_at);
	uint64_t head = atomic_load_explicit(&l->head, memory_order_acquire);
	size_t at = tail & l->mask;
	size_t n;

	if (mark == tail) {
		/* Unset first: a request that comes while the path is being opened counts again. */
		if (atomic_compare_exchange_strong(&l->reopen_at, &mark, NO_REOPEN))
			reopen(l);
		return true;
	}
	if (mark > tail)
		head = MIN(head, mark);
	n = MIN(MIN((size_t)(head - tail), l->mask + 1 - at), WRITE_MAX);
	if (n == 0)
		return false;
	write_out(l, l->ring + at, n);
	atomic_store_explicit(&l->tail, tail + n, memory_order_release);
	return true;
}

static void *
run_writer(void *arg)
{
	struct line_log *l = arg;

	for (;;) {
		/* The flag is read first: what was put in before it was set is then seen below. */
		bool ending = atomic_load(&l->stop);

		if (write_pending(l))
			continue;
		if (ending)
			return NULL;
		atomic_store(&l->sleeping, true);
		if (write_pending(l) || atomic_load(&l->stop)) {
			atomic_store(&l->sleeping, false);
			continue;
		}
		while (sem_wait(&l->wake) && errno == EINTR)
			;
	}
}

/* the producer ------------------------------------------------------------------------------------------------------- */
static void
wake_writer(struct line_log *l)
{
	if (atomic_exchange(&l->sleeping, false))
		sem_post(&l->wake);
}

static int
start_thread(struct line_log *l)
{
	sigset_t all, was;
	int err;

	/* Signals belong to the loop's thread. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &was);
	err = pthread_create(&l->thread, NULL, run_writer, l);
	pthread_sigmask(SIG_SETMASK, &was, NULL);
	return err;
}

static void
release(struct line_log *l)
{
	if (l->fd >= 0)
		close(l->fd);
	sem_destroy(&l->wake);
	free(l->ring);
	free(l->path);
	free(l);
}

struct line_log *
line_log_open(const char *path, size_t ring_bytes, struct diag *d)
{
	struct line_log *l = must_calloc(1, sizeof(*l));
	size_t size = 2 * LINE_LOG_LINE_MAX;
	int err;

	while (size < ring_bytes && size <= SIZE_MAX / 4)
		size *= 2;
	l->path = must_strdup(path);
	l->is_stdout = strcmp(path, "-") == 0;
	l->ring = must_malloc(size);
	l->mask = size - 1;
	sem_init(&l->wake, 0, 0);
	atomic_store(&l->reopen_at, NO_REOPEN);
	l->fd = open_path(l);
	l->regular = l->fd >= 0 && lseek(l->fd, 0, SEEK_CUR) >= 0;
	err = l->fd < 0 ? -l->fd : start_thread(l);
	if (err) {
		diag_where(d, "%s", path);
		diag_what(d, "the log cannot be opened: %s", strerror(err));
		release(l);
		return NULL;
	}
	return l;
}

static bool
drop(struct line_log *l)
{
	atomic_fetch_add_explicit(&l->dropped, 1, memory_order_relaxed);
	return false;
}

static void
copy_in(struct line_log *l, uint64_t at, const char *p, size_t n)
{
	size_t from = at & l->mask;
	size_t first = MIN(n, l->mask + 1 - from);

	memcpy(l->ring + from, p, first);
	memcpy(l->ring, p + first, n - first);
}

bool
line_log_write(struct line_log *l, struct slice line)
{
	uint64_t head = atomic_load_explicit(&l->head, memory_order_relaxed);
	uint64_t tail = atomic_load_explicit(&l->tail, memory_order_acquire);
	size_t n = line.n + 1;

	if (n > LINE_LOG_LINE_MAX || n > l->mask + 1 - (size_t)(head - tail))
		return drop(l);
	copy_in(l, head, line.p, line.n);
	copy_in(l, head + line.n, "\n", 1);
	/* Sequentially consistent, as the look at `sleeping` after it: one of the two sides sees the other. */
	atomic_store(&l->head, head + n);
	wake_writer(l);
	return true;
}

void
line_log_reopen(struct line_log *l)
{
	atomic_store(&l->reopen_at, atomic_load(&l->head));
	wake_writer(l);
}

uint64_t
line_log_dropped(const struct line_log *l)
{
	return atomic_load(&l->dropped);
}

void
line_log_close(struct line_log *l)
{
	if (!l)
		return;
	atomic_store(&l->stop, true);
	wake_writer(l);
	pthread_join(l->thread, NULL);
	release(l);
}
