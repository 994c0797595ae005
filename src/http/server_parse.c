/* SPDX-License-Identifier: MIT */
/* Parsing requests: what llhttp calls, and the rules that it leaves to us. */
#include "http/server_impl.h"

static int
fail(struct http_conn_server *c, enum http_refusal what, const char *text)
{
	c->refuse = what;
	c->refuse_text = text;
	return HPE_USER;
}

/* Extends @s by bytes that follow it directly: the parser hands out one field in pieces when it arrived in pieces. */
static void
span_add(struct http_conn_server *c, struct http_span *s, const char *at, size_t n)
{
	if (s->n == 0)
		s->off = (uint32_t)(at - c->parse_base);
	s->n = (uint32_t)(at - c->parse_base) + (uint32_t)n - s->off;
}

static struct http_conn_server *
conn_of_parser(llhttp_t *p)
{
	return p->data;
}

static int
on_url(llhttp_t *p, const char *at, size_t n)
{
	struct http_conn_server *c = conn_of_parser(p);

	span_add(c, &c->x->target, at, n);
	if (c->x->target.n > c->srv->limits.uri_bytes)
		return fail(c, HTTP_REFUSE_URI_SIZE, "the request target is too long");
	return 0;
}

static bool
in_trailers(const struct http_conn_server *c)
{
	return c->head_done;
}

static int
count_trailer(struct http_conn_server *c, size_t n)
{
	c->trailer_bytes += n;
	if (c->trailer_bytes > c->srv->limits.head_bytes)
		return fail(c, HTTP_REFUSE_HEAD_SIZE, "the trailers are too long");
	return 0;
}

static int
on_header_field(llhttp_t *p, const char *at, size_t n)
{
	struct http_conn_server *c = conn_of_parser(p);
	struct http_exchange *x = c->x;

	if (in_trailers(c))
		return count_trailer(c, n);
	if (x->in_value || x->n_names == 0) {
		if (x->n_names >= MIN(c->srv->limits.headers, HTTP_HEADERS_MAX))
			return fail(c, HTTP_REFUSE_HEAD_SIZE, "the request has too many header fields");
		x->names[x->n_names] = x->values[x->n_names] = (struct http_span){ 0, 0 };
		x->n_names++;
		x->in_value = false;
	}
	span_add(c, &x->names[x->n_names - 1], at, n);
	return 0;
}

static int
on_header_value(llhttp_t *p, const char *at, size_t n)
{
	struct http_conn_server *c = conn_of_parser(p);
	struct http_exchange *x = c->x;

	if (in_trailers(c))
		return count_trailer(c, n);
	x->in_value = true;
	if (n)
		span_add(c, &x->values[x->n_names - 1], at, n);
	return 0;
}

static int
on_header_value_complete(llhttp_t *p)
{
	struct http_conn_server *c = conn_of_parser(p);

	if (!in_trailers(c))
		c->x->in_value = true; /* an empty value has no on_header_value */
	return 0;
}

/* HTTP/1.1 without a length has no body; HTTP/1.0 clients may mean one that ends with the connection (RFC 1945, 7.2.2). */
static bool
has_body_by_nature(uint8_t method)
{
	return method == HTTP_POST || method == HTTP_PUT || method == HTTP_PATCH;
}

/* llhttp takes several blanks between the words of the request line; RFC 9112, 3, has one. */
static int
check_request_line(struct http_conn_server *c)
{
	const struct http_span *t = &c->x->target;
	const char *version = c->parse_base + t->off + t->n + 1;

	if (t->off != strlen(llhttp_method_name((llhttp_method_t)c->parser.method)) + 1 ||
	    memcmp(version, "HTTP/1.", 7) != 0)
		return fail(c, HTTP_REFUSE_BAD_REQUEST, "the request line has superfluous blanks");
	return 0;
}

/* What llhttp leaves to its user: whatever another program could read in another way. */
static int
check_head(struct http_conn_server *c)
{
	const struct http_headers *h = &c->x->headers;
	unsigned hosts = 0, lengths = 0, codings = 0;

	for (unsigned i = 0; i < h->n; i++) {
		if (slice_ieq(h->v[i].name, SLICE("host")))
			hosts++;
		else if (slice_ieq(h->v[i].name, SLICE("content-length")))
			lengths++;
		else if (slice_ieq(h->v[i].name, SLICE("transfer-encoding"))) {
			codings++;
			if (!slice_ieq(h->v[i].value, SLICE("chunked")))
				return fail(c, HTTP_REFUSE_BAD_REQUEST,
					    "Transfer-Encoding may only be chunked");
		}
	}
	if (hosts > 1 || (hosts == 0 && !c->http10))
		return fail(c, HTTP_REFUSE_BAD_REQUEST, "exactly one Host header is required");
	if (lengths + codings > 1)
		return fail(c, HTTP_REFUSE_BAD_REQUEST, "the body's length is given more than once");
	/* "chunked" with a tab behind it is none for the parser, which tells only when the body is wanted. */
	if (codings && !(c->parser.flags & F_CHUNKED))
		return fail(c, HTTP_REFUSE_BAD_REQUEST, "Transfer-Encoding may only be chunked");
	if (codings && c->http10)
		return fail(c, HTTP_REFUSE_BAD_REQUEST, "HTTP/1.0 has no Transfer-Encoding");
	if (c->http10 && !lengths && has_body_by_nature(c->parser.method))
		return fail(c, HTTP_REFUSE_LENGTH, "a body in HTTP/1.0 needs a Content-Length");
	return 0;
}

