/* SPDX-License-Identifier: MIT */
#include "cli/demo.h"
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include "base/log.h"
#include "bench/arm.h"
#include "bench/arm_table.h"
#include "bench/server.h"
#include "cli/demo_options.h"

#define QUIET_RPS 5.0
#define QUIET_SHARE_MAX                                                                            \
	0.1		 /* of what the engine can do, so that it is quiet on a small engine too */
#define FLOOD_FACTOR 2.0 /* times what the engine can do */
#define FLOOD_WIDTHS 4u	 /* times the engine's width at a time, at most */
#define TOKENS 64	 /* of each prompt and each answer */
#define WARMUP_S 3.0	 /* the flood needs so long to fill the engine's queue */
#define COOLDOWN_S 8.0
#define LEARN_MS 30000
#define ARM_OVERHEAD_S                                                                             \
	1.0 /* starting, stopping and proving that the engine is idle, for the time left */

enum {
	EXIT_FAILED = 1,
	EXIT_USAGE = 2,
	EXIT_BY_SIGNAL = 128
};

struct demo {
	struct demo_options o;
	struct stage stage;
	struct server engine; /* not started with --engine-url */
	struct engine_watch watch;
	char folder[64];
	struct arm_setup setup;
	struct report report;
	unsigned arm; /* the one that runs, from 0 */
	bool tty, failed;
	double capacity_tok_s;
};

/* progress ------------------------------------------------------------------------------------ */
static double
arm_s(const struct demo *d)
{
	const struct load_spec *l = &d->setup.load;

	return l->warmup_s + l->duration_s + l->cooldown_s + ARM_OVERHEAD_S;
}

static void
clear_line(const struct demo *d)
{
	if (d->tty)
		fputs("\r\033[K", stderr);
}

static void
on_progress(void *ctx, const struct load_result *r)
{
	static const char *const phases[] = { "warming up", "measuring", "last answers", "done" };
	const struct load_tenant_result *quiet = load_result_tenant(r, ARM_QUIET);
	const struct load_tenant_result *flooder = load_result_tenant(r, ARM_FLOODER);
	struct demo *d = ctx;
	double left_s = r->left_s + arm_s(d) * (d->o.n_arms - d->arm - 1);

	if (!d->tty || !quiet)
		return;
	clear_line(d);
	fprintf(stderr, "[%u/%u] %s: %s; quiet %llu answered", d->arm + 1, d->o.n_arms,
		d->o.arms[d->arm]->name, phases[r->phase], (unsigned long long)quiet->ok);
	if (flooder)
		fprintf(stderr, ", flooder %llu answered, %llu refused",
			(unsigned long long)flooder->ok, (unsigned long long)flooder->refused);
	fprintf(stderr, "; at most %.0f s left", left_s);
}

static void
tell_arm(const struct demo *d)
{
	clear_line(d);
	if (!d->tty)
		fprintf(stderr, "[%u/%u] %s; at most %.0f s left\n", d->arm + 1, d->o.n_arms,
			d->o.arms[d->arm]->name, arm_s(d) * (d->o.n_arms - d->arm));
}

static void
tell_failure(struct demo *d, const char *what, const char *why, const char *log)
{
	d->failed = true;
	clear_line(d);
	fprintf(stderr, "%s failed: %s\n", what, why);
	if (log[0])
		fprintf(stderr, "--- its last lines:\n%s---\n", log);
}

/* the engine ---------------------------------------------------------------------------------- */
static int
start_engine(struct demo *d)
{
	char parent[48], seed[32], seqs[32];
	const char *args[] = { "sim",	   "--port",	"0",  "--report-fd", "3", parent,
			       "--preset", d->o.preset, seqs, seed,	     NULL };
	struct diag why = { 0 };
	int err;

	snprintf(parent, sizeof(parent), "--die-with-parent=%d", (int)getpid());
	snprintf(seqs, sizeof(seqs), "--max-num-seqs=%u", d->setup.width);
	snprintf(seed, sizeof(seed), "--seed=%llu", (unsigned long long)d->o.seed);
	err = server_start(&d->engine, &d->stage, "the simulated engine", args, &why);
	d->setup.engine_url = d->engine.url;
	if (err && err != -EINTR)
		tell_failure(d, "the simulated engine", why.what, buf_cstr(&d->engine.child.log_buf));
	return err;
}

