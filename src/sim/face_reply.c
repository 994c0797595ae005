/* SPDX-License-Identifier: MIT */
#include <inttypes.h>
#include <stdio.h>
#include "sim/face_impl.h"

static bool
on(const struct sim_reply *r, enum sim_fault_id id)
{
	return sim_fault_on(r->faults, id);
}

static void
add_field(struct http_headers *h, struct http_header *v, struct slice name, struct slice value)
{
	v[h->n++] = (struct http_header){ name, value };
}

/* A head of our own making, for framings that the HTTP server would not write. */
static void
raw_head(struct sim_reply *r, unsigned status, const char *type, const struct http_header *extra,
	 int64_t length)
{
	struct buf head;

	buf_init(&head, 8192);
	buf_addf(&head, "HTTP/1.1 %u %s\r\ncontent-type: %s\r\n", status,
		 status == 200 ? "OK" : sim_status_phrase(status), type);
	if (r->who->server)
		buf_addf(&head, "server: %s\r\n", r->who->server);
	if (extra)
		buf_addf(&head, SLICE_FMT ": " SLICE_FMT "\r\n", SLICE_ARG(extra->name),
			 SLICE_ARG(extra->value));
	if (length >= 0)
		buf_addf(&head, "content-length: %" PRId64 "\r\n\r\n", length);
	else
		buf_addf(&head, "%stransfer-encoding: chunked\r\n\r\n",
			 on(r, SIM_FAULT_TRAILERS) ? "trailer: x-sim-trailer\r\n" : "");
	http_respond_raw(r->x, buf_slice(&head));
	buf_finish(&head);
}

static void
send_framed(struct sim_reply *r, struct slice data)
{
	char size[24];

	if (!r->raw) {
		http_respond_data(r->x, &data, 1);
		return;
	}
	if (r->chunked)
		http_respond_raw(r->x, (struct slice){ size, (size_t)snprintf(size, sizeof(size),
									      "%zx\r\n", data.n) });
	http_respond_raw(r->x, data);
	if (r->chunked)
		http_respond_raw(r->x, SLICE("\r\n"));
}

/* Up to the middle of the first character of several bytes; returns the rest. */
static struct slice
send_first_part(struct sim_reply *r, struct slice data)
{
	size_t n = 0;

	while (n < data.n && (unsigned char)data.p[n] < 0xC0)
		n++;
	if (n + 1 >= data.n)
		return data;
	send_framed(r, (struct slice){ data.p, n + 1 });
	http_flush(r->x);
	return (struct slice){ data.p + n + 1, data.n - n - 1 };
}

void
reply_data(struct sim_reply *r, struct slice data)
{
	if (!r->x || r->ended || data.n == 0)
		return;
	if (!on(r, SIM_FAULT_ONE_BYTE)) {
		if (r->who->unkind)
			data = send_first_part(r, data);
		send_framed(r, data);
		return;
	}
	for (size_t i = 0; i < data.n; i++) {
		send_framed(r, (struct slice){ data.p + i, 1 });
		http_flush(r->x);
	}
}

void
reply_whole(struct sim_reply *r, unsigned status, const char *type, const struct http_header *extra,
	    struct slice body)
{
	struct http_header v[3];
	struct http_headers headers = { 0, v };

	if (!r->x || r->started)
		return;
	r->started = true;
	r->raw = on(r, SIM_FAULT_CLOSE_EARLY) || on(r, SIM_FAULT_WRONG_LENGTH);
	if (r->raw) {
		int64_t more =
			on(r, SIM_FAULT_WRONG_LENGTH) ? r->faults->f[SIM_FAULT_WRONG_LENGTH].value : 0;

		raw_head(r, status, type, extra, (int64_t)body.n + more);
	} else {
		if (r->who->server)
			add_field(&headers, v, SLICE("server"), slice_of(r->who->server));
		add_field(&headers, v, SLICE("content-type"), slice_of(type));
		if (extra)
			add_field(&headers, v, extra->name, extra->value);
		http_respond_head(r->x, status, &headers, HTTP_LENGTH, body.n);
	}
	reply_data(r, body);
	r->ended = true;
	http_respond_end(r->x);
}

void
reply_begin_stream(struct sim_reply *r, const char *type)
{
	struct http_header v[2];
	struct http_headers headers = { 0, v };

	if (!r->x || r->started)
		return;
	r->started = r->chunked = true;
	r->raw = on(r, SIM_FAULT_CLOSE_EARLY) || on(r, SIM_FAULT_TRAILERS);
	if (r->raw) {
		raw_head(r, 200, type, NULL, -1);
		return;
	}
	if (r->who->server)
		add_field(&headers, v, SLICE("server"), slice_of(r->who->server));
	add_field(&headers, v, SLICE("content-type"), slice_of(type));
	http_respond_head(r->x, 200, &headers, HTTP_STREAM, 0);
}

void
reply_end(struct sim_reply *r)
{
	if (!r->x || r->ended)
		return;
	r->ended = true;
	if (!r->started) {
		http_abort(r->x); /* an end before there was anything: all that can be done is to close */
		return;
	}
	if (r->raw)
		http_respond_raw(r->x, on(r, SIM_FAULT_TRAILERS)
					       ? SLICE("0\r\nx-sim-trailer: the end\r\n\r\n")
					       : SLICE("0\r\n\r\n"));
	http_respond_end(r->x);
}

void
reply_error(struct sim_reply *r, const struct sim_error *e, int64_t retry_after_s)
{
	struct http_header retry = { .name = SLICE("retry-after") };
	char seconds[24];
	struct buf body;

	buf_init(&body, 64 << 10);
	r->who->error(&body, e);
	retry.value = (struct slice){ seconds, (size_t)snprintf(seconds, sizeof(seconds),
								"%" PRId64, retry_after_s) };
	reply_whole(r, e->status, r->who->error_type, retry_after_s >= 0 ? &retry : NULL,
		    buf_slice(&body));
	buf_finish(&body);
}
