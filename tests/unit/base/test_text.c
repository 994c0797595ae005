/* SPDX-License-Identifier: MIT */
/* utf8, json_writer, log, diag, clock: what others read. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#include <yyjson.h>

#include "base/clock.h"
#include "base/json_writer.h"
#include "base/log.h"
#include "base/utf8.h"

/* The same answer whole and byte by byte. */
static bool
is_utf8(const char *p, size_t n)
{
	struct utf8_check whole = { 0 }, bytes = { 0 };
	bool good = utf8_feed(&whole, p, n) && utf8_complete(&whole), one = true;

	for (size_t i = 0; i < n && one; i++)
		one = utf8_feed(&bytes, p + i, 1);
	assert_int_equal(good, one && utf8_complete(&bytes));
	return good;
}

static void
every_code_point_is_utf8_and_every_surrogate_is_not(void **state)
{
	(void)state;
	for (uint32_t c = 0x80; c <= 0x110000; c += c < 0x800 ? 1 : 61) {
		char b[4];
		size_t n;

		if (c < 0x800) {
			b[0] = (char)(0xc0 | c >> 6), b[1] = (char)(0x80 | (c & 63)), n = 2;
		} else if (c < 0x10000) {
			b[0] = (char)(0xe0 | c >> 12), b[1] = (char)(0x80 | (c >> 6 & 63)),
			b[2] = (char)(0x80 | (c & 63)), n = 3;
		} else {
			b[0] = (char)(0xf0 | c >> 18), b[1] = (char)(0x80 | (c >> 12 & 63));
			b[2] = (char)(0x80 | (c >> 6 & 63)), b[3] = (char)(0x80 | (c & 63)), n = 4;
		}
		assert_int_equal(is_utf8(b, n), !(c >= 0xd800 && c <= 0xdfff) && c <= 0x10ffff);
	}
	assert_true(is_utf8("plain text of more than eight bytes", 35));
	assert_false(is_utf8("\xc0\xaf", 2));
	assert_false(is_utf8("\xe0\x80\xaf", 3));
	assert_false(is_utf8("a\xe4\xb8", 3));
}

static void
the_place_of_the_first_bad_byte_is_told(void **state)
{
	struct utf8_check c = { 0 };

	(void)state;
	assert_int_equal(utf8_run(&c, "good \xc3\xa4 and \xff bad", 17), 12);
	c = (struct utf8_check){ 0 };
	assert_int_equal(utf8_run(&c, "12345678\xe4\xb8.", 11), 10);
	c = (struct utf8_check){ 0 };
	assert_int_equal(utf8_run(&c, "\xe4\xb8", 2), 2);
	assert_false(utf8_complete(&c));
}

static void
what_the_json_writer_writes_reads_back_the_same(void **state)
{
	const struct slice text =
		SLICE("quote\" back\\ line\n tab\t nul\0 end \xc3\xa4 \xf0\x9f\x98\x80");
	struct json_writer w;
	struct buf out;
	yyjson_doc *doc;
	yyjson_val *root;

	(void)state;
	buf_init(&out, BUF_MAX_DEFAULT);
	jw_init(&w, &out);
	jw_object(&w);
	jw_kv_slice(&w, "text", text);
	jw_kv_slice(&w, "bad", SLICE("a\xff\xe4\xb8z"));
	jw_kv_int(&w, "least", INT64_MIN);
	jw_kv_uint(&w, "most", UINT64_MAX);
	jw_kv_double(&w, "half", 0.5, 3);
	jw_kv_double(&w, "third", 1.0 / 3, 3);
	jw_kv_double(&w, "ten", 10.0, 3);
	jw_kv_double(&w, "nan", (double)NAN, 3);
	jw_kv_bool(&w, "yes", true);
	jw_kv_str(&w, "none", NULL);
	jw_key(&w, "list");
	jw_array(&w);
	jw_int(&w, 1);
	jw_array(&w);
	jw_end_array(&w);
	jw_object(&w);
	jw_end_object(&w);
	jw_raw(&w, SLICE("[2,3]"));
	jw_end_array(&w);
	jw_kv_int(&w, "after", 4);
	jw_end_object(&w);

	doc = yyjson_read(out.p, out.n, 0);
	assert_non_null(doc);
	root = yyjson_doc_get_root(doc);
	assert_true(slice_eq((struct slice){ yyjson_get_str(yyjson_obj_get(root, "text")),
					     yyjson_get_len(yyjson_obj_get(root, "text")) },
			     text));
	assert_string_equal(yyjson_get_str(yyjson_obj_get(root, "bad")),
			    "a\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbdz");
	assert_true(yyjson_get_sint(yyjson_obj_get(root, "least")) == INT64_MIN);
	assert_true(yyjson_get_uint(yyjson_obj_get(root, "most")) == UINT64_MAX);
	assert_true(yyjson_get_real(yyjson_obj_get(root, "half")) == 0.5);
	assert_true(yyjson_get_real(yyjson_obj_get(root, "third")) == 0.333);
	assert_int_equal(yyjson_get_int(yyjson_obj_get(root, "ten")), 10);
	assert_true(yyjson_is_null(yyjson_obj_get(root, "nan")));
	assert_true(yyjson_is_true(yyjson_obj_get(root, "yes")));
	assert_true(yyjson_is_null(yyjson_obj_get(root, "none")));
	assert_int_equal(yyjson_arr_size(yyjson_obj_get(root, "list")), 4);
	assert_int_equal(yyjson_get_int(yyjson_obj_get(root, "after")), 4);
	yyjson_doc_free(doc);
	buf_finish(&out);
}

