/* SPDX-License-Identifier: MIT */
/* The record of requests: a JSON line each, with the body in base64, so that a test can compare it byte for byte. */
#include <unistd.h>
#include "sim/face_impl.h"

static void
add_base64(struct buf *out, struct slice s)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const unsigned char *p = (const unsigned char *)s.p;

	for (size_t i = 0; i < s.n; i += 3) {
		size_t have = MIN(s.n - i, (size_t)3);
		unsigned bits = (unsigned)p[i] << 16 | (have > 1 ? (unsigned)p[i + 1] << 8 : 0) |
				(have > 2 ? p[i + 2] : 0);
		char four[4] = { digits[bits >> 18], digits[bits >> 12 & 63],
				 digits[bits >> 6 & 63], digits[bits & 63] };

		for (size_t k = have + 1; k < 4; k++)
			four[k] = '=';
		buf_add(out, four, 4);
	}
}

static void
write_all(int fd, struct slice s)
{
	while (s.n) {
		ssize_t n = write(fd, s.p, s.n);

		if (n <= 0)
			return; /* a full disk costs records, not requests */
		s = (struct slice){ s.p + n, s.n - (size_t)n };
	}
}

void
face_record(struct sim_face *f, struct http_exchange *x, struct slice body)
{
	const struct http_headers *h = http_request_headers(x);
	struct json_writer w;
	struct buf line, encoded;

	if (f->record_fd < 0)
		return;
	buf_init(&line, SIZE_MAX / 4);
	buf_init(&encoded, SIZE_MAX / 4);
	add_base64(&encoded, body);
	jw_init(&w, &line);
	jw_object(&w);
	jw_kv_uint(&w, "t_us", face_now_us(f));
	jw_kv_slice(&w, "method", http_method(x));
	jw_kv_slice(&w, "path", http_path(x));
	jw_kv_slice(&w, "query", http_query(x));
	jw_key(&w, "headers");
	jw_array(&w);
	for (unsigned i = 0; i < h->n; i++) {
		jw_array(&w);
		jw_slice(&w, h->v[i].name);
		jw_slice(&w, h->v[i].value);
		jw_end_array(&w);
	}
	jw_end_array(&w);
	jw_kv_slice(&w, "body_base64", buf_slice(&encoded));
	jw_end_object(&w);
	buf_add_char(&line, '\n');
	write_all(f->record_fd, buf_slice(&line));
	buf_finish(&line);
	buf_finish(&encoded);
}
