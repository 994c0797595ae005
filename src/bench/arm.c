/* SPDX-License-Identifier: MIT */
#include "bench/arm.h"
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <sys/stat.h>
#include <fcntl.h>
#include <unistd.h>
#include "base/clock.h"
#include "bench/server.h"

#define READY_MS 30000 /* until the gateway's engine has answered it */
#define IDLE_MS 15000  /* until an engine whose clients have all left is idle */
#define LOOK_EVERY_MS 200
#define LATE_MS 15000 /* longer than its own plan, a load hangs */
#define PROBE_WARMUP_S 1.5
#define PROBE_S 3.0
#define PATH_BYTES 300

const struct arm_kind arm_kinds[] = {
#define ARM(name, scheduling, gateway, flooder, config)                                            \
	{ name, scheduling, gateway, flooder, config },
#include "bench/arms.def"
#undef ARM
};
const unsigned arm_kinds_count = ARRAY_LEN(arm_kinds);

const struct arm_kind *
arm_kind_find(struct slice name)
{
	for (unsigned i = 0; i < ARRAY_LEN(arm_kinds); i++)
		if (slice_eq(name, slice_of(arm_kinds[i].name)))
			return &arm_kinds[i];
	return NULL;
}

/* failures ------------------------------------------------------------------------------------ */
static void PRINTF_LIKE(2, 3) fail(struct arm_outcome *o, const char *fmt, ...)
{
	va_list ap;

	if (o->error[0])
		return; /* the first reason is the reason */
	va_start(ap, fmt);
	vsnprintf(o->error, sizeof(o->error), fmt, ap);
	va_end(ap);
}

static void
keep_log(struct arm_outcome *o, struct child *c)
{
	size_t n = MIN(c->log_buf.n, sizeof(o->log) - 1);

	if (n)
		memcpy(o->log, c->log_buf.p + c->log_buf.n - n, n);
	o->log[n] = '\0';
}

static void
blame(struct arm_outcome *o, struct child *c)
{
	char how[160];

	child_describe_end(c, how, sizeof(how));
	fail(o, "%s before its time", how);
	keep_log(o, c);
}

/* the load ------------------------------------------------------------------------------------ */
struct load_run {
	struct arm_setup *setup;
	struct child child, *gateway; /* gateway: NULL without one */
	struct load_result last;
	bool any, news;
};

static void
on_load_line(void *ctx, struct slice line)
{
	struct load_run *run = ctx;
	struct load_result r;

	if (load_result_read(&r, line))
		return;
	run->last = r;
	run->any = run->news = true;
}

static int
start_load(struct load_run *run, const char *url, const struct load_spec *spec, struct diag *d)
{
	const char *args[CHILD_ARGS_MAX] = { "__load", "--url", url, "--model", spec->model };
	char parent[48], seed[32], phases[3][32];
	struct buf tenants[LOAD_TENANTS_MAX];
	unsigned n = 5;
	int err;

	snprintf(parent, sizeof(parent), "--die-with-parent=%d", (int)getpid());
	snprintf(seed, sizeof(seed), "--seed=%llu", (unsigned long long)spec->seed);
	snprintf(phases[0], sizeof(phases[0]), "--warmup=%g", spec->warmup_s);
	snprintf(phases[1], sizeof(phases[1]), "--duration=%g", spec->duration_s);
	snprintf(phases[2], sizeof(phases[2]), "--cooldown=%g", spec->cooldown_s);
	args[n++] = "--report-fd=3";
	args[n++] = parent;
	args[n++] = seed;
	for (unsigned i = 0; i < ARRAY_LEN(phases); i++)
		args[n++] = phases[i];
	must(n + 2 * spec->n_tenants < CHILD_ARGS_MAX);
	for (unsigned i = 0; i < spec->n_tenants; i++) {
		buf_init(&tenants[i], 4096);
		load_tenant_format(&spec->tenants[i], &tenants[i]);
		args[n++] = "--tenant";
		args[n++] = buf_cstr(&tenants[i]);
	}
	err = child_start(&run->child, &run->setup->stage->loop, "the load", args, on_load_line, run, d);
	for (unsigned i = 0; i < spec->n_tenants; i++)
		buf_finish(&tenants[i]);
	return err;
}