/* What @fn writes to standard error. */
static size_t
captured(void (*fn)(void), char *out, size_t size)
{
	int saved = dup(STDERR_FILENO), ends[2];
	ssize_t n;

	assert_int_equal(pipe(ends), 0);
	assert_true(dup2(ends[1], STDERR_FILENO) >= 0);
	close(ends[1]);
	fn();
	dup2(saved, STDERR_FILENO);
	close(saved);
	n = read(ends[0], out, size - 1); /* nothing written: the only writing end is closed, so this returns 0 */
	close(ends[0]);
	assert_true(n >= 0);
	out[n] = '\0';
	return (size_t)n;
}

static void
log_forgery(void)
{
	log_info("tenant '%s'", "x\n2026-01-01T00:00:00Z ERROR forged\r\x1b[31m\x7f");
}

static void
log_too_much(void)
{
	log_debug("not at this level");
}

static void
log_long(void)
{
	log_error("%05000d", 7);
}

static void
a_log_line_cannot_be_forged_by_what_is_in_it(void **state)
{
	char line[8192];

	(void)state;
	log_set_level(LOG_INFO);
	assert_true(captured(log_forgery, line, sizeof(line)) > 0);
	assert_ptr_equal(strchr(line, '\n'), line + strlen(line) - 1);
	assert_null(strpbrk(line, "\r\x1b\x7f"));
	assert_non_null(strstr(line, "\\n2026"));
	assert_int_equal(captured(log_too_much, line, sizeof(line)), 0);
	assert_in_range(captured(log_long, line, sizeof(line)), LOG_LINE_MAX, LOG_LINE_MAX + 64);
}

static void
log_levels_have_names(void **state)
{
	enum log_level level;

	(void)state;
	assert_int_equal(log_level_parse("WARNING", &level), 0);
	assert_int_equal(level, LOG_WARN);
	assert_int_equal(log_level_parse("debug", &level), 0);
	assert_int_equal(level, LOG_DEBUG);
	assert_true(log_level_parse("loud", &level) < 0);
}

static void
a_diagnosis_is_cut_to_its_room_and_may_be_nobodys(void **state)
{
	struct diag d = { 0 };

	(void)state;
	diag_where(&d, "%s:%d:%d", "kvwarden.yaml", 12, 5);
	diag_what(&d, "%0600d", 1);
	diag_hint(&d, "write %s", "fair");
	assert_string_equal(d.where, "kvwarden.yaml:12:5");
	assert_int_equal(strlen(d.what), sizeof(d.what) - 1);
	assert_string_equal(d.hint, "write fair");
	diag_what(NULL, "nobody listens");
}

static void
times_are_written_in_utc_with_microseconds(void **state)
{
	char text[CLOCK_RFC3339_LEN];
	uint64_t a, b;

	(void)state;
	clock_rfc3339(0, text);
	assert_string_equal(text, "1970-01-01T00:00:00.000000Z");
	clock_rfc3339(1798207509123456u, text);
	assert_string_equal(text, "2026-12-25T14:05:09.123456Z");
	a = clock_mono_us();
	b = clock_mono_us();
	assert_true(b >= a);
	assert_true(clock_wall_us() > 1700000000000000u);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_code_point_is_utf8_and_every_surrogate_is_not),
		cmocka_unit_test(the_place_of_the_first_bad_byte_is_told),
		cmocka_unit_test(what_the_json_writer_writes_reads_back_the_same),
		cmocka_unit_test(a_log_line_cannot_be_forged_by_what_is_in_it),
		cmocka_unit_test(log_levels_have_names),
		cmocka_unit_test(a_diagnosis_is_cut_to_its_room_and_may_be_nobodys),
		cmocka_unit_test(times_are_written_in_utc_with_microseconds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
