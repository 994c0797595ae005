/* SPDX-License-Identifier: MIT */
#include "wire/json_scan.h"

enum state {
	S_VALUE,     /* a value is due */
	S_FIRST_KEY, /* a key or '}' */
	S_KEY,	     /* a key, after a comma */
	S_COLON,
	S_FIRST_ITEM, /* a value or ']' */
	S_AFTER,      /* ',' or the end of the container */
	S_STRING,
	S_ESCAPE,
	S_UNIT,	      /* hexadecimal digits of \uXXXX */
	S_NEED_LOW,   /* a high surrogate was read: a backslash is due */
	S_NEED_LOW_U, /* and its 'u' */
	S_LITERAL,
	S_MINUS,
	S_ZERO,
	S_INT,
	S_POINT,
	S_FRACTION,
	S_EXP,
	S_EXP_SIGN,
	S_EXP_DIGITS,
	S_END, /* only blanks may follow */
};

static const char *const literals[] = { [JSON_NULL] = "null", [JSON_TRUE] = "true", [JSON_FALSE] = "false" };

void
json_scan_init(struct json_scan *s, const struct json_sink *sink, void *ctx, unsigned report_depth)
{
	memset(s, 0, offsetof(struct json_scan, text));
	s->sink = sink;
	s->ctx = ctx;
	s->report_depth = report_depth;
}

static bool
in_object(const struct json_scan *s)
{
	return s->depth && (s->objects[(s->depth - 1) / 8] >> ((s->depth - 1) % 8) & 1);
}

static bool
refuse(struct json_scan *s, const char *why)
{
	if (!s->error)
		s->error = why;
	return false;
}

static bool
reported(const struct json_scan *s)
{
	return s->depth <= s->report_depth;
}

static bool
begin_value(struct json_scan *s, enum json_type type, uint64_t at)
{
	const char *why = reported(s) ? s->sink->begin(s->ctx, s->depth, type, at) : NULL;

	return why ? refuse(s, why) : true;
}

/* A value has ended; the container around it decides what comes next. */
static bool
end_value(struct json_scan *s, enum json_type type, uint64_t at)
{
	const char *why = NULL;

	if (reported(s))
		why = s->sink->end(s->ctx, s->depth, type, (struct slice){ s->text, s->text_n },
				   s->cut, at);
	s->text_n = 0;
	s->cut = s->capturing = false;
	s->state = s->depth ? S_AFTER : S_END;
	return why ? refuse(s, why) : true;
}

static bool
open_container(struct json_scan *s, bool object, uint64_t at)
{
	if (!begin_value(s, object ? JSON_OBJECT : JSON_ARRAY, at))
		return false;
	if (s->depth == JSON_DEPTH_MAX)
		return refuse(s, "the JSON is nested too deeply");
	if (object)
		s->objects[s->depth / 8] |= (uint8_t)(1u << (s->depth % 8));
	else
		s->objects[s->depth / 8] &= (uint8_t) ~(1u << (s->depth % 8));
	s->depth++;
	s->state = object ? S_FIRST_KEY : S_FIRST_ITEM;
	return true;
}

static bool
close_container(struct json_scan *s, bool object, uint64_t at)
{
	s->depth--;
	return end_value(s, object ? JSON_OBJECT : JSON_ARRAY, at);
}

static void
text_add(struct json_scan *s, const char *p, size_t n)
{
	size_t room = JSON_TEXT_MAX - s->text_n;

	if (!s->capturing)
		return;
	if (n > room) {
		s->cut = true;
		s->capturing = false;
		n = room;
	}
	memcpy(s->text + s->text_n, p, n);
	s->text_n = (uint16_t)(s->text_n + n);
}

static void
start_string(struct json_scan *s, bool key)
{
	s->state = S_STRING;
	s->after_string = key ? S_COLON : S_AFTER;
	s->text_n = 0;
	s->cut = false;
	s->capturing = reported(s);
	s->high = 0;
}

