/* SPDX-License-Identifier: MIT */
/*
 * /metrics, written a slice at a time: a registry of many tenants takes longer than a loop may be held.  A timer
 * gives one page one slice a millisecond; a reader that does not keep up gets none.
 */
#include <stdlib.h>

#include "router/gateway_impl.h"

#define SCRAPES_MAX 8 /* at a time */
#define SLICE_EVERY_MS 1
#define PENDING_MAX ((size_t)256 << 10) /* bytes that a reader may be behind and still get more */

struct scrape {
	struct list link;
	struct http_exchange *x;
	struct metrics_render at;
};

/* gauges, which are read where they live -------------------------------------------------------------------------- */

static void
set(struct gateway *g, enum metrics_id id, unsigned label, double v)
{
	metrics_set(g->metrics, id, (struct metrics_at){ .label = label }, v);
}

static void
collect_models(struct gateway *g)
{
	static const unsigned label_of[ENGINE_STATES] = {
		[ENGINE_STARTING] = METRIC_STATE_STARTING,
		[ENGINE_READY] = METRIC_STATE_READY,
		[ENGINE_LOST] = METRIC_STATE_LOST,
		[ENGINE_FAILED] = METRIC_STATE_FAILED,
	};
	double loaded = 0;

	for (unsigned i = 0; i < g->n_models; i++) {
		enum engine_state s = engine_get_state(g->models[i].engine);
		struct admission_engine_stats a;
		struct metrics_at at = { .model = i };

		admission_engine_stats(g->admission, i, &a);
		loaded += g->models[i].answered;
		metrics_set(g->metrics, METRIC_ENGINE_UP, at, s == ENGINE_READY);
		metrics_set(g->metrics, METRIC_QUEUE_DEPTH, at, a.queued);
		for (unsigned k = 0; k < METRIC_STATE_VALUES; k++) {
			at.label = k;
			metrics_set(g->metrics, METRIC_ENGINE_STATE, at, label_of[s] == k);
		}
	}
	set(g, METRIC_MODELS_LOADED, 0, loaded);
}

static double
resident_bytes(void)
{
	size_t n = 0;

	return uv_resident_set_memory(&n) ? 0 : (double)n;
}

static void
collect(struct gateway *g)
{
	const struct http_server_stats *h = http_server_stats(g->server);

	collect_models(g);
	set(g, METRIC_ADMISSION_QUEUE_DEPTH, 0, admission_queued(g->admission));
	set(g, METRIC_ADMISSION_IN_FLIGHT, 0, admission_granted(g->admission));
	set(g, METRIC_IN_FLIGHT, 0, admission_granted(g->admission));
	set(g, METRIC_HTTP_CONNECTIONS, 0, h->connections);
	set(g, METRIC_HTTP_CONNECTIONS_ACCEPTED, 0, (double)h->accepted);
	set(g, METRIC_HTTP_REQUESTS, 0, (double)h->requests);
	set(g, METRIC_HTTP_BYTES, METRIC_DIRECTION_IN, (double)h->bytes_in);
	set(g, METRIC_HTTP_BYTES, METRIC_DIRECTION_OUT, (double)h->bytes_out);
	set(g, METRIC_HTTP_BUFFERED, 0, (double)h->buffered_bytes);
	set(g, METRIC_HTTP_SLOW_ABORTED, 0, (double)h->slow_aborted);
	set(g, METRIC_HTTP_READAHEAD_ABORTED, 0, (double)h->readahead_aborted);
	set(g, METRIC_LOG_DROPPED, 0, g->has_access ? (double)line_log_dropped(g->access.lines) : 0);
	set(g, METRIC_PROCESS_CPU, 0, (double)clock_cpu_us() * 1e-6);
	set(g, METRIC_PROCESS_MEMORY, 0, resident_bytes());
	set(g, METRIC_PROCESS_START, 0, (double)g->started_wall_us * 1e-6);
	set(g, METRIC_BUILD_INFO, METRIC_VERSION_THIS, 1);
}

/* slices ---------------------------------------------------------------------------------------------------------- */

static void
scrape_end(struct gateway *g, struct scrape *s)
{
	list_del(&s->link);
	http_exchange_set_user(s->x, NULL);
	free(s);
	if (--g->n_scrapes == 0)
		uv_timer_stop(&g->slices);
}

static void
write_slice(struct gateway *g, struct scrape *s)
{
	struct slice piece;
	bool done;

	if (http_pending_bytes(s->x) > PENDING_MAX)
		return;
	buf_clear(&g->scratch);
	done = metrics_render_some(g->metrics, &s->at, &g->scratch, METRICS_RENDER_BUDGET);
	piece = buf_slice(&g->scratch);
	http_respond_data(s->x, &piece, 1);
	if (done) {
		http_respond_end(s->x);
		scrape_end(g, s);
	}
}

static void
on_slice(uv_timer_t *h)
{
	struct gateway *g = h->data;
	struct list *first = list_pop_front(&g->scrapes);

	if (!first)
		return;
	/* To the end of the line first: it may be gone afterwards. */
	list_push_back(&g->scrapes, first);
	write_slice(g, list_entry(first, struct scrape, link));
}

void
page_metrics_init(struct gateway *g)
{
	list_init(&g->scrapes);
	uv_timer_init(g->loop, &g->slices);
	g->slices.data = g;
}

void
page_metrics_left(struct gateway *g, struct http_exchange *x)
{
	list_for_each_safe(it, &g->scrapes) {
		struct scrape *s = list_entry(it, struct scrape, link);

		if (s->x == x)
			scrape_end(g, s);
	}
}

void
page_metrics(struct gateway *g, struct http_exchange *x)
{
	const struct http_header v[] = { { SLICE("content-type"), SLICE(METRICS_CONTENT_TYPE) } };
	struct http_headers h = { 1, v };
	struct scrape *s;

	if (!identify_admin(g, x)) {
		page_error(g, x, WIRE_ERR_FORBIDDEN, NULL);
		return;
	}
	if (g->n_scrapes >= SCRAPES_MAX) {
		page_error(g, x, WIRE_ERR_OVERLOADED, "This page is being read by many already.");
		return;
	}
	collect(g);
	s = must_calloc(1, sizeof(*s));
	s->x = x;
	list_push_back(&g->scrapes, &s->link);
	if (g->n_scrapes++ == 0)
		uv_timer_start(&g->slices, on_slice, 0, SLICE_EVERY_MS);
	http_respond_head(x, 200, &h, HTTP_STREAM, 0);
}
