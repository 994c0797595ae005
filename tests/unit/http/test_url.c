/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "http/url.h"

static void
endpoints_are_read(void **state)
{
	static const struct {
		const char *url, *host, *base, *sent_host;
		uint16_t port;
		bool is_unix;
	} good[] = {
		{ "http://127.0.0.1:8000", "127.0.0.1", "", "127.0.0.1:8000", 8000, false },
		{ "http://gpu-1", "gpu-1", "", "gpu-1:80", 80, false },
		{ "http://gpu-1/", "gpu-1", "", "gpu-1:80", 80, false },
		{ "http://[::1]:9", "::1", "", "[::1]:9", 9, false },
		{ "http://[::1]", "::1", "", "[::1]:80", 80, false },
		{ "http://h:65535/openai", "h", "/openai", "h:65535", 65535, false },
		{ "http://h:1/v1", "h", "", "h:1", 1, false },
		{ "http://h:1/v1/", "h", "", "h:1", 1, false },
		{ "http://h:1/openai/v1", "h", "/openai", "h:1", 1, false },
		{ "http://h:1/xv1", "h", "/xv1", "h:1", 1, false },
		{ "unix:/run/engine.sock", "/run/engine.sock", "", "localhost", 0, true },
		{ "unix:///run/engine.sock", "/run/engine.sock", "", "localhost", 0, true },
	};
	struct http_endpoint ep;
	struct diag d;
	struct buf host;

	(void)state;
	buf_init(&host, 1000);
	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		assert_int_equal(http_endpoint_parse(slice_of(good[i].url), &ep, &d), 0);
		assert_string_equal(ep.host, good[i].host);
		assert_string_equal(ep.base, good[i].base);
		assert_int_equal(ep.port, good[i].port);
		assert_int_equal(ep.is_unix, good[i].is_unix);
		buf_clear(&host);
		http_endpoint_host(&ep, &host);
		assert_string_equal(buf_cstr(&host), good[i].sent_host);
	}
	buf_finish(&host);
}

static void
what_is_no_endpoint_is_refused_with_a_reason_and_a_hint(void **state)
{
	static const struct {
		const char *url, *why;
	} bad[] = {
		{ "", "scheme" },
		{ "127.0.0.1:8000", "scheme" },
		{ "ftp://h", "scheme" },
		{ "https://h", "https" },
		{ "http://", "host" },
		{ "http://:80", "host" },
		{ "http:///v1", "host" },
		{ "http://[]:1", "host" },
		{ "http://h:", "port" },
		{ "http://h:0", "port" },
		{ "http://h:65536", "port" },
		{ "http://h:8o", "port" },
		{ "http://h:-1", "port" },
		{ "http://a:b:1", "port" },
		{ "http://[::1", "IPv6" },
		{ "http://[::1]8", "IPv6" },
		{ "http://me@h", "user name" },
		{ "http://me:secret@h:1", "user name" },
		{ "http://h/?a", "query" },
		{ "http://h/#a", "fragment" },
		{ "http://h /", "blank" },
		{ "http://h\r\nx: y", "blank" },
		{ "unix:engine.sock", "absolute" },
		{ "unix:", "absolute" },
	};
	struct http_endpoint ep;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct diag d = { .what = "" };

		assert_int_equal(http_endpoint_parse(slice_of(bad[i].url), &ep, &d), -EINVAL);
		assert_non_null(strstr(d.what, bad[i].why));
		assert_true(d.hint[0] != '\0');
	}
}

static void
lengths_are_bounded(void **state)
{
	struct http_endpoint ep;
	struct buf url;

	(void)state;
	for (size_t over = 0; over < 2; over++) {
		static const struct {
			const char *prefix;
			size_t longest;
		} cases[] = { { "http://", HTTP_HOST_MAX - 1 },
			      { "http://h/", HTTP_BASE_MAX - 2 },
			      { "unix:/", 106 } };

		for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
			buf_init(&url, 1000);
			buf_add_str(&url, cases[i].prefix);
			for (size_t k = 0; k < cases[i].longest + over; k++)
				buf_add_char(&url, 'a');
			assert_int_equal(http_endpoint_parse(buf_slice(&url), &ep, NULL),
					 over ? -EINVAL : 0);
			buf_finish(&url);
		}
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(endpoints_are_read),
		cmocka_unit_test(what_is_no_endpoint_is_refused_with_a_reason_and_a_hint),
		cmocka_unit_test(lengths_are_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