static bool
end_string(struct json_scan *s, uint64_t at)
{
	const char *why = NULL;

	if (s->after_string != S_COLON)
		return end_value(s, JSON_STRING, at);
	if (reported(s))
		why = s->sink->key(s->ctx, s->depth, (struct slice){ s->text, s->text_n }, s->cut);
	s->text_n = 0;
	s->cut = s->capturing = false;
	s->state = S_COLON;
	return why ? refuse(s, why) : true;
}

/* A character given by escape, as UTF-8 into the text. */
static void
add_code_point(struct json_scan *s, uint32_t c)
{
	char b[4];
	size_t n;

	if (c < 0x80) {
		b[0] = (char)c, n = 1;
	} else if (c < 0x800) {
		b[0] = (char)(0xc0 | c >> 6), b[1] = (char)(0x80 | (c & 63)), n = 2;
	} else if (c < 0x10000) {
		b[0] = (char)(0xe0 | c >> 12), b[1] = (char)(0x80 | (c >> 6 & 63)),
		b[2] = (char)(0x80 | (c & 63)), n = 3;
	} else {
		b[0] = (char)(0xf0 | c >> 18), b[1] = (char)(0x80 | (c >> 12 & 63));
		b[2] = (char)(0x80 | (c >> 6 & 63)), b[3] = (char)(0x80 | (c & 63)), n = 4;
	}
	text_add(s, b, n);
}

/* Four digits of \uXXXX are in. */
static bool
end_unit(struct json_scan *s)
{
	s->state = S_STRING;
	if (s->high) {
		if (s->unit < 0xdc00 || s->unit > 0xdfff)
			return refuse(s, "an escape names half a character (a lone surrogate)");
		add_code_point(s, 0x10000u + ((uint32_t)(s->high - 0xd800) << 10) + (s->unit - 0xdc00u));
		s->high = 0;
	} else if (s->unit >= 0xd800 && s->unit <= 0xdbff) {
		s->high = s->unit;
		s->state = S_NEED_LOW;
	} else if (s->unit >= 0xdc00 && s->unit <= 0xdfff) {
		return refuse(s, "an escape names half a character (a lone surrogate)");
	} else {
		add_code_point(s, s->unit);
	}
	return true;
}

static bool
escape(struct json_scan *s, char c)
{
	static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
	const char *at = c ? strchr(from, c) : NULL;

	if (c == 'u') {
		s->state = S_UNIT;
		s->unit = 0;
		s->unit_digits = 0;
		return true;
	}
	if (!at)
		return refuse(s, "a string has an unknown escape");
	text_add(s, &to[at - from], 1);
	s->state = S_STRING;
	return true;
}

static bool
unit_digit(struct json_scan *s, char c)
{
	unsigned d;

	if (c >= '0' && c <= '9')
		d = (unsigned)(c - '0');
	else if ((c | 32) >= 'a' && (c | 32) <= 'f')
		d = (unsigned)((c | 32) - 'a') + 10;
	else
		return refuse(s, "a \\u escape needs four hexadecimal digits");
	s->unit = (uint16_t)(s->unit << 4 | d);
	return ++s->unit_digits < 4 || end_unit(s);
}

/*
 * Bytes of a string up to a quote, a backslash, a control character or one that is not ASCII; eight
 * at a time.
 */
static size_t
plain_run(const char *p, size_t n)
{
	const uint64_t ones = 0x0101010101010101u, highs = 0x8080808080808080u;
	size_t i = 0;

	for (; i + 8 <= n; i += 8) {
		uint64_t w, quote, slash, control;

		memcpy(&w, p + i, 8);
		quote = w ^ (ones * '"');
		slash = w ^ (ones * '\\');
		control = w - ones * 0x20;
		/*
		 * A byte's high bit is set where it is zero after the xor, or below 0x20, or not
		 * ASCII.  A borrow can set it for a byte above such a one too, so only the lowest
		 * is to be believed.
		 */
		w = ((quote - ones) | (slash - ones) | control | w) & highs;
		if (w && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__)
			return i + (size_t)__builtin_ctzll(w) / 8;
		if (w)
			break;
	}
	while (i < n && p[i] != '"' && p[i] != '\\' && (unsigned char)(p[i] - 0x20) < 0x60)
		i++;
	return i;
}

