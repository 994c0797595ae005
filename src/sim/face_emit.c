/* SPDX-License-Identifier: MIT */
/* Tokens into events, with the faults that belong between two tokens. */
#include <unistd.h>
#include "sim/face_impl.h"
#include "sim/words.h"

#define EXIT_STATUS_FAULT 70 /* of a process that a fault ended */

const char *
gen_line_end(struct sim_gen *g)
{
	static const char *const in_turn[] = { "\r\n", "\n", "\r" };

	if (sim_fault_on(&g->faults, SIM_FAULT_LINE_CR))
		return "\r";
	if (sim_fault_on(&g->faults, SIM_FAULT_LINE_CRLF))
		return "\r\n";
	if (sim_fault_on(&g->faults, SIM_FAULT_LINE_LF))
		return "\n";
	return g->face->o.personality->unkind ? in_turn[g->n_events++ % ARRAY_LEN(in_turn)] : NULL;
}

static struct sim_usage
usage_of_all(const struct sim_gen *g)
{
	struct sim_usage u = { .prompt_tok = g->prompt_tok };

	for (unsigned i = 0; i < g->n_lines; i++) {
		u.completion_tok += g->lines[i].sent;
		u.cached_tok += i % g->ask.n == 0 ? g->lines[i].seq.cached_tok : 0;
	}
	return u;
}

/* Beside the text of one choice. */
static struct sim_usage
usage_so_far(const struct sim_gen *g, const struct sim_line *l)
{
	return (struct sim_usage){
		.prompt_tok = g->prompt_tok,
		.completion_tok = l->sent,
		.cached_tok = l->seq.cached_tok,
	};
}

static void
add_chunk(struct sim_gen *g, struct buf *out, struct sim_chunk c)
{
	const struct sim_personality *p = g->face->o.personality;
	bool final = c.kind == SIM_CHUNK_USAGE || (c.finish && !g->chat && p->text_usage_with_finish);
	struct sim_usage u = final ? usage_of_all(g) : usage_so_far(g, &g->lines[c.index]);

	if (sim_fault_on(&g->faults, SIM_FAULT_COMMENTS))
		sim_render_comment(out, g->face->o.personality, gen_line_end(g));
	if (final || p->unkind || (g->ask.continuous_usage && !p->no_running_usage))
		c.usage = &u;
	c.last = c.kind == SIM_CHUNK_USAGE || (c.finish && !g->ask.include_usage);
	sim_render_chunk(out, g->face->o.personality, gen_line_end(g), &g->head, &c);
}

static void
add_event(struct sim_gen *g, struct buf *out, struct slice data)
{
	sim_render_event(out, g->face->o.personality, gen_line_end(g), data);
}

void
gen_send_role(struct sim_gen *g, struct sim_line *l, struct buf *out)
{
	if (l->role_sent)
		return;
	l->role_sent = true;
	if (g->chat)
		add_chunk(g, out, (struct sim_chunk){ .kind = SIM_CHUNK_ROLE, .index = l->index });
}

/* Sends what is collected, right now: something is going to happen to the connection. */
static void
send_at_once(struct sim_gen *g, struct buf *out)
{
	if (g->ask.stream && out->n > 0) { /* an engine that waits with its head goes on waiting */
		reply_begin_stream(&g->reply, g->face->o.personality->stream_type);
		reply_data(&g->reply, buf_slice(out));
	}
	buf_clear(out);
	if (g->x)
		http_flush(g->x);
}

static void
fail_generation(struct sim_gen *g, struct buf *out)
{
	const struct sim_personality *p = g->face->o.personality;
	struct sim_error e = { .status = 500, .message = SLICE("A simulated fault inside the answer.") };
	struct buf json;

	if (!g->ask.stream || !g->reply.started) {
		reply_error(&g->reply, &e, -1);
		gen_end(g);
		return;
	}
	buf_init(&json, 4096);
	p->stream_error(&json, &e);
	add_event(g, out, buf_slice(&json));
	buf_finish(&json);
	if (p->done_after_error)
		add_event(g, out, SLICE("[DONE]"));
	send_at_once(g, out);
	reply_end(&g->reply);
	gen_end(g);
}

static void
add_nonsense(struct sim_gen *g, struct buf *out)
{
	if (!g->ask.stream)
		return;
	add_event(g, out, SLICE("{\"choices\":[{\"delta\":{\"content\":\"cut"));
	buf_add_str(out, "this line has no field name\n\n");
}

