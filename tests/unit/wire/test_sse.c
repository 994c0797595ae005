/* SPDX-License-Identifier: MIT */
/*
 * Every stream is read whole, byte by byte, and cut in two at each place, and compared with a plain
 * reader.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "support/sse_reference.h"
#include "wire/sse.h"

struct seen {
	struct buf events;    /* as sse_reference() writes them */
	struct buf forwarded; /* the raw bytes of all events */
	unsigned with_data, done, oversize;
	bool drop_data; /* forward only what has no data */
};

static struct seen seen;
static struct sse sse;

static int
set_up(void **state)
{
	(void)state;
	memset(&seen, 0, sizeof(seen));
	buf_init(&seen.events, BUF_MAX_DEFAULT);
	buf_init(&seen.forwarded, BUF_MAX_DEFAULT);
	sse_init(&sse);
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	buf_finish(&seen.events);
	buf_finish(&seen.forwarded);
	sse_finish(&sse);
	return 0;
}

static void
start_over(void)
{
	buf_clear(&seen.events);
	buf_clear(&seen.forwarded);
	seen.with_data = seen.done = seen.oversize = 0;
	sse_finish(&sse);
	sse_init(&sse);
}

static void
on_event(void *ctx, const struct sse_event *ev)
{
	struct seen *s = ctx;

	assert_true(ev->raw.n > 0);
	if (ev->has_data) {
		buf_add_slice(&s->events, ev->name);
		buf_add_char(&s->events, '|');
		buf_add_slice(&s->events, ev->data);
		buf_add_char(&s->events, '\0');
	}
	s->with_data += ev->has_data;
	s->done += ev->is_done;
	s->oversize += ev->oversize;
	if (!(ev->has_data && s->drop_data))
		buf_add_slice(&s->forwarded, ev->raw);
}

/*
 * Pieces are copied to the heap in their exact size, so that the address sanitizer sees a read past
 * one.
 */
static void
feed(struct slice piece)
{
	char *copy = malloc(piece.n ? piece.n : 1);

	memcpy(copy, piece.p, piece.n);
	sse_feed(&sse, (struct slice){ copy, piece.n }, on_event, &seen);
	free(copy);
}

static void
feed_in_steps(struct slice in, size_t first, size_t step)
{
	start_over();
	feed((struct slice){ in.p, first });
	for (size_t at = first; at < in.n; at += step)
		feed((struct slice){ in.p + at, MIN(step, in.n - at) });
}

static void
assert_same(struct slice a, struct slice b)
{
	assert_int_equal(a.n, b.n);
	assert_memory_equal(a.p ? a.p : "", b.p ? b.p : "", a.n);
}

/* Nothing is lost or changed, and the events are those of the plain reader, in every chunking. */
static void
check(struct slice in)
{
	struct buf want;

	buf_init(&want, BUF_MAX_DEFAULT);
	sse_reference(in, &want);
	for (size_t first = 0; first <= in.n; first++) {
		feed_in_steps(in, first, first ? in.n : 1);
		assert_same(buf_slice(&seen.events), buf_slice(&want));
		buf_add_slice(&seen.forwarded, sse_rest(&sse));
		assert_same(buf_slice(&seen.forwarded), in);
	}
	buf_finish(&want);
	feed_in_steps(in, in.n, 1);
}

static void
check_str(const char *s)
{
	check(slice_of(s));
}

static void
events_end_with_an_empty_line_of_any_kind(void **state)
{
	(void)state;
	check_str("data: a\n\ndata: b\n\n");
	assert_int_equal(seen.with_data, 2);
	assert_same(buf_slice(&seen.events), ((struct slice){ "|a\0|b\0", 6 }));
	check_str("data: a\r\n\r\ndata: b\r\n\r\n");
	assert_int_equal(seen.with_data, 2);
	check_str("data: a\r\rdata: b\r\r");
	assert_int_equal(seen.with_data, 2);
	check_str("data: a\r\n\ndata: b\n\r\ndata: c\r\r\ndata: d\n\r");
	assert_int_equal(seen.with_data, 4);
}

static void
the_end_is_done_and_nothing_else_is(void **state)
{
	(void)state;
	check_str("data: {\"a\":1}\n\ndata: [DONE]\n\n");
	assert_int_equal(seen.done, 1);
	check_str("data:[DONE]\r\n\r\n");
	assert_int_equal(seen.done, 1);
	check_str("data: \"[DONE]\"\n\n: [DONE]\n\ndata: [DONE] x\n\n");
	assert_int_equal(seen.done, 0);
}

static void
comments_and_other_fields_are_no_data_but_are_forwarded(void **state)
{
	(void)state;
	check_str(": keep-alive\n\n:\n\nid: 7\nretry: 10\n\nfoo\n\ndatax: 1\n\n");
	assert_int_equal(seen.with_data, 0);
	check_str(": ping\ndata: a\n: pong\n\n");
	assert_int_equal(seen.with_data, 1);
	assert_same(buf_slice(&seen.events), ((struct slice){ "|a\0", 3 }));
}

static void
several_data_lines_are_joined(void **state)
{
	(void)state;
	check_str("data: a\ndata: b\r\ndata:c\n\n");
	assert_same(buf_slice(&seen.events), ((struct slice){ "|a\nb\nc\0", 7 }));
	check_str("data\ndata:\ndata: \ndata:  x\n\n");
	assert_same(buf_slice(&seen.events), ((struct slice){ "|\n\n\n x\0", 7 }));
	check_str("data: one\ndata: two\n\ndata: three\ndata: four\n\ndata: five\n\n");
	assert_int_equal(seen.with_data, 3);
}

