/* SPDX-License-Identifier: MIT */
/*
 * sse - finds the events of a server-sent event stream, whatever pieces it arrives in.
 *
 * Lines end in LF, CR LF or CR; an event ends with an empty line.  A relay must be able to drop a
 * whole event, so it forwards whole events only: sse_feed() tells how far the bytes belong to
 * complete events, and what is left over is carried until the rest comes.  An event longer than
 * SSE_EVENT_MAX is passed on piece by piece and not looked into.
 *
 * No allocation per event: the carry buffer grows once to what the longest split event needed, and
 * never over its bound.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "base/str.h"

#define SSE_EVENT_MAX (1u << 20) /* bytes of one event that is looked into */

struct sse_event {
	struct slice raw; /* the event's bytes with its end, to forward or to drop; valid during the callback */
	struct slice data; /* content of its data lines; several lines are joined by LF */
	struct slice name; /* value of its event line; empty without one */
	bool has_data;	   /* else comments, or fields without data */
	bool is_done;	   /* data is [DONE] */
	bool oversize;	   /* a part of an event over the bound: forward it, data is empty */
};

struct sse {
	struct buf carry;  /* an event that has begun and not ended */
	struct buf joined; /* data of an event with several data lines */
	bool last_cr;	   /* the byte before was a CR: a LF now belongs to it */
	bool line_empty;   /* nothing stands in the current line yet */
	bool oversize;	   /* inside an event over the bound */
	bool any;	   /* the event has bytes */
	bool begun;	   /* an event has been reported: a byte order mark is none any more */
};

typedef void (*sse_event_fn)(void *ctx, const struct sse_event *ev);

void sse_init(struct sse *s);
void sse_finish(struct sse *s);
/* Feeds a piece; @fn is called for each event that ends in it. */
void sse_feed(struct sse *s, struct slice piece, sse_event_fn fn, void *ctx);
/*
 * Bytes of an event that has not ended; at the end of a stream they are not an event (and are
 * forwarded as they are).
 */
struct slice sse_rest(const struct sse *s);
