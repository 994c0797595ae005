/* SPDX-License-Identifier: MIT */
/* One generation: from the head of its request, over the checks that the engine makes, into the source, to its end. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include "base/rng.h"
#include "sim/face_impl.h"

#define NATURAL_MIN_TOK 32 /* length of an answer when no limit was asked for */
#define NATURAL_SPREAD_TOK 224
#define DEFAULT_COMPLETION_TOK 16 /* OpenAI's default of max_tokens for completions */
#define TOOL_CALL_TOK 2		  /* the name, and the arguments */
#define SIM_SHORT_ID_LEN 16

/* timers ------------------------------------------------------------------------------------------------------------- */
static void
free_if_gone(struct sim_gen *g)
{
	struct sim_face *f = g->face;

	if (!g->closing || g->n_timers > 0)
		return;
	for (unsigned i = 0; i < g->n_lines; i++)
		buf_finish(&g->lines[i].text);
	free(g->lines);
	sim_ask_finish(&g->ask);
	buf_finish(&g->body);
	buf_finish(&g->prepared);
	free(g);
	face_gen_gone(f);
}

static void
on_timer_closed(uv_handle_t *h)
{
	struct sim_gen *g = h->data;

	g->n_timers--;
	free_if_gone(g);
}

static void
start_timer(struct sim_gen *g, uv_timer_t *t, bool *open, uv_timer_cb fn, uint64_t ms, uint64_t repeat_ms)
{
	if (!*open) {
		uv_timer_init(g->face->loop, t);
		t->data = g;
		*open = true;
		g->n_timers++;
	}
	uv_timer_start(t, fn, ms, repeat_ms);
}

static void
on_stall_over(uv_timer_t *t)
{
	struct sim_gen *g = t->data;

	g->held = false;
	if (g->running)
		gen_emit(g);
}

void
gen_stall(struct sim_gen *g, uint64_t ms)
{
	g->held = true;
	start_timer(g, &g->wake, &g->wake_open, on_stall_over, ms, 0);
}

/* The role alone, before there is any text. */
static void
send_role_alone(struct sim_gen *g)
{
	struct buf *out = &g->face->out;

	if (!g->running || g->first_out || !g->chat)
		return;
	buf_clear(out);
	reply_begin_stream(&g->reply, g->face->o.personality->stream_type);
	for (unsigned i = 0; i < g->n_lines; i++)
		gen_send_role(g, &g->lines[i], out);
	reply_data(&g->reply, buf_slice(out));
}

static void
on_role_due(uv_timer_t *t)
{
	send_role_alone(t->data);
}

static void
on_beat(uv_timer_t *t)
{
	struct sim_gen *g = t->data;
	struct buf *out = &g->face->out;

	if (!g->running)
		return;
	buf_clear(out);
	reply_begin_stream(&g->reply, g->face->o.personality->stream_type);
	sim_render_comment(out, g->face->o.personality, gen_line_end(g));
	reply_data(&g->reply, buf_slice(out));
}

/* the request ---------------------------------------------------------------------------------------------------------- */
static void
refuse(struct sim_gen *g, struct sim_error e)
{
	g->face->stats.errors++;
	reply_error(&g->reply, &e, -1);
}

static void
refuse_plainly(struct sim_gen *g, unsigned status, struct slice message)
{
	refuse(g, (struct sim_error){ .status = status, .message = message });
}

struct sim_gen *
gen_create(struct sim_face *f, struct http_exchange *x, bool chat)
{
	struct sim_gen *g = must_calloc(1, sizeof(*g));
	struct slice spec = http_header_get(http_request_headers(x), SLICE("x-sim-fault"));
	struct diag d = { 0 };

	g->face = f;
	g->x = x;
	g->chat = chat;
	g->faults = f->o.faults;
	g->reply = (struct sim_reply){ .x = x, .faults = &g->faults, .who = f->o.personality };
	g->arrived_us = face_now_us(f);
	buf_init(&g->body, SIM_BODY_MAX);
	buf_init(&g->prepared, BUF_MAX_DEFAULT);
	list_push_back(&f->gens, &g->link);
	f->n_gens++;
	http_exchange_set_user(x, g);
	if (sim_faults_parse(&g->faults, spec, &d))
		refuse(g, (struct sim_error){
				  .status = 400, .message = slice_of(d.what), .param = "X-Sim-Fault" });
	else if (sim_fault_on(&g->faults, SIM_FAULT_EARLY_ANSWER))
		refuse_plainly(g, 413, SLICE("Too much, before anything was read."));
	else
		http_accept_body(x);
	return g;
}