/* An absolute-form target keeps its path only; its authority does not matter to us, Host was checked. */
static int
strip_authority(struct http_conn_server *c)
{
	struct http_span *target = &c->x->target;
	struct slice t = { c->parse_base + target->off, target->n };
	size_t scheme = slice_starts(t, SLICE("http://"))    ? 7
			: slice_starts(t, SLICE("https://")) ? 8
							     : 0;
	size_t i = scheme;

	if (!scheme)
		return 0;
	while (i < t.n && t.p[i] != '/' && t.p[i] != '?')
		i++;
	if (i == scheme)
		return fail(c, HTTP_REFUSE_BAD_REQUEST, "the request target has no host");
	target->off += (uint32_t)i;
	target->n -= (uint32_t)i;
	return 0;
}

/* A body of @length (UINT64_MAX: not known) would pass the bound of what is held over all connections. */
static bool
body_overloads(const struct http_conn_server *c, uint64_t length)
{
	uint64_t least = length == UINT64_MAX ? 1 : length;

	return least && c->srv->stats.buffered_bytes + least > c->srv->limits.buffered_bytes;
}

static int
on_headers_complete(llhttp_t *p)
{
	struct http_conn_server *c = conn_of_parser(p);
	struct http_exchange *x = c->x;
	struct slice expect;
	int rc;

	for (unsigned i = 0; i < x->n_names; i++)
		x->header_v[i] = (struct http_header){
			{ c->parse_base + x->names[i].off, x->names[i].n },
			slice_trim((struct slice){ c->parse_base + x->values[i].off, x->values[i].n }),
		};
	x->headers = (struct http_headers){ x->n_names, x->header_v };
	if (p->http_major != 1 || p->http_minor > 1)
		return fail(c, HTTP_REFUSE_VERSION, "only HTTP/1.0 and HTTP/1.1 are spoken here");
	c->http10 = p->http_minor == 0;
	rc = check_request_line(c);
	if (!rc)
		rc = check_head(c);
	if (!rc)
		rc = strip_authority(c);
	if (rc)
		return rc;
	c->body_length = p->flags & F_CHUNKED ? UINT64_MAX : p->content_length;
	c->keep_alive = llhttp_should_keep_alive(p) && p->method != HTTP_CONNECT;
	c->head_method = p->method == HTTP_HEAD;
	p->upgrade = 0; /* we never switch protocols, which an Upgrade header only asks for */
	expect = http_header_get(&x->headers, SLICE("expect"));
	c->expects_continue = false;
	if (expect.p && !c->http10) {
		if (!slice_ieq(expect, SLICE("100-continue")))
			return fail(c, HTTP_REFUSE_EXPECT,
				    "the only expectation known here is 100-continue");
		c->expects_continue = true;
	}
	if (c->body_length != UINT64_MAX && c->body_length > c->srv->limits.body_bytes)
		return fail(c, HTTP_REFUSE_BODY_SIZE, "the body is larger than this server takes");
	if (body_overloads(c, c->body_length))
		return fail(c, HTTP_REFUSE_OVERLOAD, "the server holds as many bytes as it may");
	c->head_done = true;
	return HPE_PAUSED;
}

static int
on_body(llhttp_t *p, const char *at, size_t n)
{
	struct http_conn_server *c = conn_of_parser(p);

	c->body_bytes += n;
	if (c->body_bytes > c->srv->limits.body_bytes)
		return fail(c, HTTP_REFUSE_BODY_SIZE, "the body is larger than this server takes");
	if (n)
		c->srv->ops->on_body(c->srv->ctx, c->x, (struct slice){ at, n });
	/* The user may have answered, or cut the connection, inside: then the rest is of no interest. */
	return c->state == CONN_DEAD || c->answer_done || c->aborting ? HPE_USER : 0;
}

static int
on_chunk_ext(llhttp_t *p, const char *at, size_t n)
{
	struct http_conn_server *c = conn_of_parser(p);

	(void)at;
	c->ext_bytes += n;
	if (c->ext_bytes > HTTP_CHUNK_EXT_BYTES)
		return fail(c, HTTP_REFUSE_BAD_REQUEST, "the chunk extensions are too long");
	return 0;
}

static int
on_message_complete(llhttp_t *p)
{
	struct http_conn_server *c = conn_of_parser(p);

	c->body_done = true;
	return HPE_PAUSED;
}

const llhttp_settings_t conn_parser_settings = {
	.on_url = on_url,
	.on_header_field = on_header_field,
	.on_header_value = on_header_value,
	.on_header_value_complete = on_header_value_complete,
	.on_headers_complete = on_headers_complete,
	.on_body = on_body,
	.on_chunk_extension_name = on_chunk_ext,
	.on_chunk_extension_value = on_chunk_ext,
	.on_message_complete = on_message_complete,
};

/* Bare CR, bare LF, a folded line, or a control character in the new bytes of a head: other programs differ on them. */
const char *
conn_bad_head_bytes(const struct buf *head, size_t from)
{
	for (size_t i = from; i < head->n; i++) {
		unsigned char b = (unsigned char)head->p[i],
			      before = i ? (unsigned char)head->p[i - 1] : 0;

		if (b == '\n' ? before != '\r' : before == '\r')
			return "a line of the head does not end in CR LF";
		if (before == '\n' && (b == ' ' || b == '\t'))
			return "a header field is folded over two lines";
		if ((b < 0x20 && b != '\t' && b != '\r' && b != '\n') || b == 0x7f)
			return "the head has a control character in it";
	}
	return NULL;
}
