/* SPDX-License-Identifier: MIT */
/*
 * Whatever an engine answers, in whatever pieces: an answer that the client calls whole is the one that a strict reader
 * finds, byte for byte; and what the strict reader finds whole, the client does.  The first byte chooses the pieces, the
 * second whether it was HEAD and whether the engine closes.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "../support/pieces.h"
#include "http/client_impl.h"
#include "http_reference.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct run {
	struct buf seen, body;
	unsigned heads;
	bool ended, failed, closed;
};

static void
add_field(struct buf *b, struct slice name, struct slice value)
{
	buf_add_slice(b, name);
	buf_add_char(b, ':');
	buf_add_slice(b, value);
	buf_add_char(b, '\n');
}

static void
on_head(void *ctx, unsigned status, const struct http_headers *h)
{
	struct run *r = ctx;

	must(r->heads++ == 0 && !r->ended && !r->failed);
	buf_addf(&r->seen, "%u\n", status);
	for (unsigned i = 0; i < h->n; i++)
		add_field(&r->seen, h->v[i].name, h->v[i].value);
}

static void
on_data(void *ctx, struct slice piece)
{
	struct run *r = ctx;

	must(r->heads == 1 && !r->ended && !r->failed && piece.n > 0);
	buf_add_slice(&r->body, piece);
}

static void
on_end(void *ctx)
{
	struct run *r = ctx;

	must(r->heads == 1 && !r->ended && !r->failed);
	r->ended = true;
}

static void
on_error(void *ctx, enum http_call_error err, const char *detail)
{
	struct run *r = ctx;

	must(!r->ended && !r->failed && detail);
	must(err == HTTP_CALL_CLOSED || err == HTTP_CALL_BAD_RESPONSE);
	r->failed = true;
}

static const struct http_call_ops ops = {
	.on_head = on_head, .on_data = on_data, .on_end = on_end, .on_error = on_error
};

static void
on_pool_closed(void *ctx)
{
	((struct run *)ctx)->closed = true;
}

/* Fails when what was seen is not what the strict reader sees. */
static void
compare(const struct run *r, struct slice in, bool to_head, bool ends)
{
	static struct reference_message want;
	enum reference_verdict v;
	struct buf expected;

	/* llhttp takes CR CR for the end of a status line, which no engine writes and no client of ours hears of. */
	if (memmem(in.p, in.n, "\r\r", 2))
		return;
	buf_init(&want.body, BUF_MAX_DEFAULT);
	buf_init(&expected, BUF_MAX_DEFAULT);
	v = reference_response(&in, &want, to_head);
	if (r->heads) {
		must(v <= REFERENCE_BODY_BAD);
		buf_addf(&expected, "%d\n",
			 (want.second.p[0] - '0') * 100 + (want.second.p[1] - '0') * 10 +
				 want.second.p[2] - '0');
		for (unsigned i = 0; i < want.n; i++)
			add_field(&expected, want.names[i], want.values[i]);
		must(slice_eq(buf_slice(&expected), buf_slice(&r->seen)));
	}
	if (r->ended) {
		must(v == REFERENCE_WHOLE && (!want.until_close || ends));
		must(slice_eq(buf_slice(&want.body), buf_slice(&r->body)));
	}
	buf_finish(&want.body);
	buf_finish(&expected);
}

/* One listening socket for all runs, with no name in the file system. */
static int
listener(struct http_endpoint *ep)
{
	static int fd = -1;
	static char path[100];

	if (fd < 0) {
		struct sockaddr_un a = { .sun_family = AF_UNIX };

		snprintf(path, sizeof(path), "/tmp/kw-fuzz-%ld.sock", (long)getpid());
		memcpy(a.sun_path, path, strlen(path));
		unlink(path);
		fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
		must(bind(fd, (struct sockaddr *)&a, sizeof(a)) == 0 && listen(fd, 8) == 0);
	}
	*ep = (struct http_endpoint){ .is_unix = true };
	memcpy(ep->host, path, strlen(path));
	return fd;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uv_loop_t loop;
	struct http_client_limits limits = HTTP_CLIENT_LIMITS_DEFAULT;
	struct http_call_request rq = { .target = SLICE("/") };
	struct http_call call = { 0 };
	struct run r = { .heads = 0 };
	struct http_endpoint ep;
	struct http_pool *p;
	struct slice in, rest;
	bool to_head, ends;
	struct rng rng;
	int l, fd;

	if (size < 2 || size > 8192)
		return 0;
	in = rest = (struct slice){ (const char *)data + 2, size - 2 };
	to_head = data[1] & 1;
	ends = data[1] & 2;
	l = listener(&ep);
	buf_init(&r.seen, BUF_MAX_DEFAULT);
	buf_init(&r.body, BUF_MAX_DEFAULT);
	must(uv_loop_init(&loop) == 0);
	p = http_pool_create(&loop, &ep, &limits);
	rq.method = to_head ? SLICE("HEAD") : SLICE("GET");
	http_call_start(&call, p, &rq, &ops, &r);
	must((fd = accept4(l, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0);
	uv_run(&loop, UV_RUN_NOWAIT);
	rng_init(&rng, data[0]);
	while (rest.n && !r.ended && !r.failed) {
		struct slice piece = pieces_take(&rest, &rng, data[0]);

		(void)!send(fd, piece.p, piece.n, MSG_NOSIGNAL);
		pieces_free(piece);
		uv_run(&loop, UV_RUN_NOWAIT);
	}
	if (ends) { /* an end, and no reset: the request is read first */
		char request[4096];

		while (recv(fd, request, sizeof(request), 0) > 0)
			;
		shutdown(fd, SHUT_WR);
		for (unsigned i = 0; i < 3; i++)
			uv_run(&loop, UV_RUN_NOWAIT);
		must(r.ended || r.failed);
	}
	compare(&r, in, to_head, ends);
	close(fd);
	http_pool_close(p, on_pool_closed, &r);
	while (!r.closed)
		uv_run(&loop, UV_RUN_NOWAIT);
	must(r.ended || r.failed);
	http_pool_destroy(p);
	must(uv_loop_close(&loop) == 0);
	buf_finish(&r.seen);
	buf_finish(&r.body);
	return 0;
}