bool
face_key_fits(const struct sim_face *f, struct http_exchange *x)
{
	struct slice sent = http_header_get(http_request_headers(x), SLICE("authorization"));

	if (!f->o.api_key)
		return true;
	return slice_starts(sent, SLICE("Bearer ")) &&
	       slice_eq((struct slice){ sent.p + 7, sent.n - 7 }, slice_of(f->o.api_key));
}

static bool
has_model(const struct sim_face *f, const char *name)
{
	for (unsigned i = 0; i < f->o.n_models; i++)
		if (strcmp(f->o.models[i], name) == 0)
			return true;
	return f->o.personality->any_model || name[0] == '\0';
}

static bool
is_json(const struct http_headers *h)
{
	struct slice type = http_header_get(h, SLICE("content-type"));
	struct slice json = SLICE("application/json");

	return type.n >= json.n && slice_ieq((struct slice){ type.p, json.n }, json);
}

/* What can be said before the body is understood.  False: it was answered. */
static bool
check_head(struct sim_gen *g)
{
	struct sim_face *f = g->face;
	const struct sim_fault *status = &g->faults.f[SIM_FAULT_STATUS];
	struct sim_error media = {
		.status = 400,
		.message = SLICE("1 validation error:\n  Unsupported Media Type: Only 'application/json' is allowed"),
		.unreadable = true,
	};
	struct sim_error fault = { .status = (unsigned)status->value,
				   .message = SLICE("Refused by a simulated fault.") };

	if (!face_is_ready(f))
		refuse_plainly(g, 503, SLICE("Loading model"));
	else if (!face_key_fits(f, g->x))
		refuse_plainly(g, 401, SLICE("Invalid API Key"));
	else if (f->o.personality->only_json && !is_json(http_request_headers(g->x)))
		refuse(g, media);
	else if (status->on)
		reply_error(&g->reply, &fault, status->second);
	else if (sim_fault_on(&g->faults, SIM_FAULT_ERROR_BEFORE))
		refuse_plainly(g, 500, SLICE("A simulated fault before the answer."));
	else
		return true;
	return false;
}

/* False: it was answered. */
static bool
read_body(struct sim_gen *g)
{
	struct sim_face *f = g->face;
	struct sim_error e = { .status = 400 };
	struct buf why;
	int err;

	buf_init(&why, 1024);
	err = sim_ask_parse(&g->ask, g->chat, buf_slice(&g->body), SIM_PROMPT_TOK_MAX, &why, &e.param);
	if (err) {
		e.message = buf_slice(&why);
		e.unreadable = !e.param;
		refuse(g, e);
	} else if (!has_model(f, g->ask.model)) {
		buf_addf(&why, "The model `%s` does not exist. Valid aliases: ", g->ask.model);
		for (unsigned i = 0; i < f->o.n_models; i++)
			buf_addf(&why, "%s%s", i ? ", " : "", f->o.models[i]);
		buf_add_char(&why, '.');
		refuse(g, (struct sim_error){ .status = 404, .message = buf_slice(&why), .param = "model" });
		err = -ENOENT;
	}
	buf_finish(&why);
	return err == 0;
}

/* the generation ------------------------------------------------------------------------------------------------------- */
/* How many tokens each line makes, and why it stops there. */
static uint64_t
choose_length(struct sim_gen *g)
{
	struct sim_face *f = g->face;
	struct rng r;

	g->finish = "length";
	if (g->ask.tool[0]) {
		g->finish = "tool_calls";
		return TOOL_CALL_TOK;
	}
	if (f->o.fixed_tok)
		return f->o.fixed_tok;
	if (g->ask.max_tok > 0)
		return (uint64_t)g->ask.max_tok;
	if (!g->chat)
		return DEFAULT_COMPLETION_TOK;
	g->finish = "stop";
	rng_init_stream(&r, f->o.seed, g->ask.seed);
	return NATURAL_MIN_TOK + rng_below(&r, NATURAL_SPREAD_TOK);
}

