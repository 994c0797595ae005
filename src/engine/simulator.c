/* SPDX-License-Identifier: MIT */
/* The engine that we start ourselves: this very program as `kvwarden sim`. */
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>
#include "base/log.h"
#include "engine/engine_impl.h"

static void
on_address(void *ctx, const char *host, uint16_t port)
{
	struct engine *e = ctx;
	bool v6 = strchr(host, ':') != NULL;
	struct buf url;
	struct diag d = { 0 };

	if (e->stopping)
		return;
	buf_init(&url, ENGINE_URL_MAX - 1);
	buf_addf(&url, "http://%s%s%s:%u", v6 ? "[" : "", host, v6 ? "]" : "", port);
	if (http_endpoint_parse(buf_slice(&url), &e->endpoint, &d)) {
		engine_set_error(e, "its address is unusable: %s", d.what);
		engine_set_state(e, ENGINE_FAILED, "address");
	} else {
		snprintf(e->url, sizeof(e->url), "%s", buf_cstr(&url));
		engine_open_pool(e);
	}
	buf_finish(&url);
}

static void
log_last_words(const struct engine *e)
{
	struct slice rest = buf_slice(&e->child.log_buf);

	while (rest.n) {
		const char *end = memchr(rest.p, '\n', rest.n);
		size_t n = end ? (size_t)(end - rest.p) : rest.n;

		if (n)
			log_warn("engine %s: its log: " SLICE_FMT, e->model_id, (int)n, rest.p);
		rest.p += n + (end != NULL);
		rest.n -= n + (end != NULL);
	}
}

static void
on_end(void *ctx, const char *why)
{
	struct engine *e = ctx;

	if (e->stopping)
		return;
	engine_probe_halt(e);
	log_last_words(e);
	engine_set_error(e, "%s", why);
	engine_set_state(e, ENGINE_FAILED, "ended");
}

static void
on_closed(void *ctx)
{
	engine_part_closed(ctx);
}

static const struct engine_child_ops child_ops = { .on_address = on_address,
						   .on_end = on_end,
						   .on_closed = on_closed };

void
engine_simulator_start(struct engine *e)
{
	const char *args[ENGINE_CHILD_ARGS_MAX + 1] = { "kvwarden", "sim",	   "--port",
							"0",	    "--report-fd", "3" };
	char parent[48], seqs[24];
	struct diag d = { 0 };
	unsigned n = 6;

	snprintf(parent, sizeof(parent), "--die-with-parent=%ld", (long)getpid());
	args[n++] = parent;
	args[n++] = "--model";
	args[n++] = e->model_id;
	if (e->sim_preset) {
		args[n++] = "--preset";
		args[n++] = e->sim_preset;
	}
	if (e->sim_host) {
		args[n++] = "--host-cpu";
		args[n++] = e->sim_host;
	}
	if (e->sim_max_num_seqs > 0) {
		snprintf(seqs, sizeof(seqs), "%" PRId64, e->sim_max_num_seqs);
		args[n++] = "--max-num-seqs";
		args[n++] = seqs;
	}
	must(n <= ENGINE_CHILD_ARGS_MAX);
	e->has_child = true;
	e->open++;
	if (engine_child_start(&e->child, e->loop, e->setup.self_exe, args, &child_ops, e, &d)) {
		engine_set_error(e, "%s", d.what);
		engine_set_state(e, ENGINE_FAILED, "start");
	}
}
