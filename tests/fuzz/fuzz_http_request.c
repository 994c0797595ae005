/* SPDX-License-Identifier: MIT */
/*
 * Whatever a client sends, in whatever pieces: each request that the server's user sees is the one that a strict reader
 * finds at that place of the stream, byte for byte, and there is none beyond.  The first byte chooses the pieces, and its
 * highest bit a user that answers from the head alone.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../support/pieces.h"
#include "http/server_impl.h"
#include "http_reference.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct run {
	struct slice in; /* what the strict reader has not read yet */
	struct reference_message want;
	enum reference_verdict verdict;
	struct buf body;
	bool open, closed, early;
};

static bool
is_target(const struct http_exchange *x, struct slice target)
{
	struct slice path = http_path(x), query = http_query(x);
	struct buf back;
	bool same;

	buf_init(&back, BUF_MAX_DEFAULT);
	buf_add_slice(&back, path);
	if (memchr(target.p, '?', target.n)) {
		buf_add_char(&back, '?');
		buf_add_slice(&back, query);
	} else {
		must(query.n == 0);
	}
	/* The authority of an absolute target is dropped, and so its end must be the same. */
	same = slice_eq(buf_slice(&back), target) ||
	       ((slice_starts(target, SLICE("http://")) || slice_starts(target, SLICE("https://"))) &&
		((back.n <= target.n && memcmp(target.p + target.n - back.n, back.p, back.n) == 0) ||
		 path.n == 1));
	buf_finish(&back);
	return same;
}

static void
on_head(void *ctx, struct http_exchange *x)
{
	struct run *r = ctx;
	const struct http_headers *h = http_request_headers(x);

	must(!r->open);
	r->open = true;
	buf_clear(&r->body);
	r->verdict = reference_request(&r->in, &r->want);
	must(r->verdict <= REFERENCE_BODY_BAD);
	must(slice_eq(http_method(x), r->want.first));
	must(is_target(x, r->want.second));
	must(h->n == r->want.n);
	for (unsigned i = 0; i < h->n; i++) {
		must(slice_eq(h->v[i].name, r->want.names[i]));
		must(slice_eq(h->v[i].value, r->want.values[i]));
	}
	if (r->early)
		http_respond(x, 401, NULL, SLICE("no"));
	else
		http_accept_body(x);
}

static void
on_body(void *ctx, struct http_exchange *x, struct slice piece)
{
	struct run *r = ctx;

	(void)x;
	must(r->open);
	buf_add_slice(&r->body, piece);
}

static void
on_body_end(void *ctx, struct http_exchange *x)
{
	struct run *r = ctx;

	must(r->open && r->verdict == REFERENCE_WHOLE);
	must(slice_eq(buf_slice(&r->body), buf_slice(&r->want.body)));
	http_respond(x, 200, NULL, SLICE("ok"));
}

static void
on_close(void *ctx, struct http_exchange *x, enum http_close why)
{
	struct run *r = ctx;

	(void)x, (void)why;
	must(r->open);
	r->open = false;
}

static unsigned
render_refusal(void *ctx, const struct http_refused *why, struct buf *body)
{
	(void)ctx;
	buf_add_str(body, why->detail);
	return why->status;
}

static const struct http_server_ops ops = { on_head, on_body, on_body_end, on_close, render_refusal };

static void
on_server_closed(void *ctx)
{
	((struct run *)ctx)->closed = true;
}

static void
feed(uv_loop_t *loop, int fd, struct slice rest, uint8_t seed)
{
	struct rng rng;

	rng_init(&rng, seed);
	while (rest.n) {
		struct slice piece = pieces_take(&rest, &rng, seed);
		ssize_t n = send(fd, piece.p, piece.n, MSG_NOSIGNAL);
		bool gone = n != (ssize_t)piece.n; /* refused already */

		pieces_free(piece);
		uv_run(loop, UV_RUN_NOWAIT);
		if (gone)
			break;
	}
	for (unsigned i = 0; i < 8; i++)
		uv_run(loop, UV_RUN_NOWAIT);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uv_loop_t loop;
	struct http_limits limits = HTTP_LIMITS_DEFAULT;
	struct http_listener listener = { .is_unix = true };
	struct http_server *s;
	static struct run r;
	int fds[2];

	if (size < 1 || size > 8192)
		return 0;
	memset(&r, 0, sizeof(r));
	r.in = (struct slice){ (const char *)data + 1, size - 1 };
	r.early = data[0] & 0x80;
	buf_init(&r.body, BUF_MAX_DEFAULT);
	buf_init(&r.want.body, BUF_MAX_DEFAULT);
	must(uv_loop_init(&loop) == 0);
	s = http_server_create(&loop, &limits, &ops, &r);
	must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) == 0);
	listener.srv = s;
	conn_create(&listener, fds[1]);
	feed(&loop, fds[0], r.in, data[0]);
	close(fds[0]);
	http_server_close(s, on_server_closed, &r);
	while (!r.closed)
		uv_run(&loop, UV_RUN_NOWAIT);
	must(!r.open);
	http_server_destroy(s);
	must(uv_loop_close(&loop) == 0);
	buf_finish(&r.body);
	buf_finish(&r.want.body);
	return 0;
}
