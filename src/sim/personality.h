/* SPDX-License-Identifier: MIT */
/*
 * personality - how an engine words its answers: chunks, whole answers, errors, metric names, and when it is ready.
 *
 * Pure rendering, from facts into a buffer; one table per engine.  The order of keys, what is null and what is absent are
 * the engine's own, since a relay must cope with each:
 *   vllm      0.32: role chunk with "", last text and finish_reason in one chunk, nested errors, [DONE] also after an error
 *   sglang    0.5.23: reasoning_content always there, a finish chunk without content, flat errors, no chunk for a token without text
 *   llamacpp  "choices" before "id", role chunk with content null, timings, usage unasked in completions, no [DONE] after an error
 *   hostile   legal and unkind: all three line ends, comments, other SSE fields, escapes, split characters, an early role, a huge
 *             event, usage beside text, decoys, no [DONE], errors that are no JSON or a string
 * The first three were compared with what the real servers of these versions sent.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "base/json_writer.h"
#include "base/str.h"
#include "sim/face_stats.h"

struct sim_usage {
	uint64_t prompt_tok, completion_tok, cached_tok;
};

/* What all chunks of one answer share. */
struct sim_answer_head {
	struct slice id; /* without the engine's prefix */
	uint64_t created_s;
	struct slice model;
	bool chat; /* chat/completions, else completions */
};

enum sim_chunk_kind {
	SIM_CHUNK_ROLE, /* chat only: before the first text of a choice */
	SIM_CHUNK_TEXT,
	SIM_CHUNK_TOOL,	     /* chat only: a call of `tool` begins */
	SIM_CHUNK_ARGUMENTS, /* a piece of its arguments */
	SIM_CHUNK_FINISH,    /* finish_reason and no text */
	SIM_CHUNK_USAGE,     /* the extra one at the end: no choices */
};

struct sim_chunk {
	enum sim_chunk_kind kind;
	unsigned index; /* of the choice */
	struct slice text;
	struct slice tool;	       /* name of the function */
	const char *finish;	       /* "length", "stop", "tool_calls", ...; NULL: not yet */
	const struct sim_usage *usage; /* NULL: none in this chunk */
	bool last;		       /* nothing with choices or usage follows */
};

struct sim_choice {
	struct slice text; /* or the tool's arguments */
	struct slice tool; /* p NULL: plain text */
	const char *finish;
};

struct sim_error {
	unsigned status;
	struct slice message;
	const char *param; /* NULL: none */
	bool unreadable; /* refused by the web framework: the body is no JSON, or of another type */
	unsigned too_long_tok; /* prompt tokens of one that is too long, else 0 */
	unsigned limit_tok;    /* then: the most */
};

/* What a client meets while the engine loads. */
enum sim_loading {
	SIM_LOADING_REFUSED,	      /* connections are refused */
	SIM_LOADING_REFUSED_THEN_503, /* and /health says 503 in the last third */
	SIM_LOADING_503,	      /* everything answers 503 */
};

struct sim_personality {
	const char *name;
	const char *stream_type, *json_type, *error_type; /* content types */
	const char *line_end;
	enum sim_loading loading;
	const char *server;	     /* the header of this name; NULL: none */
	bool head_at_once;	     /* a stream's head goes out before its first token */
	bool chat_finish_apart;	     /* finish_reason comes in a chunk of its own */
	bool text_finish_apart;	     /* the same for completions */
	bool text_usage_with_finish; /* usage of completions stands in that chunk, asked for or not */
	bool chat_skips_empty;	     /* a token without text has no chunk */
	bool text_skips_empty;	     /* the same for completions */
	bool done_after_error;	     /* an error event is followed by [DONE] */
	bool any_model;		     /* an unknown model is served */
	bool own_model;		     /* under the name that is served, whatever was asked for */
	bool takes_request_id;	     /* X-Request-Id becomes the answer's id */
	bool short_ids;		     /* of 16 digits, else 32 */
	bool only_json;		     /* another Content-Type is refused */
	bool detail_errors;	     /* an unknown path gets {"detail":...} of the web framework */
	bool no_405;		     /* a wrong method is 404 */
	bool head_pages;	     /* HEAD is served where GET is, else it is a wrong method */
	bool metrics_need_key;
	bool no_running_usage; /* continuous_usage_stats means nothing */
	bool strict_length; /* prompt and max_tokens beyond the model's length are refused, else the answer is cut */
	bool bounds_max_tokens; /* max_tokens alone beyond that length are refused */
	/* Line ends change from event to event, other SSE fields and a comment stand in each, no blank follows "data:",
	 * writes end inside characters, the role comes at once, usage beside text, a huge event, no [DONE]. */
	bool unkind;
	void (*chunk)(struct json_writer *w, const struct sim_answer_head *h, const struct sim_chunk *c);
	void (*answer)(struct json_writer *w, const struct sim_answer_head *h,
		       const struct sim_choice *choices, unsigned n, const struct sim_usage *usage);
	void (*error)(struct buf *out, const struct sim_error *e);
	/* What it says about a prompt (or, with @out_tok > 0, about both) that does not fit @limit_tok. */
	void (*too_long)(struct buf *out, unsigned prompt_tok, uint64_t out_tok, unsigned limit_tok);
	/* The data of an event inside a stream: JSON always. */
	void (*stream_error)(struct buf *out, const struct sim_error *e);
	void (*health)(struct buf *out);
	void (*models)(struct json_writer *w, const char *const *names, unsigned n,
		       uint64_t created_s, unsigned max_model_len);
	void (*metrics)(struct buf *out, const struct sim_face_stats *s);
};

/* "vllm", "sglang", "llamacpp" or "hostile"; NULL for another. */
const struct sim_personality *sim_personality_find(const char *name);
/* All names, for messages. */
#define SIM_PERSONALITIES "vllm, sglang, llamacpp, hostile"

extern const struct sim_personality sim_vllm, sim_sglang, sim_llamacpp, sim_hostile;

/* One event of a stream, as the personality frames it.  @line_end NULL: its own. */
void sim_render_event(struct buf *out, const struct sim_personality *p, const char *line_end,
		      struct slice data);
void sim_render_chunk(struct buf *out, const struct sim_personality *p, const char *line_end,
		      const struct sim_answer_head *h, const struct sim_chunk *c);
void sim_render_comment(struct buf *out, const struct sim_personality *p, const char *line_end);
/* What a web framework answers by itself (unknown path, wrong method) or the personality's own error. */
void sim_render_route_error(struct buf *out, const struct sim_personality *p, unsigned status);

/* For the personalities' own use: shared pieces. */
const char *sim_status_phrase(unsigned status);
void sim_render_usage(struct json_writer *w, const struct sim_usage *u);
void sim_render_openai_models(struct json_writer *w, const char *owner, const char *const *names,
			      unsigned n, uint64_t created_s, unsigned max_model_len);