static void
add_huge(struct sim_gen *g, struct sim_line *l, struct buf *out, int64_t bytes)
{
	struct buf text;

	if (!g->ask.stream)
		return;
	buf_init(&text, SIM_BODY_MAX);
	while ((int64_t)text.n < bytes && !text.overflow)
		buf_add_char(&text, 'x');
	add_chunk(g, out,
		  (struct sim_chunk){
			  .kind = SIM_CHUNK_TEXT, .index = l->index, .text = buf_slice(&text) });
	buf_finish(&text);
}

/* What is to happen before token @token of the first line.  False: nothing more goes out now. */
static bool
act_before(struct sim_gen *g, struct sim_line *l, struct buf *out, uint64_t token)
{
	const struct sim_faults *f = &g->faults;

	if (l->index > 0)
		return true;
	if (sim_fault_at(f, SIM_FAULT_STALL, token) && !g->stalled) {
		g->stalled = true;
		send_at_once(g, out);
		gen_stall(g, (uint64_t)f->f[SIM_FAULT_STALL].value);
		return false;
	}
	if (sim_fault_at(f, SIM_FAULT_MALFORMED, token))
		add_nonsense(g, out);
	if (sim_fault_at(f, SIM_FAULT_HUGE_EVENT, token))
		add_huge(g, l, out, f->f[SIM_FAULT_HUGE_EVENT].value);
	if (sim_fault_at(f, SIM_FAULT_EXIT_AFTER, token)) {
		send_at_once(g, out);
		_exit(EXIT_STATUS_FAULT);
	}
	if (sim_fault_at(f, SIM_FAULT_CUT_AFTER, token)) {
		send_at_once(g, out);
		gen_reset(g);
	} else if (sim_fault_at(f, SIM_FAULT_END_AFTER, token)) {
		send_at_once(g, out);
		if (g->ask.stream)
			reply_begin_stream(&g->reply, g->face->o.personality->stream_type);
		reply_end(&g->reply);
		gen_end(g);
	} else if (sim_fault_at(f, SIM_FAULT_ERROR_IN_STREAM, token)) {
		fail_generation(g, out);
	} else if (sim_fault_at(f, SIM_FAULT_HANG_AFTER, token)) {
		send_at_once(g, out);
		g->held = true;
	}
	return g->running && !g->held;
}

static bool
is_silent(const struct sim_gen *g, uint64_t token)
{
	const struct sim_fault *f = &g->faults.f[SIM_FAULT_SILENT_EVERY];

	return f->on && (token + 1) % (uint64_t)MAX(f->value, 1) == 0;
}

/* The text of @n tokens from the line's next one on. */
static void
make_text(const struct sim_gen *g, const struct sim_line *l, uint64_t n, struct buf *text)
{
	for (uint64_t i = l->sent; i < l->sent + n; i++) {
		if (g->ask.tool[0])
			buf_add_str(text, i == 1 ? "{}" : "");
		else if (is_silent(g, i))
			continue;
		else if (g->face->o.same_words)
			buf_add_str(text, " token");
		else if (i == 0 && g->blank_first)
			buf_add_char(text, '\n');
		else
			sim_word(text, g->ask.seed + l->index, i);
		if (g->face->o.personality->unkind && !g->ask.tool[0])
			buf_add_str(text, "\xc3\xa9\xf0\x9f\xa6\x91"); /* for writes to cut */
	}
}

static void
add_text_chunk(struct sim_gen *g, struct sim_line *l, struct buf *out, struct slice text,
	       bool first, const char *finish)
{
	const struct sim_personality *p = g->face->o.personality;
	bool skips = g->chat ? p->chat_skips_empty : p->text_skips_empty;
	struct sim_chunk c = { .kind = SIM_CHUNK_TEXT, .index = l->index, .text = text, .finish = finish };

	if (g->ask.tool[0] && g->chat) {
		c.kind = first ? SIM_CHUNK_TOOL : SIM_CHUNK_ARGUMENTS;
		if (first)
			c.tool = slice_of(g->ask.tool);
	}
	if (!finish && text.n == 0 && skips && c.kind == SIM_CHUNK_TEXT)
		return;
	add_chunk(g, out, c);
}

