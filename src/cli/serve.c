/* SPDX-License-Identifier: MIT */
/* `kvwarden serve`: command line, signals, and the loop around a gateway. */
#include "cli/serve.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>
#include <uv.h>
#include "base/log.h"
#include "cli/serve_options.h"
#include "cli/sim_names.h"
#include "router/gateway.h"

enum {
	EXIT_CANNOT_RUN = 1,
	EXIT_USAGE = 2
};

struct serve {
	struct serve_options o;
	uv_loop_t loop;
	uv_signal_t term, interrupt, hup, usr1;
	struct gateway *gateway;
	bool ending;
};

static const char choices[] =
	"kvwarden serve needs to know what to serve:\n"
	"\n"
	"  kvwarden serve --sim                a simulated engine, to look around without a GPU\n"
	"  kvwarden serve --config FILE        an engine that runs already; FILE needs no more than\n"
	"\n"
	"      models:\n"
	"        - model_id: NAME\n"
	"          engine: openai\n"
	"          endpoint: http://127.0.0.1:8000\n"
	"\n"
	"`kvwarden config check FILE` reads a file without starting anything.\n";

static int
tell_errors(const struct config_errors *errs)
{
	for (unsigned i = 0; i < errs->n; i++)
		log_diag(LOG_ERROR, &errs->v[i]);
	if (errs->total > errs->n)
		log_error("%u more mistakes are not shown", errs->total - errs->n);
	return EXIT_CANNOT_RUN;
}

static void
tell_notices(const struct config *c)
{
	for (unsigned i = 0; i < c->n_notices; i++)
		log_diag(LOG_WARN, &c->notices[i]);
}

/* The file, with everything that makes it unfit to serve; NULL with @rc set. */
static struct config *
load(const struct serve_options *o, int *rc)
{
	struct config_errors errs = { 0 };
	struct config *c = serve_options_load(o, &errs);
	struct diag d = { 0 };

	if (!c) {
		*rc = tell_errors(&errs);
		return NULL;
	}
	if (!config_cannot_serve(c, &d) && sim_names_check(c, &d) == 0)
		return c;
	log_diag(LOG_ERROR, &d);
	config_unref(c);
	*rc = EXIT_CANNOT_RUN;
	return NULL;
}

/* signals --------------------------------------------------------------------------------------------------------- */

static void
on_done(void *ctx)
{
	struct serve *s = ctx;
	uv_handle_t *handles[] = { (uv_handle_t *)&s->term, (uv_handle_t *)&s->interrupt,
				   (uv_handle_t *)&s->hup, (uv_handle_t *)&s->usr1 };

	for (size_t i = 0; i < ARRAY_LEN(handles); i++)
		if (!uv_is_closing(handles[i]))
			uv_close(handles[i], NULL);
}

static void
on_end_signal(uv_signal_t *h, int number)
{
	struct serve *s = h->data;

	if (s->ending) {
		log_warn("a second signal: what still runs is cut off");
		gateway_stop(s->gateway);
		return;
	}
	s->ending = true;
	log_info("%s: no new requests; what runs may finish. A second signal stops at once",
		 number == SIGINT ? "interrupted" : "asked to end");
	gateway_drain(s->gateway, on_done, s);
}

static void
on_hup(uv_signal_t *h, int number)
{
	struct serve *s = h->data;
	struct diag d = { 0 };
	struct config *c;
	int rc = 0;

	(void)number;
	c = load(&s->o, &rc);
	if (!c) {
		log_error("reload: the file has mistakes; what was in force stays in force");
		gateway_note_reload_failure(s->gateway);
		return;
	}
	tell_notices(c);
	if (gateway_reload(s->gateway, c, &d)) {
		log_diag(LOG_ERROR, &d);
		log_error("reload: refused; what was in force stays in force");
		return;
	}
	log_info("reload: done");
}

static void
on_usr1(uv_signal_t *h, int number)
{
	struct serve *s = h->data;

	(void)number;
	gateway_reopen_logs(s->gateway);
}

