/* SPDX-License-Identifier: MIT */
/*
 * http_reference - a slow and strict reader of HTTP/1 messages (RFC 9112), the oracle of the HTTP fuzzers.
 *
 * It reads from a whole text, line by line, and knows no leniency: what it calls BAD no reader of ours may take for a
 * message, and what it calls a message every reader of ours must see with the same bytes and the same end.
 */
#pragma once
#include "base/str.h"

#define REFERENCE_FIELDS 256

enum reference_verdict {
	REFERENCE_WHOLE,
	REFERENCE_BODY_OPEN, /* the head is fine, the body ends too early */
	REFERENCE_BODY_BAD,  /* the head is fine, the body is broken */
	REFERENCE_OPEN,	     /* even the head is not complete */
	REFERENCE_BAD,
};

struct reference_message {
	struct slice first, second, third; /* words of the first line */
	struct slice names[REFERENCE_FIELDS], values[REFERENCE_FIELDS];
	unsigned n;
	struct buf body;
	bool until_close; /* an answer without length */
};

static inline bool
reference_is_token(struct slice s)
{
	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i];

		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
		      (c && strchr("!#$%&'*+-.^_`|~", c))))
			return false;
	}
	return s.n > 0;
}

/* No control character but the tab. */
static inline bool
reference_is_text(struct slice s)
{
	for (size_t i = 0; i < s.n; i++)
		if (((unsigned char)s.p[i] < 0x20 && s.p[i] != '\t') || s.p[i] == 0x7f)
			return false;
	return true;
}

/* The next line without its CR LF: 1, 0 when it is not complete.  A lone LF ends no line. */
static inline int
reference_line(struct slice *in, struct slice *line)
{
	for (size_t i = 0; i + 1 < in->n; i++)
		if (in->p[i] == '\r' && in->p[i + 1] == '\n') {
			*line = (struct slice){ in->p, i };
			*in = (struct slice){ in->p + i + 2, in->n - i - 2 };
			return 1;
		}
	return 0;
}

static inline enum reference_verdict
reference_fields(struct slice *in, struct reference_message *m)
{
	struct slice line;

	for (;;) {
		const char *colon;
		size_t n;

		if (!reference_line(in, &line))
			return reference_is_text(*in) || in->n < 4096 ? REFERENCE_OPEN : REFERENCE_BAD;
		if (line.n == 0)
			return REFERENCE_WHOLE;
		colon = memchr(line.p, ':', line.n);
		n = colon ? (size_t)(colon - line.p) : 0;
		if (!reference_is_token((struct slice){ line.p, n }))
			return REFERENCE_BAD;
		if (!reference_is_text((struct slice){ colon, line.n - n }) || m->n == REFERENCE_FIELDS)
			return REFERENCE_BAD;
		m->names[m->n] = (struct slice){ line.p, n };
		m->values[m->n++] = slice_trim((struct slice){ colon + 1, line.n - n - 1 });
	}
}

static inline enum reference_verdict
reference_chunks(struct slice *in, struct reference_message *m)
{
	for (;;) {
		struct slice line;
		struct reference_message trailers = { .n = 0 };
		uint64_t size = 0;
		size_t i;

		if (!reference_line(in, &line))
			return REFERENCE_BODY_OPEN;
		for (i = 0; i < line.n; i++) {
			char c = line.p[i];
			int d = c >= '0' && c <= '9'   ? c - '0'
				: c >= 'a' && c <= 'f' ? c - 'a' + 10
				: c >= 'A' && c <= 'F' ? c - 'A' + 10
						       : -1;

			if (d < 0)
				break;
			if (size >> 60)
				return REFERENCE_BODY_BAD;
			size = size * 16 + (uint64_t)d;
		}
		if (i == 0 || (i < line.n && line.p[i] != ';') || !reference_is_text(line))
			return REFERENCE_BODY_BAD;
		if (size == 0)
			return reference_fields(in, &trailers);
		if (in->n < size || in->n - size < 2)
			return REFERENCE_BODY_OPEN;
		if (in->p[size] != '\r' || in->p[size + 1] != '\n')
			return REFERENCE_BODY_BAD;
		buf_add(&m->body, in->p, size);
		*in = (struct slice){ in->p + size + 2, in->n - size - 2 };
	}
}