static void
an_event_has_the_name_that_its_event_line_gives(void **state)
{
	(void)state;
	check_str("event: error\ndata: {}\n\ndata: x\n\nevent:message_stop\r\ndata: y\r\n\r\n");
	assert_same(buf_slice(&seen.events), ((struct slice){ "error|{}\0|x\0message_stop|y\0", 27 }));
}

static void
a_byte_order_mark_counts_only_at_the_beginning(void **state)
{
	(void)state;
	check_str("\xef\xbb\xbf"
		  "data: a\n\n");
	assert_int_equal(seen.with_data, 1);
	check_str("data: a\n\n\xef\xbb\xbf"
		  "data: b\n\n");
	assert_int_equal(seen.with_data, 1);
}

static void
an_unfinished_event_is_no_event_but_its_bytes_are_kept(void **state)
{
	(void)state;
	check_str("data: a\n\ndata: b\n");
	assert_int_equal(seen.with_data, 1);
	assert_same(sse_rest(&sse), SLICE("data: b\n"));
	check_str("data: a");
	assert_same(sse_rest(&sse), SLICE("data: a"));
	check_str("");
	check_str("\n\n\n");
	check_str("\r\n\r\n\r");
	assert_int_equal(sse_rest(&sse).n, 0);
}

static void
bytes_of_every_value_pass(void **state)
{
	char all[6 + 254 + 2] = "data: ";
	size_t n = 6;

	(void)state;
	for (int b = 0; b < 256; b++)
		if (b != '\n' && b != '\r')
			all[n++] = (char)b;
	all[n++] = '\n', all[n++] = '\n';
	check((struct slice){ all, n });
	assert_int_equal(seen.with_data, 1);
	assert_int_equal(seen.events.n, 1 + 254 + 1);
}

static void
a_dropped_event_leaves_no_trace_between_its_neighbours(void **state)
{
	struct slice in = SLICE(": a\r\n\r\ndata: {\"usage\":1}\r\n\r\n: b\r\n\r\n");

	(void)state;
	seen.drop_data = true;
	feed_in_steps(in, in.n, 1);
	assert_same(buf_slice(&seen.forwarded), SLICE(": a\r\n\r\n: b\r\n\r\n"));
}

/* Feeds an event of @n data bytes in pieces of @step. */
static void
feed_big_event(size_t n, size_t step)
{
	static char piece[8192];

	memset(piece, 'x', sizeof(piece));
	feed(SLICE("data: "));
	for (size_t at = 0; at < n; at += step)
		feed((struct slice){ piece, MIN(step, n - at) });
	feed(SLICE("\n"));
	if (n > SSE_EVENT_MAX)
		feed(SLICE("data: a later line of the same event\n"));
	feed(SLICE("\ndata: after\n\n"));
}

static void
an_event_over_the_bound_is_passed_on_unread_and_the_next_is_read(void **state)
{
	(void)state;
	feed_big_event(SSE_EVENT_MAX * 3, 8000);
	assert_true(seen.oversize > 1);
	assert_int_equal(seen.with_data, 1);
	assert_same(buf_slice(&seen.events), ((struct slice){ "|after\0", 7 }));
	assert_int_equal(seen.forwarded.n, 6 + SSE_EVENT_MAX * 3 + 37 + 2 + 13);
	assert_true(sse.carry.cap <= SSE_EVENT_MAX);
}

static void
an_event_of_exactly_the_bound_is_read(void **state)
{
	(void)state;
	feed_big_event(SSE_EVENT_MAX - 8, 8192);
	assert_int_equal(seen.oversize, 0);
	assert_int_equal(seen.with_data, 2);
	start_over();
	feed_big_event(SSE_EVENT_MAX - 7, 8192); /* only its last line end is too much */
	assert_int_equal(seen.oversize, 2);
	assert_int_equal(seen.with_data, 1);
	assert_int_equal(seen.forwarded.n, 6 + SSE_EVENT_MAX - 7 + 2 + 13);
}

static void
a_split_event_costs_memory_once_and_not_per_event(void **state)
{
	char *carry;

	(void)state;
	feed(SLICE("data: first event with some length to it"));
	feed(SLICE("\n\n"));
	carry = sse.carry.p;
	for (int i = 0; i < 1000; i++) {
		feed(SLICE("data: another split"));
		feed(SLICE(" event\n\n"));
	}
	assert_ptr_equal(sse.carry.p, carry);
	assert_int_equal(seen.with_data, 1001);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(events_end_with_an_empty_line_of_any_kind),
		TEST(the_end_is_done_and_nothing_else_is),
		TEST(comments_and_other_fields_are_no_data_but_are_forwarded),
		TEST(several_data_lines_are_joined),
		TEST(an_event_has_the_name_that_its_event_line_gives),
		TEST(a_byte_order_mark_counts_only_at_the_beginning),
		TEST(an_unfinished_event_is_no_event_but_its_bytes_are_kept),
		TEST(bytes_of_every_value_pass),
		TEST(a_dropped_event_leaves_no_trace_between_its_neighbours),
		TEST(an_event_over_the_bound_is_passed_on_unread_and_the_next_is_read),
		TEST(an_event_of_exactly_the_bound_is_read),
		TEST(a_split_event_costs_memory_once_and_not_per_event),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
