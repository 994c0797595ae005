/* SPDX-License-Identifier: MIT */
#include "wire/request_edit.h"

#include <stdio.h>

static const char *const key_names[] = {
#define X(NAME, key, types, expected) [WIRE_KEY_##NAME] = key,
#include "wire/request_keys.def"
#undef X
};

bool
request_edit_splice(struct request_edit *e, uint64_t off, uint64_t cut, struct slice text)
{
	unsigned at = e->n;

	if (e->n == REQUEST_EDITS_MAX || text.n > (size_t)(REQUEST_EDIT_TEXT_MAX - e->text_n))
		return false;
	while (at > 0 && e->v[at - 1].off > off) {
		e->v[at] = e->v[at - 1];
		at--;
	}
	must(at == 0 || e->v[at - 1].off + e->v[at - 1].cut <= off);
	must(at == e->n || off + cut <= e->v[at + 1].off);
	e->v[at].off = off;
	e->v[at].cut = cut;
	e->v[at].text = e->text_n;
	e->v[at].text_n = (uint16_t)text.n;
	if (text.n)
		memcpy(e->text + e->text_n, text.p, text.n);
	e->text_n = (uint16_t)(e->text_n + text.n);
	e->n++;
	return true;
}

bool
request_edit_set(struct request_edit *e, const struct request_facts *f, enum wire_key key,
		 struct slice json)
{
	char text[REQUEST_EDIT_TEXT_MAX];
	bool first = true; /* of what is added: it comes to stand before the later ones */
	int n;

	if (f->span[key].off)
		return request_edit_splice(e, f->span[key].off, f->span[key].n, json);
	for (unsigned i = 0; i < e->n; i++)
		first &= e->v[i].off != f->open_at;
	/*
	 * Others follow in the body, each behind our comma; in an empty body the comma stands
	 * before all but the first.
	 */
	n = snprintf(text, sizeof(text), "%s\"%s\":" SLICE_FMT "%s", f->empty_object && !first ? "," : "",
		     key_names[key], SLICE_ARG(json), f->empty_object ? "" : ",");
	return n > 0 && (size_t)n < sizeof(text) &&
	       request_edit_splice(e, f->open_at, 0, (struct slice){ text, (size_t)n });
}

bool
request_edit_include_usage(struct request_edit *e, const struct request_facts *f)
{
	const struct wire_span *options = &f->span[WIRE_KEY_STREAM_OPTIONS];

	if (f->include_usage)
		return true;
	if (f->has_include_usage)
		return request_edit_splice(e, f->include_usage_span.off, f->include_usage_span.n,
					   SLICE("true"));
	if (request_facts_has(f, WIRE_KEY_STREAM_OPTIONS) && f->stream_options_keys)
		return request_edit_splice(e, options->off + 1, 0, SLICE("\"include_usage\":true,"));
	return request_edit_set(e, f, WIRE_KEY_STREAM_OPTIONS, SLICE("{\"include_usage\":true}"));
}

unsigned
request_edit_apply(struct request_edit *e, struct slice body, struct slice *ret)
{
	uint64_t at = 0;
	unsigned n = 0;

	for (unsigned i = 0; i < e->n; i++) {
		must(e->v[i].off + e->v[i].cut <= body.n);
		if (e->v[i].off > at)
			ret[n++] = (struct slice){ body.p + at, e->v[i].off - at };
		if (e->v[i].text_n)
			ret[n++] = (struct slice){ e->text + e->v[i].text, e->v[i].text_n };
		at = e->v[i].off + e->v[i].cut;
	}
	if (body.n > at)
		ret[n++] = (struct slice){ body.p + at, body.n - at };
	return n;
}
