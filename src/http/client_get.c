/* SPDX-License-Identifier: MIT */
/* A GET that collects its whole answer: health probes and metric scrapes. */
#include <stdlib.h>

#include "http/client_impl.h"

struct http_get {
	struct http_call call;
	uv_timer_t timer;
	http_get_fn done;
	void *ctx;
	struct buf body;
	unsigned status;
};

static void
on_timer_closed(uv_handle_t *h)
{
	struct http_get *g = h->data;

	buf_finish(&g->body);
	free(g);
}

static void
finish(struct http_get *g, unsigned status, const char *err)
{
	http_call_cancel(&g->call);
	if (g->done)
		g->done(g->ctx, status, buf_slice(&g->body), err);
	uv_timer_stop(&g->timer);
	uv_close((uv_handle_t *)&g->timer, on_timer_closed);
}

static void
on_head(void *ctx, unsigned status, const struct http_headers *headers)
{
	struct http_get *g = ctx;

	(void)headers;
	g->status = status;
}

static void
on_data(void *ctx, struct slice piece)
{
	struct http_get *g = ctx;

	buf_add_slice(&g->body, piece);
	if (g->body.overflow)
		finish(g, 0, "the answer is too long");
}

static void
on_end(void *ctx)
{
	struct http_get *g = ctx;

	finish(g, g->status, NULL);
}

static void
on_error(void *ctx, enum http_call_error err, const char *detail)
{
	(void)err;
	finish(ctx, 0, detail);
}

static const struct http_call_ops get_ops = {
	.on_head = on_head, .on_data = on_data, .on_end = on_end, .on_error = on_error
};

static void
on_timeout(uv_timer_t *t)
{
	finish(t->data, 0, "no answer in time");
}

struct http_get *
http_get_start(struct http_pool *p, const char *target, const struct http_headers *headers,
	       size_t max_bytes, uint32_t timeout_ms, http_get_fn done, void *ctx)
{
	struct http_get *g = must_calloc(1, sizeof(*g));
	struct http_call_request rq = { .method = SLICE("GET"), .target = slice_of(target) };

	if (headers)
		rq.headers = *headers;
	g->done = done;
	g->ctx = ctx;
	buf_init(&g->body, max_bytes);
	uv_timer_init(p->loop, &g->timer);
	g->timer.data = g;
	uv_timer_start(&g->timer, on_timeout, timeout_ms, 0);
	http_call_start(&g->call, p, &rq, &get_ops, g);
	return g;
}

void
http_get_cancel(struct http_get *g)
{
	if (!g)
		return;
	g->done = NULL;
	finish(g, 0, NULL);
}