static void
name_answer(struct sim_gen *g)
{
	struct sim_face *f = g->face;
	const struct sim_personality *p = f->o.personality;
	struct slice id = http_header_get(http_request_headers(g->x), SLICE("x-request-id"));
	struct rng r;

	rng_init_stream(&r, f->o.seed, ++f->n_ids);
	snprintf(g->id, sizeof(g->id), "%016" PRIx64 "%016" PRIx64, rng_u64(&r), rng_u64(&r));
	if (p->short_ids)
		g->id[SIM_SHORT_ID_LEN] = '\0';
	if (p->takes_request_id && http_request_id_valid(id) && id.n < sizeof(g->id))
		snprintf(g->id, sizeof(g->id), SLICE_FMT, SLICE_ARG(id));
	snprintf(g->model, sizeof(g->model), "%s",
		 g->ask.model[0] && !p->own_model ? g->ask.model : f->o.models[0]);
	g->head = (struct sim_answer_head){
		.id = slice_of(g->id),
		.created_s = SIM_CREATED_S + f->n_ids, /* the same in each run */
		.model = slice_of(g->model),
		.chat = g->chat,
	};
	g->blank_first =
		sim_fault_on(&g->faults, SIM_FAULT_BLANK_FIRST) || rng_unit(&r) < f->o.blank_first;
}

static void
refuse_length(struct sim_gen *g, unsigned prompt_tok, uint64_t out_tok)
{
	const struct sim_face *f = g->face;
	struct sim_error e = {
		.status = 400,
		.param = out_tok > 0 ? "max_tokens" : "input_tokens",
		.too_long_tok = out_tok > 0 ? 0 : prompt_tok,
		.limit_tok = f->o.max_model_len,
	};
	struct buf text;

	buf_init(&text, 1024);
	f->o.personality->too_long(&text, prompt_tok, out_tok, f->o.max_model_len);
	e.message = buf_slice(&text);
	refuse(g, e);
	buf_finish(&text);
}

/* Cuts *@out_tok to what the model's length leaves.  False: longer than the model can, which was answered. */
static bool
fit_model(struct sim_gen *g, uint64_t *out_tok)
{
	const struct sim_personality *p = g->face->o.personality;
	unsigned most = 0, limit = g->face->o.max_model_len;
	uint64_t asked = g->ask.max_tok > 0 && !g->face->o.fixed_tok ? (uint64_t)g->ask.max_tok : 0;

	for (unsigned i = 0; i < g->ask.n_prompts; i++)
		most = MAX(most, g->ask.prompts[i].n);
	if (most == 0)
		refuse(g, (struct sim_error){ .status = 400,
					      .message = SLICE("The prompt is empty."),
					      .param = "prompt" });
	else if (most >= limit)
		refuse_length(g, most, 0);
	else if ((p->strict_length && most + asked > limit) || (p->bounds_max_tokens && asked > limit))
		refuse_length(g, most, asked);
	else
		*out_tok = MIN(*out_tok, (uint64_t)(limit - most));
	return g->reply.started == false;
}

static void
start_lines(struct sim_gen *g, uint64_t out_tok)
{
	struct sim_face *f = g->face;

	g->n_lines = g->ask.n_prompts * g->ask.n;
	g->lines = must_calloc(g->n_lines, sizeof(*g->lines));
	g->running = true;
	f->n_running++;
	f->stats.requests++;
	f->stats.peak_in_engine = MAX(f->stats.peak_in_engine, f->n_running);
	for (unsigned i = 0; i < g->n_lines; i++) {
		struct sim_line *l = &g->lines[i];

		l->gen = g;
		l->index = i;
		buf_init(&l->text, BUF_MAX_DEFAULT);
		l->in_source = true;
		l->seq = (struct sim_seq){ .prompt = &g->ask.prompts[i / g->ask.n],
					   .out_tok = out_tok,
					   .priority = g->ask.priority };
		if (i % g->ask.n == 0)
			g->prompt_tok += l->seq.prompt->n;
		f->source->ops->start(f->source, &l->seq, face_now_us(f));
	}
	f->stats.prompt_tok += g->prompt_tok;
}

static void
start_early_events(struct sim_gen *g)
{
	const struct sim_fault *role = &g->faults.f[SIM_FAULT_ROLE_FIRST],
			       *beat = &g->faults.f[SIM_FAULT_KEEPALIVE];

	if (!g->ask.stream)
		return;
	if (g->face->o.personality->head_at_once)
		reply_begin_stream(&g->reply, g->face->o.personality->stream_type);
	if (g->face->o.personality->unkind)
		send_role_alone(g);
	else if (role->on && g->chat)
		start_timer(g, &g->wake, &g->wake_open, on_role_due, (uint64_t)role->value, 0);
	if (beat->on)
		start_timer(g, &g->beat, &g->beat_open, on_beat, (uint64_t)MAX(beat->value, 1),
			    (uint64_t)MAX(beat->value, 1));
}

