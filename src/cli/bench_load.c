/* SPDX-License-Identifier: MIT */
#include "cli/bench_load.h"
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>
#include "base/log.h"
#include "bench/load.h"
#include "cli/child_side.h"

#define LINE_EVERY_MS 500
#define PHASE_MAX_S 86400.0

enum {
	EXIT_CANNOT_RUN = 1,
	EXIT_USAGE = 2
};

struct load_process {
	struct load_spec spec;
	struct http_endpoint endpoint;
	bool has_endpoint;
	struct child_side side;

	uv_loop_t loop;
	uv_timer_t line;
	uv_signal_t term;
	struct load *load;
};

/* options ------------------------------------------------------------------------------------- */
static const struct option options[] = {
	{ "url", required_argument, NULL, 'u' },
	{ "model", required_argument, NULL, 'm' },
	{ "tenant", required_argument, NULL, 't' },
	{ "warmup", required_argument, NULL, 'w' },
	{ "duration", required_argument, NULL, 'd' },
	{ "cooldown", required_argument, NULL, 'c' },
	{ "seed", required_argument, NULL, 's' },
	{ "report-fd", required_argument, NULL, 'r' },
	{ "die-with-parent", required_argument, NULL, 'p' },
	{ 0 },
};

static int
read_seconds(double *ret, struct diag *d)
{
	double v;

	if (slice_to_double(slice_of(optarg), &v) || !(v >= 0 && v <= PHASE_MAX_S)) {
		diag_what(d, "'%s' is no number of seconds", optarg);
		return -EINVAL;
	}
	*ret = v;
	return 0;
}

static int
read_whole(uint64_t max, uint64_t *ret, struct diag *d)
{
	if (slice_to_u64(slice_of(optarg), ret) || *ret > max) {
		diag_what(d, "'%s' is no number in range", optarg);
		return -EINVAL;
	}
	return 0;
}

static int
read_option(struct load_process *p, int id, struct diag *d)
{
	struct load_spec *s = &p->spec;
	uint64_t n = 0;
	int err = 0;

	switch (id) {
	case 'u':
		p->has_endpoint = true;
		return http_endpoint_parse(slice_of(optarg), &p->endpoint, d);
	case 'm':
		snprintf(s->model, sizeof(s->model), "%s", optarg);
		return 0;
	case 't':
		if (s->n_tenants == LOAD_TENANTS_MAX) {
			diag_what(d, "there are too many tenants");
			return -EINVAL;
		}
		return load_tenant_parse(&s->tenants[s->n_tenants++], slice_of(optarg), d);
	case 'w':
		return read_seconds(&s->warmup_s, d);
	case 'd':
		return read_seconds(&s->duration_s, d);
	case 'c':
		return read_seconds(&s->cooldown_s, d);
	case 's':
		return read_whole(UINT64_MAX, &s->seed, d);
	case 'r':
		err = read_whole(INT32_MAX, &n, d);
		p->side.report_fd = (int)n;
		return err;
	case 'p':
		err = read_whole(INT32_MAX, &n, d);
		p->side.die_with_parent = true;
		p->side.parent = (pid_t)n;
		return err;
	default:
		diag_what(d, "there is no such option, or its value is missing");
		return -EINVAL;
	}
}

static int
read_options(struct load_process *p, int argc, char **argv, struct diag *d)
{
	int id;

	optind = 0;
	opterr = 0;
	while ((id = getopt_long(argc, argv, "", options, NULL)) != -1) {
		int err = read_option(p, id, d);

		if (err)
			return err;
	}
	if (p->has_endpoint && p->spec.n_tenants && p->spec.model[0] && p->spec.duration_s > 0)
		return 0;
	diag_what(d, "--url, --model, --duration and at least one --tenant are needed");
	return -EINVAL;
}

/* running ------------------------------------------------------------------------------------- */
static void
write_line(struct load_process *p)
{
	struct load_result r;
	struct buf line;

	buf_init(&line, LOAD_RESULT_LINE_MAX);
	load_get_result(p->load, &r);
	load_result_write(&r, &line);
	for (size_t done = 0; done < line.n;) {
		ssize_t n = write(p->side.report_fd, line.p + done, line.n - done);

		if (n < 0 && errno != EINTR)
			break; /* nobody reads any more */
		done += n > 0 ? (size_t)n : 0;
	}
	buf_finish(&line);
}

static void
on_line_due(uv_timer_t *t)
{
	write_line(t->data);
}

static void
on_closed(void *ctx)
{
	(void)ctx;
}

static void
close_all(struct load_process *p)
{
	uv_close((uv_handle_t *)&p->line, NULL);
	uv_close((uv_handle_t *)&p->term, NULL);
	load_close(p->load, on_closed, p);
}

static void
on_done(void *ctx)
{
	struct load_process *p = ctx;

	write_line(p);
	close_all(p);
}

static void
on_term(uv_signal_t *h, int number)
{
	(void)number;
	close_all(h->data);
}

static int
run(struct load_process *p)
{
	if (!child_side_follow(&p->side))
		return EXIT_CANNOT_RUN;
	signal(SIGPIPE, SIG_IGN);
	uv_loop_init(&p->loop);
	uv_timer_init(&p->loop, &p->line);
	uv_signal_init(&p->loop, &p->term);
	p->line.data = p->term.data = p;
	p->load = load_create(&p->loop, &p->spec, &p->endpoint);
	uv_signal_start(&p->term, on_term, SIGTERM);
	uv_timer_start(&p->line, on_line_due, LINE_EVERY_MS, LINE_EVERY_MS);
	load_start(p->load, on_done, p);
	uv_run(&p->loop, UV_RUN_DEFAULT);
	load_destroy(p->load);
	uv_loop_close(&p->loop);
	return 0;
}

int
cli_bench_load(int argc, char **argv)
{
	struct load_process p = { .side.report_fd = STDOUT_FILENO };
	struct diag d = { 0 };

	if (read_options(&p, argc, argv, &d)) {
		log_diag(LOG_ERROR, &d);
		return EXIT_USAGE;
	}
	return run(&p);
}