static bool
load_has_news_or_ended(void *ctx)
{
	const struct load_run *run = ctx;

	return run->news || child_is_gone(&run->child) || (run->gateway && run->gateway->exited);
}

static int
look_at_engine(struct arm_setup *s, struct arm_outcome *o)
{
	struct engine_load load;
	int err = engine_watch_look(s->watch, &load);

	if (err || !load.known)
		return err;
	o->looks++;
	if (load.waiting > 0 || load.running >= ARM_FULL_WIDTH * s->width)
		o->full++;
	return 0;
}

/* Until the load has ended, or the gateway before it. */
static int
watch_load(struct load_run *run, uint64_t most_ms, struct arm_outcome *o)
{
	uint64_t end_us = clock_mono_us() + most_ms * 1000;
	struct arm_setup *s = run->setup;

	while (!child_is_gone(&run->child)) {
		int err = stage_wait(s->stage, load_has_news_or_ended, run, LOOK_EVERY_MS);

		if (err == -EINTR)
			return err;
		if (run->gateway && run->gateway->exited)
			return 0;
		if (clock_mono_us() > end_us) {
			fail(o, "the load did not end in time");
			return 0;
		}
		if (run->news && s->progress)
			s->progress(s->ctx, &run->last);
		run->news = false;
		if (run->any && run->last.phase == LOAD_MEASURING && look_at_engine(s, o))
			return -EINTR;
	}
	return 0;
}

static int
run_load(struct arm_setup *s, const char *url, const struct load_spec *spec, struct child *gateway,
	 struct arm_outcome *o)
{
	struct load_run run = { .setup = s, .gateway = gateway };
	double plan_s = spec->warmup_s + spec->duration_s + spec->cooldown_s;
	struct diag d = { 0 };
	int err = 0;

	if (start_load(&run, url, spec, &d))
		fail(o, "%s", d.what);
	else
		err = watch_load(&run, (uint64_t)(plan_s * 1000) + LATE_MS, o);
	o->load = run.last;
	if (!err && child_is_gone(&run.child) && (!run.any || run.last.phase != LOAD_DONE))
		blame(o, &run.child);
	stage_stop_child(s->stage, &run.child);
	return err;
}

/* the gateway --------------------------------------------------------------------------------- */
void
arm_write_config(const struct arm_kind *k, const char *engine_url, const char *model,
		 unsigned width, struct buf *out)
{
	buf_addf(out,
		 "host: 127.0.0.1\nport: 0\nauth: none\nmodels:\n"
		 "  - model_id: \"%s\"\n    engine: openai\n    endpoint: \"%s\"\n",
		 model, engine_url);
	/* A window wider than the engine would leave the queue where it is: inside the engine. */
	if (strcmp(k->scheduling, "window") == 0)
		buf_addf(out, "    max_in_flight: %u\n", width);
	buf_addf(out, "scheduling: %s\n%s", k->scheduling, k->config);
}

static int
save_config(struct arm_setup *s, const struct arm_kind *k, char *path, size_t size)
{
	struct buf text;
	int fd, err = 0;

	snprintf(path, size, "%s/%s.yaml", s->folder, k->name);
	buf_init(&text, 64 << 10);
	arm_write_config(k, s->engine_url, s->model, s->width, &text);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0 || write(fd, text.p, text.n) != (ssize_t)text.n)
		err = -errno;
	if (fd >= 0)
		close(fd);
	buf_finish(&text);
	return err;
}

static int
wait_ready(struct arm_setup *s, struct server *g, struct arm_outcome *o)
{
	struct http_endpoint ep;
	struct engine_watch watch;
	struct diag d = { 0 };
	int err;

	if (http_endpoint_parse(slice_of(g->url), &ep, &d)) {
		fail(o, "the gateway reported a strange address: %s", d.what);
		return 0;
	}
	engine_watch_init(&watch, s->stage, &ep);
	err = engine_watch_wait_ok(&watch, "/health", READY_MS);
	engine_watch_finish(&watch);
	if (err != -ETIMEDOUT)
		return err;
	fail(o, "the gateway was not ready in time");
	keep_log(o, &g->child);
	return 0;
}