void
gen_start(struct sim_gen *g)
{
	struct sim_face *f = g->face;
	uint64_t out_tok;

	face_record(f, g->x, buf_slice(&g->body));
	if (!check_head(g) || !read_body(g))
		return;
	out_tok = choose_length(g);
	if (!fit_model(g, &out_tok))
		return;
	buf_finish(&g->body);
	name_answer(g);
	face_advance(f); /* the others first: time is now for all of them */
	start_lines(g, out_tok);
	start_early_events(g);
	face_advance(f);
}

static double
seconds(uint64_t from_us, uint64_t to_us)
{
	return to_us > from_us ? (double)(to_us - from_us) / 1e6 : 0;
}

static void
note_finished(struct sim_face_stats *t, const struct sim_line *l, uint64_t now_us)
{
	const struct sim_seq *s = &l->seq;
	double decode_s = seconds(l->first_us, now_us);
	double prefill_s = seconds(s->entered_us, l->first_us);

	sim_histogram_add(&t->e2e, seconds(l->gen->arrived_us, now_us));
	sim_histogram_add(&t->queue, seconds(l->gen->arrived_us, s->entered_us));
	sim_histogram_add(&t->prefill, prefill_s);
	sim_histogram_add(&t->decode, decode_s);
	if (s->made > 1)
		sim_histogram_add(&t->tpot, decode_s / (double)(s->made - 1));
	t->prefill_s += prefill_s;
	t->decode_s += decode_s;
	t->longest_tok = MAX(t->longest_tok, s->prompt->n + s->made);
}

static void
note_tokens(struct sim_face *f, struct sim_line *l, unsigned n, bool finished)
{
	struct sim_face_stats *t = &f->stats;
	uint64_t now_us = f->advance_us; /* one look at the clock for all tokens of a step */

	t->generated_tok += n;
	if (l->seq.made == n) { /* its first */
		t->cached_tok += l->seq.cached_tok;
		l->first_us = now_us;
		sim_histogram_add(&t->ttft, seconds(l->gen->arrived_us, now_us));
	} else {
		sim_histogram_add(&t->itl, seconds(l->last_us, now_us));
	}
	l->last_us = now_us;
	if (finished)
		note_finished(t, l, now_us);
}

void
gen_on_tokens(void *face, struct sim_seq *s, unsigned n, bool finished)
{
	struct sim_line *l = container_of(s, struct sim_line, seq);
	struct sim_gen *g = l->gen;
	struct sim_face *f = face;

	l->ready += n;
	note_tokens(f, l, n, finished);
	if (finished) {
		l->made_all = true;
		l->in_source = false;
	}
	if (g->running && !g->held)
		gen_emit(g);
}

void
gen_abort_lines(struct sim_gen *g)
{
	struct sim_face *f = g->face;

	for (unsigned i = 0; i < g->n_lines; i++) {
		struct sim_line *l = &g->lines[i];

		if (l->in_source)
			f->source->ops->abort(f->source, &l->seq, face_now_us(f));
		l->in_source = false;
	}
	g->doomed = false;
}

void
gen_end(struct sim_gen *g)
{
	struct sim_face *f = g->face;

	if (!g->running)
		return;
	g->running = false;
	f->n_running--;
	if (g->n_finished < g->n_lines)
		f->stats.aborted++;
	else if (strcmp(g->finish, "length") == 0)
		f->stats.finished_length++;
	else
		f->stats.finished_stop++;
	g->doomed = true;
	if (f->advancing)
		f->some_doomed = true;
	else
		gen_abort_lines(g);
}

void
gen_reset(struct sim_gen *g)
{
	gen_end(g);
	if (g->x)
		http_abort(g->x);
}

void
gen_on_close(struct sim_gen *g)
{
	g->x = g->reply.x = NULL;
	gen_end(g);
	if (g->doomed)
		gen_abort_lines(g);
	list_del(&g->link);
	g->closing = true;
	if (g->wake_open)
		uv_close((uv_handle_t *)&g->wake, on_timer_closed);
	if (g->beat_open)
		uv_close((uv_handle_t *)&g->beat, on_timer_closed);
	free_if_gone(g);
}