/*
 * Bytes of a string up to a quote, a backslash or a control character; *@bad: the next one is not
 * UTF-8.
 */
static size_t
string_run(struct json_scan *s, const char *p, size_t n, bool *bad)
{
	size_t i = 0;

	*bad = false;
	while (i < n) {
		size_t j = i;

		if (utf8_complete(&s->utf8))
			j = i += plain_run(p + i, n - i);
		while (j < n && (p[j] & 0x80))
			j++;
		i += utf8_run(&s->utf8, p + i, j - i);
		*bad = i < j || (j < n && !utf8_complete(&s->utf8)); /* cut short by what follows it */
		if (*bad || i == n || p[i] == '"' || p[i] == '\\' || (unsigned char)p[i] < 0x20)
			break;
	}
	return i;
}

static bool
start_value(struct json_scan *s, char c, uint64_t at)
{
	enum json_type type;

	switch (c) {
	case '{':
		return open_container(s, true, at);
	case '[':
		return open_container(s, false, at);
	case '"':
		if (!begin_value(s, JSON_STRING, at))
			return false;
		start_string(s, false);
		return true;
	case 't':
	case 'f':
	case 'n':
		type = c == 't' ? JSON_TRUE : c == 'f' ? JSON_FALSE : JSON_NULL;
		s->literal = (uint8_t)type;
		s->literal_at = 1;
		s->state = S_LITERAL;
		return begin_value(s, type, at);
	default:
		if (c != '-' && (c < '0' || c > '9'))
			return refuse(s, "a value is missing, or is not JSON");
		if (!begin_value(s, JSON_NUMBER, at))
			return false;
		s->text_n = 0;
		s->cut = false;
		s->capturing = reported(s);
		text_add(s, &c, 1);
		s->state = c == '-' ? S_MINUS : c == '0' ? S_ZERO : S_INT;
		return true;
	}
}

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* The state of a number after @c, or S_END when the number ended before it, or -1. */
static int
number_next(uint8_t state, char c)
{
	switch (state) {
	case S_MINUS:
		return c == '0' ? S_ZERO : is_digit(c) ? S_INT : -1;
	case S_ZERO:
	case S_INT:
		if (is_digit(c))
			return state == S_INT ? S_INT : -1;
		return c == '.' ? S_POINT : (c | 32) == 'e' ? S_EXP : S_END;
	case S_POINT:
		return is_digit(c) ? S_FRACTION : -1;
	case S_FRACTION:
		return is_digit(c) ? S_FRACTION : (c | 32) == 'e' ? S_EXP : S_END;
	case S_EXP:
		return c == '+' || c == '-' ? S_EXP_SIGN : is_digit(c) ? S_EXP_DIGITS : -1;
	case S_EXP_SIGN:
		return is_digit(c) ? S_EXP_DIGITS : -1;
	default:
		return is_digit(c) ? S_EXP_DIGITS : S_END;
	}
}

/* In the middle of digits, of which any number may follow. */
static bool
is_digits(uint8_t state)
{
	return state == S_INT || state == S_FRACTION || state == S_EXP_DIGITS;
}

static size_t
digit_run(const char *p, size_t n)
{
	size_t i = 0;

	while (i < n && is_digit(p[i]))
		i++;
	return i;
}

