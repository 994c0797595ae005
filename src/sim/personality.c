/* SPDX-License-Identifier: MIT */
#include "sim/personality.h"

const struct sim_personality *
sim_personality_find(const char *name)
{
	static const struct sim_personality *const all[] = { &sim_vllm, &sim_sglang, &sim_llamacpp,
							     &sim_hostile };

	for (unsigned i = 0; i < ARRAY_LEN(all); i++)
		if (strcmp(all[i]->name, name) == 0)
			return all[i];
	return NULL;
}

static void
begin_event(struct buf *out, const struct sim_personality *p, const char *end)
{
	if (p->unkind) {
		sim_render_comment(out, p, end);
		buf_addf(out, "event: message%sid: 7%sretry: 3000%sdata:", end, end, end);
	} else {
		buf_add_str(out, "data: ");
	}
}

static const char *
end_of_line(const struct sim_personality *p, const char *line_end)
{
	return line_end ? line_end : p->line_end;
}

void
sim_render_comment(struct buf *out, const struct sim_personality *p, const char *line_end)
{
	const char *end = end_of_line(p, line_end);

	buf_addf(out, ": still here%s%s", end, end);
}

void
sim_render_event(struct buf *out, const struct sim_personality *p, const char *line_end, struct slice data)
{
	const char *end = end_of_line(p, line_end);

	begin_event(out, p, end);
	buf_add_slice(out, data);
	buf_add_str(out, end);
	buf_add_str(out, end);
}

void
sim_render_chunk(struct buf *out, const struct sim_personality *p, const char *line_end,
		 const struct sim_answer_head *h, const struct sim_chunk *c)
{
	const char *end = end_of_line(p, line_end);
	struct json_writer w;

	begin_event(out, p, end);
	jw_init(&w, out);
	p->chunk(&w, h, c);
	buf_add_str(out, end);
	buf_add_str(out, end);
}

void
sim_render_route_error(struct buf *out, const struct sim_personality *p, unsigned status)
{
	const char *phrase = sim_status_phrase(status);
	struct sim_error e = { .status = status,
			       .message = p->no_405 ? SLICE("File Not Found") : slice_of(phrase) };

	if (p->detail_errors)
		buf_addf(out, "{\"detail\":\"%s\"}", phrase);
	else
		p->error(out, &e);
}

const char *
sim_status_phrase(unsigned status)
{
	switch (status) {
	case 400:
		return "Bad Request";
	case 401:
		return "Unauthorized";
	case 404:
		return "Not Found";
	case 405:
		return "Method Not Allowed";
	case 408:
		return "Request Timeout";
	case 413:
		return "Request Entity Too Large";
	case 429:
		return "Too Many Requests";
	case 503:
		return "Service Unavailable";
	default:
		return "Internal Server Error";
	}
}

void
sim_render_usage(struct json_writer *w, const struct sim_usage *u)
{
	jw_kv_uint(w, "prompt_tokens", u->prompt_tok);
	jw_kv_uint(w, "total_tokens", u->prompt_tok + u->completion_tok);
	jw_kv_uint(w, "completion_tokens", u->completion_tok);
}

void
sim_render_openai_models(struct json_writer *w, const char *owner, const char *const *names,
			 unsigned n, uint64_t created_s, unsigned max_model_len)
{
	jw_object(w);
	jw_kv_str(w, "object", "list");
	jw_key(w, "data");
	jw_array(w);
	for (unsigned i = 0; i < n; i++) {
		jw_object(w);
		jw_kv_str(w, "id", names[i]);
		jw_kv_str(w, "object", "model");
		jw_kv_uint(w, "created", created_s);
		jw_kv_str(w, "owned_by", owner);
		jw_kv_str(w, "root", names[i]);
		jw_key(w, "parent");
		jw_null(w);
		jw_kv_uint(w, "max_model_len", max_model_len);
		jw_end_object(w);
	}
	jw_end_array(w);
	jw_end_object(w);
}
