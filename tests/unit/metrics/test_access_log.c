/* SPDX-License-Identifier: MIT */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>
#include <yyjson.h>
#include "metrics/access_log.h"

struct fixture {
	char dir[32], path[64];
};

static int
set_up(void **state)
{
	struct fixture *f = must_calloc(1, sizeof(*f));

	snprintf(f->dir, sizeof(f->dir), "/tmp/kw-log-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	snprintf(f->path, sizeof(f->path), "%s/log", f->dir);
	*state = f;
	return 0;
}

static int
tear_down(void **state)
{
	struct fixture *f = *state;

	unlink(f->path);
	rmdir(f->dir);
	free(f);
	return 0;
}

static void
read_file(const char *path, struct buf *b)
{
	char piece[4096];
	ssize_t n;
	int fd = open(path, O_RDONLY);

	assert_true(fd >= 0);
	buf_clear(b);
	while ((n = read(fd, piece, sizeof(piece))) > 0)
		buf_add(b, piece, (size_t)n);
	close(fd);
}

static void
every_line_is_in_the_file_after_close(void **state)
{
	struct fixture *f = *state;
	struct line_log *l = line_log_open(f->path, LINE_LOG_RING_DEFAULT, NULL);
	struct buf text, line;
	const char *p;

	assert_non_null(l);
	buf_init(&text, 64 << 20);
	buf_init(&line, 1024);
	for (unsigned i = 0; i < 20000; i++) {
		buf_clear(&line);
		buf_addf(&line, "line %u %.*s", i, (int)(i % 97),
			 "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789");
		while (!line_log_write(l, buf_slice(&line)))
			usleep(100);
	}
	line_log_close(l);
	read_file(f->path, &text);
	p = buf_cstr(&text);
	for (unsigned i = 0; i < 20000; i++, p = strchr(p, '\n') + 1) {
		unsigned got;

		assert_int_equal(sscanf(p, "line %u ", &got), 1);
		assert_int_equal(got, i);
	}
	assert_int_equal(*p, '\0');
	buf_finish(&text);
	buf_finish(&line);
}

/* A pipe that nobody reads: the producer goes on, the lost lines are counted, the rest arrives whole. */
static void
a_full_ring_drops_and_counts(void **state)
{
	static const char line[100] = "1234567890";
	struct buf text;
	char piece[65536];
	uint64_t dropped, lines = 0;
	unsigned kept = 0;
	int pipe_fds[2], saved;
	struct line_log *l;
	ssize_t n;

	(void)state;
	assert_int_equal(pipe(pipe_fds), 0);
	fflush(stdout);
	saved = dup(STDOUT_FILENO);
	dup2(pipe_fds[1], STDOUT_FILENO);
	l = line_log_open("-", 1, NULL);
	dup2(saved, STDOUT_FILENO);
	close(saved);
	close(pipe_fds[1]);
	assert_non_null(l);
	for (unsigned i = 0; i < 5000; i++)
		kept += line_log_write(l, (struct slice){ line, sizeof(line) });
	dropped = line_log_dropped(l);
	assert_true(kept > 0 && kept < 5000);
	assert_int_equal(dropped, 5000 - kept);

	buf_init(&text, 1 << 20);
	for (size_t due = (size_t)kept * (sizeof(line) + 1); text.n < due;
	     buf_add(&text, piece, (size_t)n)) {
		n = read(pipe_fds[0], piece, sizeof(piece));
		assert_true(n > 0);
	}
	for (size_t i = 0; i < text.n; i++)
		lines += text.p[i] == '\n';
	assert_int_equal(lines, kept);
	line_log_close(l);
	close(pipe_fds[0]);
	buf_finish(&text);
}

static void
a_line_that_is_too_long_is_dropped(void **state)
{
	struct fixture *f = *state;
	struct line_log *l = line_log_open(f->path, 1, NULL);
	char *line = must_calloc(1, LINE_LOG_LINE_MAX);

	assert_non_null(l);
	memset(line, 'x', LINE_LOG_LINE_MAX);
	assert_false(line_log_write(l, (struct slice){ line, LINE_LOG_LINE_MAX }));
	assert_true(line_log_write(l, (struct slice){ line, LINE_LOG_LINE_MAX - 1 }));
	assert_int_equal(line_log_dropped(l), 1);
	line_log_close(l);
	free(line);
}

static void
rotation_splits_between_two_lines(void **state)
{
	struct fixture *f = *state;
	struct line_log *l = line_log_open(f->path, LINE_LOG_RING_DEFAULT, NULL);
	char rotated[80];
	struct buf text;

	assert_non_null(l);
	snprintf(rotated, sizeof(rotated), "%s.1", f->path);
	assert_true(line_log_write(l, SLICE("before")));
	assert_int_equal(rename(f->path, rotated), 0);
	line_log_reopen(l);
	assert_true(line_log_write(l, SLICE("after")));
	line_log_close(l);
	buf_init(&text, 1024);
	read_file(rotated, &text);
	assert_string_equal(buf_cstr(&text), "before\n");
	read_file(f->path, &text);
	assert_string_equal(buf_cstr(&text), "after\n");
	buf_finish(&text);
	unlink(rotated);
}

static void
a_path_that_cannot_be_opened_is_explained(void **state)
{
	struct diag d = { 0 };

	(void)state;
	assert_null(line_log_open("/nowhere/at/all", 1, &d));
	assert_string_equal(d.where, "/nowhere/at/all");
	assert_non_null(strstr(d.what, "No such file"));
}

static void
a_request_is_one_json_line(void **state)
{
	struct fixture *f = *state;
	struct access_log a;
	struct access_entry e = {
		.ts_wall_us = 1764000000123456,
		.request_id = SLICE("r-1"),
		.tenant = SLICE("quiet\n{\"forged\":1}"),
		.path = SLICE("/v1/chat/completions"),
		.status = 200,
		.stream = true,
		.prompt_tokens = 12,
		.completion_tokens = -1,
		.queue_us = 300,
		.ttft_us = -1,
		.duration_us = 803900,
		.client_retry_count = 2,
	};
	struct buf text;
	yyjson_doc *doc;
	yyjson_val *o;

	assert_int_equal(access_log_init(&a, f->path, 1, NULL), 0);
	assert_true(access_log_write(&a, &e));
	access_log_finish(&a);
	buf_init(&text, 1 << 16);
	read_file(f->path, &text);
	assert_ptr_equal(memchr(text.p, '\n', text.n), text.p + text.n - 1);
	doc = yyjson_read(text.p, text.n, 0);
	assert_non_null(doc);
	o = yyjson_doc_get_root(doc);
	assert_string_equal(yyjson_get_str(yyjson_obj_get(o, "tenant")), "quiet\n{\"forged\":1}");
	assert_true(yyjson_is_null(yyjson_obj_get(o, "model")));
	assert_true(yyjson_is_null(yyjson_obj_get(o, "completion_tokens")));
	assert_true(yyjson_is_null(yyjson_obj_get(o, "ttft_ms")));
	assert_int_equal(yyjson_get_int(yyjson_obj_get(o, "prompt_tokens")), 12);
	assert_true(yyjson_get_real(yyjson_obj_get(o, "queue_ms")) == 0.3);
	assert_int_equal(yyjson_get_int(yyjson_obj_get(o, "client_retry_count")), 2);
	assert_memory_equal(yyjson_get_str(yyjson_obj_get(o, "ts")), "2025-11-24T16:00:00.123456Z", 27);
	yyjson_doc_free(doc);
	buf_finish(&text);
}

/* The worst text in every field still makes a line that fits. */
static void
the_longest_fields_are_cut_and_fit(void **state)
{
	struct fixture *f = *state;
	char worst[4096];
	struct slice s = { worst, sizeof(worst) };
	struct access_entry e = {
		.request_id = s, .tenant = s, .model = s, .path = s, .reason = s, .engine = s
	};
	struct access_log a;

	memset(worst, 1, sizeof(worst));
	assert_int_equal(access_log_init(&a, f->path, 1, NULL), 0);
	assert_true(access_log_write(&a, &e));
	assert_int_equal(line_log_dropped(a.lines), 0);
	access_log_finish(&a);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(every_line_is_in_the_file_after_close),
		TEST(a_full_ring_drops_and_counts),
		TEST(a_line_that_is_too_long_is_dropped),
		TEST(rotation_splits_between_two_lines),
		TEST(a_path_that_cannot_be_opened_is_explained),
		TEST(a_request_is_one_json_line),
		TEST(the_longest_fields_are_cut_and_fit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