static int
start_gateway(struct arm_setup *s, const struct arm_kind *k, struct server *g, struct arm_outcome *o)
{
	char path[PATH_BYTES], parent[48];
	const char *args[] = { "serve", "--config", path, "--report-fd", "3", parent, NULL };
	struct diag d = { 0 };
	int err = save_config(s, k, path, sizeof(path));

	snprintf(parent, sizeof(parent), "--die-with-parent=%d", (int)getpid());
	if (err) {
		fail(o, "%s: %s", path, strerror(-err));
		return 0;
	}
	err = server_start(g, s->stage, "the gateway", args, &d);
	if (!err)
		return wait_ready(s, g, o);
	if (err != -EINTR) {
		fail(o, "%s", d.what);
		keep_log(o, &g->child);
		err = 0;
	}
	return err;
}

/* one arm ------------------------------------------------------------------------------------- */
static void
check_load(struct arm_outcome *o)
{
	const struct load_result *r = &o->load;
	uint64_t failed = 0, scheduled = 0;
	const char *why = "";

	for (unsigned i = 0; i < r->n_tenants; i++) {
		failed += r->tenants[i].failed;
		scheduled += r->tenants[i].scheduled;
		if (r->tenants[i].failure[0])
			why = r->tenants[i].failure;
	}
	if (scheduled == 0)
		fail(o, "no request fell into the measured time");
	if ((double)failed > ARM_FAILED_SHARE_MAX * (double)scheduled)
		fail(o, "%llu of %llu requests failed: %s", (unsigned long long)failed,
		     (unsigned long long)scheduled, why);
	if (r->lag_p99_ms > ARM_LAG_P99_MAX_MS)
		fail(o, "the load itself was late by %.1f ms (p99): this machine is too busy to measure",
		     r->lag_p99_ms);
}

static int
wait_idle(struct arm_setup *s, struct arm_outcome *o)
{
	int err = engine_watch_wait_idle(s->watch, IDLE_MS);

	if (err == -ETIMEDOUT) {
		fail(o, "the engine still had work %d s after every client had left", IDLE_MS / 1000);
		return 0;
	}
	return err;
}

static int
run_with_gateway(struct arm_setup *s, const struct arm_kind *k, const struct load_spec *spec,
		 struct arm_outcome *o)
{
	struct server g = { 0 };
	int err = start_gateway(s, k, &g, o);

	if (!err && !o->error[0]) {
		err = run_load(s, g.url, spec, &g.child, o);
		if (!err && g.child.exited) {
			o->error[0] = '\0'; /* whatever the load met, this is why */
			blame(o, &g.child);
		}
	}
	server_stop(&g, s->stage);
	return err;
}

int
arm_run(struct arm_setup *s, const struct arm_kind *k, struct arm_outcome *ret)
{
	struct load_spec spec = s->load;
	int err;

	*ret = (struct arm_outcome){ 0 };
	spec.n_tenants = k->flooder ? 2 : 1;
	err = k->gateway ? run_with_gateway(s, k, &spec, ret)
			 : run_load(s, s->engine_url, &spec, NULL, ret);
	if (!err && !ret->error[0])
		check_load(ret);
	return err ? err : wait_idle(s, ret);
}

int
arm_probe(struct arm_setup *s, double *ret_tokens_per_s, struct arm_outcome *ret)
{
	struct load_spec spec = s->load;
	int err;

	*ret = (struct arm_outcome){ 0 };
	*ret_tokens_per_s = 0;
	spec.tenants[0] = s->load.tenants[1];
	spec.tenants[0].arrival = LOAD_CLOSED;
	spec.tenants[0].outstanding = s->width;
	spec.n_tenants = 1;
	spec.warmup_s = PROBE_WARMUP_S;
	spec.duration_s = PROBE_S;
	spec.cooldown_s = 0;
	err = run_load(s, s->engine_url, &spec, NULL, ret);
	if (!err && !ret->error[0])
		check_load(ret);
	if (!err && !ret->error[0]) {
		*ret_tokens_per_s = load_result_tokens_per_s(&ret->load);
		if (!(*ret_tokens_per_s > 0))
			fail(ret, "the engine gave no token in %g s", PROBE_WARMUP_S + PROBE_S);
	}
	return err ? err : wait_idle(s, ret);
}

bool
arm_was_saturated(const struct arm_outcome *o)
{
	return o->looks && (double)o->full >= ARM_SATURATED_SHARE * (double)o->looks;
}