static void
watch(struct serve *s, uv_signal_t *h, int number, uv_signal_cb cb)
{
	uv_signal_init(&s->loop, h);
	h->data = s;
	uv_signal_start(h, cb, number);
}

static void
watch_signals(struct serve *s)
{
	signal(SIGPIPE, SIG_IGN);
	watch(s, &s->term, SIGTERM, on_end_signal);
	watch(s, &s->interrupt, SIGINT, on_end_signal);
	watch(s, &s->hup, SIGHUP, on_hup);
	watch(s, &s->usr1, SIGUSR1, on_usr1);
}

/* life ------------------------------------------------------------------------------------------------------------ */

/* A stream needs two descriptors; the soft limit is often 1,024. */
static void
raise_descriptor_limit(void)
{
	struct rlimit l;

	if (getrlimit(RLIMIT_NOFILE, &l) == 0 && l.rlim_cur < l.rlim_max) {
		l.rlim_cur = l.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &l);
	}
}

static bool
is_loopback(const char *host)
{
	struct slice h = slice_of(host);

	return slice_starts(h, SLICE("127.")) || slice_eq(h, SLICE("::1")) ||
	       slice_ieq(h, SLICE("localhost"));
}

static void
greet(const struct config *c, uint16_t port)
{
	bool simulated = false;

	for (unsigned i = 0; i < c->n_models; i++)
		simulated |= c->models[i].engine == CONFIG_SIM;
	if (simulated)
		log_warn("SIMULATED: at least one model is served by the built-in simulator; its answers are made up");
	if (c->auth == CONFIG_AUTH_NONE && !is_loopback(c->host))
		log_warn("auth: none on %s: whoever reaches this port can take any tenant's name",
			 c->host);
	log_info("serving on http://%s:%u%s%s", c->host, port, c->unix_socket ? " and unix:" : "",
		 c->unix_socket ? c->unix_socket : "");
	for (unsigned i = 0; i < c->n_models; i++)
		log_info("model %s%s%s", c->models[i].model_id, c->models[i].endpoint ? " at " : "",
			 c->models[i].endpoint ? c->models[i].endpoint : "");
	log_info("GET /health answers 200 once every model has answered");
}

static const char *
self_exe(void)
{
	static char path[4096];
	ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 1);

	path[MAX(n, 0)] = '\0';
	return path;
}

static int
run(struct serve *s)
{
	struct diag d = { 0 };
	struct config *c;
	int rc = 0;

	c = load(&s->o, &rc);
	if (!c)
		return rc;
	tell_notices(c);
	raise_descriptor_limit();
	uv_loop_init(&s->loop);
	watch_signals(s);
	s->gateway = gateway_create(&s->loop, config_ref(c), self_exe(), &d);
	if (!s->gateway) {
		log_diag(LOG_ERROR, &d);
		on_done(s);
		rc = EXIT_CANNOT_RUN;
	} else {
		greet(c, gateway_port(s->gateway));
		child_side_report(&s->o.side, c->host, gateway_port(s->gateway), NULL);
	}
	config_unref(c);
	uv_run(&s->loop, UV_RUN_DEFAULT);
	gateway_destroy(s->gateway);
	must(uv_loop_close(&s->loop) == 0);
	return rc;
}

int
cli_serve(int argc, char **argv)
{
	struct serve s = { 0 };
	struct diag d = { 0 };

	if (serve_options_parse(argc, argv, &s.o, &d)) {
		log_diag(LOG_ERROR, &d);
		fputs(serve_usage, stderr);
		return EXIT_USAGE;
	}
	if (s.o.help) {
		fputs(serve_usage, stdout);
		return 0;
	}
	if (serve_options_empty(&s.o)) {
		fputs(choices, stderr);
		return EXIT_CANNOT_RUN;
	}
	if (!child_side_follow(&s.o.side))
		return EXIT_CANNOT_RUN;
	return run(&s);
}