static bool
is_blank(char c)
{
	return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

/* A byte between values: blanks, commas, colons, brackets, or the beginning of something. */
static bool
structure(struct json_scan *s, char c, uint64_t at)
{
	if (is_blank(c))
		return true;
	switch (s->state) {
	case S_VALUE:
		return start_value(s, c, at);
	case S_FIRST_ITEM:
		return c == ']' ? close_container(s, false, at + 1) : start_value(s, c, at);
	case S_FIRST_KEY:
		if (c == '}')
			return close_container(s, true, at + 1);
		/* fall through */
	case S_KEY:
		if (c != '"')
			return refuse(s, "a key in double quotes is missing");
		start_string(s, true);
		return true;
	case S_COLON:
		if (c != ':')
			return refuse(s, "a colon is missing after a key");
		s->state = S_VALUE;
		return true;
	case S_AFTER:
		if (c == ',') {
			s->state = in_object(s) ? S_KEY : S_VALUE;
			return true;
		}
		if (c == (in_object(s) ? '}' : ']'))
			return close_container(s, in_object(s), at + 1);
		return refuse(s, "a comma or a closing bracket is missing");
	default:
		return refuse(s, "something follows the end of the JSON");
	}
}

/* One byte inside a token.  *@again: it was not part of it and is to be looked at once more. */
static bool
token_byte(struct json_scan *s, char c, uint64_t at, bool *again)
{
	int next;

	switch (s->state) {
	case S_STRING:
		if (c == '"')
			return end_string(s, at + 1);
		if (c != '\\')
			return refuse(s, "a string has a control character in it");
		s->state = S_ESCAPE;
		return true;
	case S_ESCAPE:
		return escape(s, c);
	case S_UNIT:
		return unit_digit(s, c);
	case S_NEED_LOW:
	case S_NEED_LOW_U:
		if (c != (s->state == S_NEED_LOW ? '\\' : 'u'))
			return refuse(s, "an escape names half a character (a lone surrogate)");
		if (s->state == S_NEED_LOW)
			s->state = S_NEED_LOW_U;
		else
			s->state = S_UNIT, s->unit = 0, s->unit_digits = 0;
		return true;
	case S_LITERAL:
		if (literals[s->literal][s->literal_at] != c)
			return refuse(s, "a value is missing, or is not JSON");
		if (literals[s->literal][++s->literal_at] == '\0')
			return end_value(s, s->literal, at + 1);
		return true;
	default:
		next = number_next(s->state, c);
		if (next < 0)
			return refuse(s, "a number is malformed");
		if (next == S_END) {
			*again = true;
			return end_value(s, JSON_NUMBER, at);
		}
		text_add(s, &c, 1);
		s->state = (uint8_t)next;
		return true;
	}
}

static bool
in_token(const struct json_scan *s)
{
	return s->state >= S_STRING && s->state < S_END;
}

bool
json_scan_feed(struct json_scan *s, struct slice piece)
{
	uint64_t base = s->offset;
	size_t i = 0;

	if (s->error)
		return false;
	while (i < piece.n) {
		bool again = false, bad = false, ok;

		if (s->state == S_STRING || is_digits(s->state)) {
			size_t run = s->state == S_STRING
					     ? string_run(s, piece.p + i, piece.n - i, &bad)
					     : digit_run(piece.p + i, piece.n - i);

			text_add(s, piece.p + i, run);
			i += run;
			if (i == piece.n && !bad)
				break;
		}
		s->offset = base + i;
		if (bad)
			return refuse(s, "it is not UTF-8");
		ok = in_token(s) ? token_byte(s, piece.p[i], base + i, &again)
				 : structure(s, piece.p[i], base + i);
		if (!ok)
			return false;
		i += !again;
	}
	s->offset = base + piece.n;
	return true;
}

bool
json_scan_end(struct json_scan *s)
{
	if (s->error)
		return false;
	if (s->depth == 0 &&
	    (s->state == S_ZERO || s->state == S_INT || s->state == S_FRACTION || s->state == S_EXP_DIGITS) &&
	    !end_value(s, JSON_NUMBER, s->offset))
		return false;
	if (s->state != S_END)
		return refuse(s, s->offset ? "the JSON ends too early" : "the body is empty");
	return true;
}