/* With same words every event but the first and the last of a line is the same: it is made once and copied. */
static bool
add_prepared(struct sim_gen *g, struct sim_line *l, struct buf *out)
{
	if (!g->face->o.same_words || g->n_lines > 1 || g->ask.continuous_usage || g->ask.tool[0] ||
	    g->face->o.personality->unkind || sim_fault_on(&g->faults, SIM_FAULT_SILENT_EVERY))
		return false;
	if (g->prepared.n == 0)
		add_text_chunk(g, l, &g->prepared, SLICE(" token"), false, NULL);
	buf_add_slice(out, buf_slice(&g->prepared));
	return true;
}

static bool
finish_apart(const struct sim_gen *g)
{
	const struct sim_personality *p = g->face->o.personality;

	return g->chat ? p->chat_finish_apart : p->text_finish_apart;
}

/* @n tokens in one event; @last: nothing follows them. */
static void
add_tokens(struct sim_gen *g, struct sim_line *l, struct buf *out, uint64_t n, bool last)
{
	const char *finish = last && !finish_apart(g) ? g->finish : NULL;
	bool first = l->sent == 0;
	struct buf text;

	if (g->ask.stream && first) {
		gen_send_role(g, l, out);
		if (sim_fault_on(&g->faults, SIM_FAULT_EMPTY_FIRST))
			add_chunk(g, out,
				  (struct sim_chunk){ .kind = SIM_CHUNK_TEXT, .index = l->index });
	}
	l->ready -= n;
	if (!g->ask.stream) {
		make_text(g, l, n, &l->text);
		l->sent += n;
	} else if (n == 1 && !finish && add_prepared(g, l, out)) {
		l->sent += n;
	} else {
		buf_init(&text, BUF_MAX_DEFAULT);
		make_text(g, l, n, &text);
		l->sent += n; /* usage counts these too */
		add_text_chunk(g, l, out, buf_slice(&text), first, finish);
		buf_finish(&text);
	}
	g->first_out = true;
}

/* Everything of @l that is ready.  False: the generation is held or over. */
static bool
add_line(struct sim_gen *g, struct sim_line *l, struct buf *out)
{
	bool counting = sim_faults_count_tokens(&g->faults);

	while (l->ready > 0) {
		uint64_t n = counting ? 1 : l->ready;

		if (counting && !act_before(g, l, out, l->sent))
			return false;
		add_tokens(g, l, out, n, l->made_all && l->ready == n);
	}
	if (!l->made_all || l->finished)
		return true;
	if (counting && !act_before(g, l, out, l->sent))
		return false;
	if (g->ask.stream && finish_apart(g))
		add_chunk(g, out,
			  (struct sim_chunk){
				  .kind = SIM_CHUNK_FINISH, .index = l->index, .finish = g->finish });
	l->finished = true;
	g->n_finished++;
	return true;
}

static void
answer_whole(struct sim_gen *g)
{
	const struct sim_personality *p = g->face->o.personality;
	struct sim_choice choices[SIM_CHOICES_MAX];
	struct sim_usage u = usage_of_all(g);
	struct buf *out = &g->face->out;
	struct json_writer w;

	for (unsigned i = 0; i < g->n_lines; i++)
		choices[i] = (struct sim_choice){
			.text = buf_slice(&g->lines[i].text),
			.tool = g->ask.tool[0] ? slice_of(g->ask.tool) : (struct slice){ 0 },
			.finish = g->finish,
		};
	buf_clear(out);
	jw_init(&w, out);
	p->answer(&w, &g->head, choices, g->n_lines, &u);
	reply_whole(&g->reply, 200, p->json_type, NULL, buf_slice(out));
}

void
gen_emit(struct sim_gen *g)
{
	const struct sim_personality *p = g->face->o.personality;
	struct buf *out = &g->face->out;
	bool over;

	buf_clear(out);
	for (unsigned i = 0; i < g->n_lines; i++)
		if (!add_line(g, &g->lines[i], out))
			return;
	over = g->n_finished == g->n_lines;
	if (!g->ask.stream) {
		if (over)
			answer_whole(g);
	} else {
		if (over && g->ask.include_usage && (g->chat || !p->text_usage_with_finish))
			add_chunk(g, out, (struct sim_chunk){ .kind = SIM_CHUNK_USAGE });
		if (over && !p->unkind)
			add_event(g, out, SLICE("[DONE]"));
		if (out->n)
			reply_begin_stream(&g->reply, p->stream_type);
		reply_data(&g->reply, buf_slice(out));
		if (over)
			reply_end(&g->reply);
	}
	if (over)
		gen_end(g);
}
