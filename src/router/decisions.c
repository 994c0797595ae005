/* SPDX-License-Identifier: MIT */
/*
 * The decision log: one JSON line for each thing that admission or the relay decided.
 *
 * {"t_us":…,"turn":…,"event":"grant","tenant":"quiet","model":"m","request":"…","n":17,"verdict":"engine","reason":null}
 *
 * t_us counts from the gateway's start; turn is the number of the loop's turn, so that a reader sees what happened
 * within one.
 */
#include "base/json_writer.h"
#include "router/gateway_impl.h"

struct subject {
	const char *tenant, *model, *request; /* NULL: null */
	uint64_t n;			      /* 0: null */
};

static void
write_line(struct gateway *g, const char *event, struct subject of, const char *verdict, const char *reason)
{
	struct buf *line = &g->decision_line;
	struct json_writer w;

	if (!g->decisions)
		return;
	buf_clear(line);
	jw_init(&w, line);
	jw_object(&w);
	jw_kv_uint(&w, "t_us", g->now_us - g->started_us);
	jw_kv_uint(&w, "turn", g->turn);
	jw_kv_str(&w, "event", event);
	jw_kv_str(&w, "tenant", of.tenant);
	jw_kv_str(&w, "model", of.model);
	jw_kv_str(&w, "request", of.request);
	jw_key(&w, "n");
	if (of.n)
		jw_uint(&w, of.n);
	else
		jw_null(&w);
	jw_kv_str(&w, "verdict", verdict && *verdict ? verdict : NULL);
	jw_kv_str(&w, "reason", reason && *reason ? reason : NULL);
	jw_end_object(&w);
	line_log_write(g->decisions, buf_slice(line));
}

void
decision(struct request *r, const char *event, const char *verdict, const char *reason)
{
	struct subject of = { .request = r->id, .n = r->number };

	if (r->tenant)
		of.tenant = r->tenant->id;
	if (r->model)
		of.model = r->model->config->model_id;
	write_line(r->g, event, of, verdict, reason);
}

void
decision_engine(struct served_model *m, const char *state, const char *reason)
{
	write_line(m->g, "engine", (struct subject){ .model = m->config->model_id }, state, reason);
}
