/* SPDX-License-Identifier: MIT */
/* list, heap and map against plain arrays that do the same the slow way. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/heap.h"
#include "base/list.h"
#include "base/map.h"
#include "base/rng.h"

struct item {
	struct list link;
	struct heap_node node;
	uint64_t key;
	bool queued;
};

static void
a_list_keeps_its_order_and_survives_removal_while_walking(void **state)
{
	struct list head, other;
	struct item items[5];
	unsigned want = 0;

	(void)state;
	list_init(&head);
	list_init(&other);
	assert_null(list_first(&head));
	assert_null(list_pop_front(&head));
	for (unsigned i = 0; i < 5; i++) {
		items[i].key = i;
		list_init(&items[i].link);
		assert_false(list_linked(&items[i].link));
		list_push_back(&head, &items[i].link);
	}
	list_for_each(it, &head)
		assert_int_equal(list_entry(it, struct item, link)->key, want++);
	list_for_each_safe(it, &head) {
		struct item *i = list_entry(it, struct item, link);

		if (i->key % 2) {
			list_del(&i->link);
			list_push_front(&other, &i->link);
		}
	}
	list_del(&items[0].link);
	list_del(&items[0].link); /* harmless */
	assert_ptr_equal(list_first(&head), &items[2].link);
	assert_ptr_equal(list_pop_front(&other), &items[3].link);
	assert_ptr_equal(list_pop_front(&other), &items[1].link);
	assert_true(list_empty(&other));
	assert_false(list_linked(&items[1].link));
}

static bool
less(const struct heap_node *a, const struct heap_node *b)
{
	const struct item *x =
		(const struct item *)(const void *)((const char *)a - offsetof(struct item, node));
	const struct item *y =
		(const struct item *)(const void *)((const char *)b - offsetof(struct item, node));

	return x->key < y->key;
}

static struct item *
item_of(struct heap_node *n)
{
	return container_of(n, struct item, node);
}

static void
a_heap_gives_the_least_key_after_any_mix_of_pushes_removals_and_updates(void **state)
{
	enum {
		N = 200,
		STEPS = 20000
	};
	static struct item items[N];
	struct heap h;
	struct rng r;
	size_t len = 0;

	(void)state;
	rng_init(&r, 1);
	heap_init(&h, less);
	assert_null(heap_peek(&h));
	assert_null(heap_pop(&h));
	for (int step = 0; step < STEPS; step++) {
		struct item *it = &items[rng_below(&r, N)];

		switch (rng_below(&r, 4)) {
		case 0:
		case 1:
			if (it->queued) {
				it->key = rng_below(&r, 1000); /* either way */
				heap_update(&h, &it->node);
			} else {
				it->key = rng_below(&r, 1000);
				heap_push(&h, &it->node);
				it->queued = true;
				len++;
			}
			break;
		case 2:
			if (it->queued) {
				heap_remove(&h, &it->node);
				it->queued = false;
				len--;
			}
			break;
		default:
			if (len) {
				it = item_of(heap_pop(&h));
				for (int i = 0; i < N; i++)
					assert_true(!items[i].queued || items[i].key >= it->key);
				it->queued = false;
				len--;
			}
		}
		assert_int_equal(h.len, len);
	}
	for (uint64_t last = 0; len; len--) {
		struct item *it = item_of(heap_pop(&h));

		assert_true(it->key >= last);
		last = it->key;
	}
	assert_null(heap_peek(&h));
}

static void
a_heap_of_a_hundred_thousand_sorted_keys_needs_no_deep_stack(void **state)
{
	enum {
		N = 100000
	};
	struct item *items = calloc(N, sizeof(*items));
	struct heap h;

	(void)state;
	heap_init(&h, less);
	for (unsigned i = 0; i < N; i++) {
		items[i].key = i;
		heap_push(&h, &items[i].node);
	}
	for (unsigned i = 0; i < N; i++)
		assert_ptr_equal(heap_pop(&h), &items[i].node);
	free(items);
}

static void
a_map_holds_what_was_put_and_not_removed(void **state)
{
	enum {
		N = 500,
		STEPS = 50000
	};
	static char names[N][12];
	static int values[2];
	void *want[N] = { NULL };
	struct map m;
	struct rng r;
	size_t len = 0;

	(void)state;
	rng_init(&r, 2);
	map_init(&m, 42);
	assert_null(map_get(&m, SLICE("nothing")));
	assert_null(map_del(&m, SLICE("nothing")));
	for (int i = 0; i < N; i++)
		snprintf(names[i], sizeof(names[i]), "key%d", i);
	for (int step = 0; step < STEPS; step++) {
		size_t i = rng_below(&r, N);
		struct slice key = slice_of(names[i]);
		void *v = &values[rng_below(&r, 2)];

		if (rng_below(&r, 3)) {
			assert_ptr_equal(map_put(&m, key, v), want[i]);
			len += !want[i];
			want[i] = v;
		} else {
			assert_ptr_equal(map_del(&m, key), want[i]);
			len -= want[i] != NULL;
			want[i] = NULL;
		}
		i = rng_below(&r, N);
		assert_ptr_equal(map_get(&m, slice_of(names[i])), want[i]);
		assert_int_equal(m.len, len);
	}
	assert_true(m.cap <= 2048); /* removed slots are used again */
	map_finish(&m);
}

static void
a_reserved_map_takes_that_many_keys_without_growing(void **state)
{
	static char names[1000][12];
	struct map_slot *slots;
	struct map m;
	int value;

	(void)state;
	map_init(&m, 7);
	map_reserve(&m, 1000);
	slots = m.slots;
	for (int i = 0; i < 1000; i++) {
		snprintf(names[i], sizeof(names[i]), "%d", i);
		assert_null(map_put(&m, slice_of(names[i]), &value));
	}
	assert_ptr_equal(m.slots, slots);
	assert_null(map_put(&m, SLICE(""), &value)); /* the empty key is a key */
	assert_ptr_equal(map_get(&m, SLICE("")), &value);
	map_finish(&m);
}

/* Vectors of the reference implementation: key 00..0f, input 00..(n-1). */
static void
the_hash_is_siphash_2_4(void **state)
{
	const uint64_t seed[2] = { 0x0706050403020100u, 0x0f0e0d0c0b0a0908u };
	unsigned char in[16];

	(void)state;
	for (unsigned char i = 0; i < sizeof(in); i++)
		in[i] = i;
	assert_true(hash_sip(in, 0, seed) == 0x726fdb47dd0e0e31u);
	assert_true(hash_sip(in, 1, seed) == 0x74f839c593dc67fdu);
	assert_true(hash_sip(in, 15, seed) == 0xa129ca6149be45e5u);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_list_keeps_its_order_and_survives_removal_while_walking),
		cmocka_unit_test(a_heap_gives_the_least_key_after_any_mix_of_pushes_removals_and_updates),
		cmocka_unit_test(a_heap_of_a_hundred_thousand_sorted_keys_needs_no_deep_stack),
		cmocka_unit_test(a_map_holds_what_was_put_and_not_removed),
		cmocka_unit_test(a_reserved_map_takes_that_many_keys_without_growing),
		cmocka_unit_test(the_hash_is_siphash_2_4),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
