/* SPDX-License-Identifier: MIT */
/*
 * What stands between an engine and a client may not allocate per event: counted by our own malloc
 * in front of libc's.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "wire/chunk_facts.h"
#include "wire/request_edit.h"
#include "wire/sse.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define COUNTED 0 /* the sanitizer has put its own allocator there */
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) ||                         \
	__has_feature(memory_sanitizer)
#define COUNTED 0
#endif
#endif
#if !defined(COUNTED) && defined(__GLIBC__)
#define COUNTED 1
#elif !defined(COUNTED)
#define COUNTED 0
#endif

static unsigned long allocations;

#if COUNTED
void *__libc_malloc(size_t n);
void *__libc_realloc(void *p, size_t n);
void *__libc_calloc(size_t n, size_t size);

void *
malloc(size_t n)
{
	allocations++;
	return __libc_malloc(n);
}

void *
realloc(void *p, size_t n)
{
	allocations++;
	return __libc_realloc(p, n);
}

void *
calloc(size_t n, size_t size)
{
	allocations++;
	return __libc_calloc(n, size);
}
#endif

struct relay {
	struct chunk_facts facts;
	unsigned events, tokens;
};

static void
on_event(void *ctx, const struct sse_event *ev)
{
	struct relay *r = ctx;

	r->events++;
	if (!ev->has_data || ev->is_done)
		return;
	chunk_facts_read(&r->facts, ev->data);
	r->tokens += r->facts.has_token;
}

static void
the_counter_counts(void **state)
{
	unsigned long before = allocations;
	struct buf b;

	(void)state;
	if (!COUNTED)
		skip();
	buf_init(&b, 100);
	buf_add_str(&b, "x");
	buf_finish(&b);
	assert_true(allocations > before);
}

static void
events_split_anywhere_cost_no_allocation_once_the_longest_was_carried(void **state)
{
	const struct slice event =
		SLICE("data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hi\"}}]}\r\n\r\n");
	struct relay r = { .events = 0 };
	unsigned long before = 0;
	struct sse sse;

	(void)state;
	if (!COUNTED)
		skip();
	sse_init(&sse);
	for (unsigned i = 0; i < 1000; i++) {
		size_t cut = event.n - 1 - i % event.n;

		if (i == 2) /* the second was cut before its last line end: the carry is as large as it gets */
			before = allocations;
		sse_feed(&sse, (struct slice){ event.p, cut }, on_event, &r);
		sse_feed(&sse, (struct slice){ event.p + cut, event.n - cut }, on_event, &r);
	}
	assert_int_equal(allocations, before);
	assert_int_equal(r.tokens, 1000);
	sse_finish(&sse);
}

static void
reading_and_editing_a_request_costs_no_allocation(void **state)
{
	const struct slice body = SLICE(
		"{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}],\"stream\":true}");
	static struct request_facts f;
	static struct request_edit e;
	static struct answer_facts a;
	struct slice parts[2 * REQUEST_EDITS_MAX + 1];
	unsigned long before = allocations;

	(void)state;
	if (!COUNTED)
		skip();
	request_facts_init(&f);
	assert_true(request_facts_feed(&f, body));
	assert_true(request_facts_end(&f));
	request_edit_init(&e);
	assert_true(request_edit_include_usage(&e, &f));
	assert_true(request_edit_apply(&e, body, parts) > 1);
	answer_facts_init(&a);
	answer_facts_feed(&a, SLICE("{\"choices\":[{\"message\":{\"content\":\"x\"}}]}"));
	answer_facts_end(&a);
	assert_true(a.facts.has_token);
	assert_int_equal(allocations, before);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_counter_counts),
		cmocka_unit_test(events_split_anywhere_cost_no_allocation_once_the_longest_was_carried),
		cmocka_unit_test(reading_and_editing_a_request_costs_no_allocation),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
