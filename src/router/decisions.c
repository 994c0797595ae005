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

void
decision(struct request *r, const char *event, const char *verdict, const char *reason)
{
	struct gateway *g = r->g;
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
	jw_kv_str(&w, "tenant", r->tenant ? r->tenant->id : NULL);
	jw_kv_str(&w, "model", r->model ? r->model->config->model_id : NULL);
	jw_kv_str(&w, "request", r->id);
	jw_kv_uint(&w, "n", r->number);
	jw_kv_str(&w, "verdict", verdict && *verdict ? verdict : NULL);
	jw_kv_str(&w, "reason", reason && *reason ? reason : NULL);
	jw_end_object(&w);
	line_log_write(g->decisions, buf_slice(line));
}