static int
learn_engine(struct demo *d)
{
	struct http_endpoint ep;
	struct diag why = { 0 };
	int err = http_endpoint_parse(slice_of(d->setup.engine_url), &ep, &why);

	if (!err) {
		engine_watch_init(&d->watch, &d->stage, &ep);
		err = engine_watch_learn(&d->watch, LEARN_MS, &why);
	}
	if (err) {
		if (err != -EINTR) {
			log_diag(LOG_ERROR, &why);
			d->failed = true;
		}
		return err;
	}
	d->setup.model = d->o.model ? d->o.model : d->watch.model;
	snprintf(d->setup.load.model, sizeof(d->setup.load.model), "%s", d->setup.model);
	if (!d->o.width && d->watch.width)
		d->setup.width = d->watch.width;
	d->report.simulated = d->watch.gauges == ENGINE_SIM_STATE;
	return 0;
}

/* How fast is it?  The flood must be more than it can take, whatever it is. */
static int
probe_engine(struct demo *d)
{
	struct load_tenant_spec *quiet = &d->setup.load.tenants[0], *flooder = quiet + 1;
	struct arm_outcome o;
	double capacity_rps;
	int err;

	fprintf(stderr, "measuring what the engine can do ...%s", d->tty ? "" : "\n");
	err = arm_probe(&d->setup, &d->capacity_tok_s, &o);
	clear_line(d);
	if (err)
		return err;
	if (o.error[0]) {
		tell_failure(d, "the probe of the engine", o.error, o.log);
		return -EIO;
	}
	capacity_rps = d->capacity_tok_s / TOKENS;
	flooder->rate_rps = MIN(FLOOD_FACTOR * capacity_rps, (double)LOAD_RATE_MAX);
	flooder->outstanding = MIN(FLOOD_WIDTHS * d->setup.width, (unsigned)LOAD_OUTSTANDING_MAX);
	quiet->rate_rps = MIN(QUIET_RPS, QUIET_SHARE_MAX * capacity_rps);
	return 0;
}

static void
tell_plan(const struct demo *d)
{
	const struct load_tenant_spec *quiet = &d->setup.load.tenants[0], *flooder = quiet + 1;

	if (d->report.simulated)
		printf("SIMULATED: the engine is kvwarden's own simulator; gateway, sockets and load are "
		       "real.\n");
	printf("engine   %s%s, model %s, %u sequences at a time: %.0f tokens/s at most\n",
	       d->o.engine_url ? d->setup.engine_url : "simulated, preset ",
	       d->o.engine_url ? "" : d->o.preset, d->setup.model, d->setup.width, d->capacity_tok_s);
	printf("quiet    %.3g requests a second (Poisson), %d tokens in, %d out\n", quiet->rate_rps,
	       TOKENS, TOKENS);
	printf("flooder  %.3g requests a second (Poisson), the same lengths, at most %u at a time: %gx "
	       "what the engine can do\n",
	       flooder->rate_rps, flooder->outstanding, FLOOD_FACTOR);
	printf("arms     %u, each %.3g s measured after %.3g s of warm-up\n\n", d->o.n_arms,
	       d->setup.load.duration_s, d->setup.load.warmup_s);
	fflush(stdout);
}

/* the arms ------------------------------------------------------------------------------------ */
static int
run_arms(struct demo *d)
{
	for (d->arm = 0; d->arm < d->o.n_arms; d->arm++) {
		const struct arm_kind *k = d->o.arms[d->arm];
		struct arm_outcome o;
		int err;

		tell_arm(d);
		err = arm_run(&d->setup, k, &o);
		clear_line(d);
		if (err)
			return err;
		arm_report(&d->report, k, &o);
		if (o.error[0]) {
			char what[REPORT_NAME_BYTES + 8];

			snprintf(what, sizeof(what), "arm %s", k->name);
			tell_failure(d, what, o.error, o.log);
		}
	}
	return 0;
}

static int
write_json(const struct demo *d)
{
	FILE *f = fopen(d->o.json, "we");
	struct buf out;
	bool good;

	buf_init(&out, REPORT_JSON_MAX);
	report_write(&d->report, &out);
	buf_add_char(&out, '\n');
	good = f && fwrite(out.p, 1, out.n, f) == out.n;
	if (f && fclose(f))
		good = false;
	buf_finish(&out);
	if (!good)
		log_error("%s: %s", d->o.json, strerror(errno));
	return good ? 0 : -EIO;
}

