/* SPDX-License-Identifier: MIT */
#include "wire/sse.h"

void
sse_init(struct sse *s)
{
	*s = (struct sse){ .line_empty = true };
	buf_init(&s->carry, SSE_EVENT_MAX);
	buf_init(&s->joined, SSE_EVENT_MAX);
}

void
sse_finish(struct sse *s)
{
	buf_finish(&s->carry);
	buf_finish(&s->joined);
}

struct slice
sse_rest(const struct sse *s)
{
	return buf_slice(&s->carry);
}

/* Takes the next line off @rest, without its end. */
static struct slice
next_line(struct slice *rest)
{
	struct slice line = { rest->p, 0 };

	while (line.n < rest->n && line.p[line.n] != '\n' && line.p[line.n] != '\r')
		line.n++;
	rest->p += line.n, rest->n -= line.n;
	if (rest->n >= 2 && rest->p[0] == '\r' && rest->p[1] == '\n')
		rest->p += 2, rest->n -= 2;
	else if (rest->n)
		rest->p++, rest->n--;
	return line;
}

/* The value of a line of field @name; false when it is a line of something else. */
static bool
value_of(struct slice line, struct slice name, struct slice *ret)
{
	if (!slice_starts(line, name) || (line.n > name.n && line.p[name.n] != ':'))
		return false;
	*ret = line.n > name.n ? (struct slice){ line.p + name.n + 1, line.n - name.n - 1 } : SLICE("");
	if (ret->n && ret->p[0] == ' ')
		ret->p++, ret->n--;
	return true;
}

/* One more data line of the event. */
static void
add_data(struct sse *s, struct sse_event *ev, struct slice value)
{
	if (!ev->has_data) {
		ev->data = value;
		ev->has_data = true;
		return;
	}
	if (s->joined.n == 0)
		buf_add_slice(&s->joined, ev->data);
	buf_add_char(&s->joined, '\n');
	buf_add_slice(&s->joined, value);
	ev->data = buf_slice(&s->joined);
}

static void
emit(struct sse *s, struct slice raw, sse_event_fn fn, void *ctx)
{
	struct sse_event ev = { .raw = raw };
	struct slice rest = raw, value;

	if (!s->begun && slice_starts(rest, SLICE("\xef\xbb\xbf")))
		rest.p += 3, rest.n -= 3;
	s->begun = true;
	while (rest.n) {
		struct slice line = next_line(&rest);

		if (value_of(line, SLICE("data"), &value))
			add_data(s, &ev, value);
		else if (value_of(line, SLICE("event"), &value))
			ev.name = value;
	}
	ev.is_done = slice_eq(slice_trim(ev.data), SLICE("[DONE]"));
	fn(ctx, &ev);
	buf_clear(&s->joined);
}

/*
 * Bytes up to @end belong to the event that began at @from in the piece (or in the carry before
 * it).
 */
static void
end_event(struct sse *s, const char *from, const char *end, sse_event_fn fn, void *ctx)
{
	if (s->oversize) {
		fn(ctx, &(struct sse_event){ .raw = { from, (size_t)(end - from) }, .oversize = true });
	} else if (s->carry.n == 0) {
		emit(s, (struct slice){ from, (size_t)(end - from) }, fn, ctx);
	} else {
		buf_add(&s->carry, from, (size_t)(end - from));
		if (s->carry.overflow) { /* only its end made it too long */
			fn(ctx, &(struct sse_event){ .raw = buf_slice(&s->carry), .oversize = true });
			fn(ctx, &(struct sse_event){ .raw = { from, (size_t)(end - from) },
						     .oversize = true });
		} else {
			emit(s, buf_slice(&s->carry), fn, ctx);
		}
	}
	buf_clear(&s->carry);
	s->oversize = s->any = false;
}

/* Keeps the beginning of an event until the rest comes, or passes it on when it is too long. */
static void
carry(struct sse *s, const char *from, const char *end, sse_event_fn fn, void *ctx)
{
	if (from == end)
		return;
	if (!s->oversize) {
		buf_add(&s->carry, from, (size_t)(end - from));
		if (!s->carry.overflow)
			return;
		if (s->carry.n)
			fn(ctx, &(struct sse_event){ .raw = buf_slice(&s->carry), .oversize = true });
		buf_clear(&s->carry);
		s->oversize = true;
	}
	fn(ctx, &(struct sse_event){ .raw = { from, (size_t)(end - from) }, .oversize = true });
}

void
sse_feed(struct sse *s, struct slice piece, sse_event_fn fn, void *ctx)
{
	const char *p = piece.p, *end = piece.p + piece.n, *from = p;

	while (p < end) {
		char b = *p;

		if (b != '\n' && b != '\r') {
			const char *lf = memchr(p, '\n', (size_t)(end - p)), *stop = lf ? lf : end;
			const char *cr = memchr(p, '\r', (size_t)(stop - p));

			p = cr ? cr : stop;
			s->line_empty = s->last_cr = false;
			s->any = true;
			continue;
		}
		p++;
		if (b == '\n' && s->last_cr) {
			/*
			 * The second half of CR LF; after an event's end it belongs to that event's
			 * bytes.
			 */
			s->last_cr = false;
			if (!s->any && p - from == 1) {
				fn(ctx, &(struct sse_event){ .raw = { from, 1 } });
				from = p;
			}
			continue;
		}
		s->last_cr = b == '\r';
		if (!s->line_empty) {
			s->line_empty = true;
			continue;
		}
		if (s->last_cr && p < end && *p == '\n') { /* keep CR LF together where we can see it */
			p++;
			s->last_cr = false;
		}
		end_event(s, from, p, fn, ctx);
		from = p;
	}
	carry(s, from, end, fn, ctx);
}