/* The body by the fields; @may_be_open: an answer, that ends with the connection when it has no length. */
static inline enum reference_verdict
reference_body(struct slice *in, struct reference_message *m, bool http10, bool may_be_open)
{
	const struct slice *length = NULL, *coding = NULL;
	uint64_t n;

	for (unsigned i = 0; i < m->n; i++) {
		const struct slice **which = slice_ieq(m->names[i], SLICE("content-length")) ? &length
					     : slice_ieq(m->names[i], SLICE("transfer-encoding"))
						     ? &coding
						     : NULL;

		if (which && *which)
			return REFERENCE_BAD;
		if (which)
			*which = &m->values[i];
	}
	if (coding && (length || http10 || !slice_ieq(*coding, SLICE("chunked"))))
		return REFERENCE_BAD;
	if (coding) {
		enum reference_verdict v = reference_chunks(in, m);

		return v == REFERENCE_OPEN  ? REFERENCE_BODY_OPEN
		       : v == REFERENCE_BAD ? REFERENCE_BODY_BAD
					    : v;
	}
	if (!length) {
		m->until_close = may_be_open;
		if (may_be_open) {
			buf_add_slice(&m->body, *in);
			*in = (struct slice){ NULL, 0 };
		}
		return REFERENCE_WHOLE;
	}
	if (slice_to_u64(*length, &n) < 0)
		return REFERENCE_BAD;
	buf_add(&m->body, in->p, MIN(n, in->n));
	if (in->n < n)
		return REFERENCE_BODY_OPEN;
	*in = (struct slice){ in->p + n, in->n - n };
	return REFERENCE_WHOLE;
}

static inline bool
reference_http10(struct slice version)
{
	return slice_eq(version, SLICE("HTTP/1.0"));
}

static inline bool
reference_version(struct slice version)
{
	return reference_http10(version) || slice_eq(version, SLICE("HTTP/1.1"));
}

/* Splits "a b c" at single blanks; the third word may be missing or have blanks when @free. */
static inline bool
reference_words(struct slice line, struct reference_message *m, bool third_is_free)
{
	const char *a = memchr(line.p, ' ', line.n), *end = line.p + line.n, *b;

	if (!a)
		return false;
	b = memchr(a + 1, ' ', (size_t)(end - a - 1));
	m->first = (struct slice){ line.p, (size_t)(a - line.p) };
	m->second = (struct slice){ a + 1, (size_t)((b ? b : end) - a - 1) };
	m->third = b ? (struct slice){ b + 1, (size_t)(end - b - 1) } : SLICE("");
	return third_is_free || (b && !memchr(b + 1, ' ', (size_t)(end - b - 1)));
}

/* The next request of @in, which moves behind it. */
static inline enum reference_verdict
reference_request(struct slice *in, struct reference_message *m)
{
	struct slice line;
	enum reference_verdict v;
	unsigned hosts = 0;

	m->n = 0;
	buf_clear(&m->body);
	while (in->n && (in->p[0] == '\r' || in->p[0] == '\n'))
		in->p++, in->n--;
	if (!reference_line(in, &line))
		return REFERENCE_OPEN;
	if (!reference_words(line, m, false) || !reference_is_token(m->first) || !m->second.n ||
	    !reference_is_text(line) || memchr(line.p, '\t', line.n) || !reference_version(m->third))
		return REFERENCE_BAD;
	v = reference_fields(in, m);
	if (v != REFERENCE_WHOLE)
		return v;
	for (unsigned i = 0; i < m->n; i++)
		hosts += slice_ieq(m->names[i], SLICE("host"));
	if (hosts > 1 || (!hosts && !reference_http10(m->third)))
		return REFERENCE_BAD;
	return reference_body(in, m, reference_http10(m->third), false);
}

/* The final answer of @in, behind interim ones. */
static inline enum reference_verdict
reference_response(struct slice *in, struct reference_message *m, bool to_head)
{
	for (;;) {
		struct slice line;
		enum reference_verdict v;
		unsigned status = 0;

		m->n = 0;
		m->until_close = false;
		buf_clear(&m->body);
		while (in->n && (in->p[0] == '\r' || in->p[0] == '\n'))
			in->p++, in->n--;
		if (!reference_line(in, &line))
			return REFERENCE_OPEN;
		if (!reference_words(line, m, true) || !reference_version(m->first) ||
		    m->second.n != 3 || memchr(line.p, '\r', line.n) ||
		    memchr(line.p, '\n', line.n)) /* the reason is nobody's */
			return REFERENCE_BAD;
		for (size_t i = 0; i < 3; i++) {
			if (m->second.p[i] < '0' || m->second.p[i] > '9')
				return REFERENCE_BAD;
			status = status * 10 + (unsigned)(m->second.p[i] - '0');
		}
		v = reference_fields(in, m);
		if (v != REFERENCE_WHOLE)
			return v;
		if (status < 100 || status == 101)
			return REFERENCE_BAD;
		if (status < 200)
			continue;
		if (to_head || status == 204 || status == 304)
			return REFERENCE_WHOLE;
		return reference_body(in, m, reference_http10(m->first), true);
	}
}