static void
show(struct demo *d)
{
	struct buf out;

	buf_init(&out, 64 << 10);
	arm_table_write(&d->report, ARM_QUIET, ARM_FLOODER, &out);
	fwrite(out.p, 1, out.n, stdout);
	buf_finish(&out);
	puts("\nTTFT counts from the planned instant to the first token; a request that was not answered in "
	     "full counts as worst.");
	if (d->report.simulated)
		puts("SIMULATED engine: the order of the arms is the message, not the milliseconds.");
	if (d->watch.gauges == ENGINE_SILENT)
		puts("The engine does not tell how full it is, so no arm is called saturated.");
	fflush(stdout);
	if (d->o.json && write_json(d))
		d->failed = true;
}

/* life ---------------------------------------------------------------------------------------- */
static int
make_folder(struct demo *d)
{
	const char *tmp = getenv("TMPDIR");

	if (!tmp || strlen(tmp) > sizeof(d->folder) - sizeof("/kvwarden-XXXXXX"))
		tmp = "/tmp";
	snprintf(d->folder, sizeof(d->folder), "%s/kvwarden-XXXXXX", tmp);
	if (mkdtemp(d->folder))
		return 0;
	log_error("%s: %s", d->folder, strerror(errno));
	d->folder[0] = '\0';
	return -errno;
}

static void
remove_folder(struct demo *d)
{
	if (!d->folder[0])
		return;
	for (unsigned i = 0; i < arm_kinds_count; i++) {
		char path[256];

		snprintf(path, sizeof(path), "%s/%s.yaml", d->folder, arm_kinds[i].name);
		unlink(path);
	}
	rmdir(d->folder);
}

static void
set_up(struct demo *d)
{
	struct load_tenant_spec *t = d->setup.load.tenants;
	static const char *const names[] = { ARM_QUIET, ARM_FLOODER };

	d->tty = isatty(STDERR_FILENO);
	d->setup = (struct arm_setup){
		.stage = &d->stage,
		.watch = &d->watch,
		.engine_url = d->o.engine_url,
		.width = d->o.width ? d->o.width : DEMO_WIDTH_DEFAULT,
		.folder = d->folder,
		.load = { .warmup_s = WARMUP_S,
			  .duration_s = d->o.duration_s,
			  .cooldown_s = COOLDOWN_S,
			  .seed = d->o.seed,
			  .n_tenants = ARRAY_LEN(names) },
		.progress = on_progress,
		.ctx = d,
	};
	for (unsigned i = 0; i < ARRAY_LEN(names); i++) {
		t[i] = (struct load_tenant_spec){ .header = "x-tenant-id",
						  .arrival = LOAD_POISSON,
						  .in = { .median_tok = TOKENS },
						  .out = { .median_tok = TOKENS } };
		snprintf(t[i].name, sizeof(t[i].name), "%s", names[i]);
	}
}

static int
run_demo(struct demo *d)
{
	int err = make_folder(d);

	if (!err && !d->o.engine_url)
		err = start_engine(d);
	if (!err)
		err = learn_engine(d);
	if (!err)
		err = probe_engine(d);
	if (err)
		return err;
	tell_plan(d);
	err = run_arms(d);
	if (!err)
		show(d);
	return err;
}

int
cli_demo(int argc, char **argv)
{
	struct demo d = { 0 };
	int rc = demo_options_read(&d.o, argc, argv), err;

	if (rc > 0)
		return 0; /* help */
	if (rc < 0)
		return EXIT_USAGE;
	set_up(&d);
	stage_init(&d.stage);
	err = run_demo(&d);
	engine_watch_finish(&d.watch);
	server_stop(&d.engine, &d.stage);
	remove_folder(&d);
	rc = d.stage.interrupted;
	stage_finish(&d.stage);
	if (err == -EINTR) {
		clear_line(&d);
		fputs("stopped; nothing was left running\n", stderr);
		return EXIT_BY_SIGNAL + rc;
	}
	return err || d.failed ? EXIT_FAILED : 0;
}
