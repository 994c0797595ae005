/* SPDX-License-Identifier: MIT */
#include "cli/sim_replay.h"
#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include "base/diag.h"
#include "base/json_writer.h"
#include "cli/read_file.h"
#include "sim/replay.h"

enum {
	EXIT_CANNOT_RUN = 1,
	EXIT_USAGE = 2
};

#define SEEDS_MAX 1000
#define NUMBER_MAX 1e9 /* of seconds, rates, bursts */

static const char usage[] =
	"usage: kvwarden sim replay TRACE.csv [options]\n"
	"\n"
	"Runs recorded arrivals through the simulated engine in virtual time and prints quantiles per tenant.\n"
	"The trace is CSV; its header names the columns t_ms, tenant, prompt_tokens and max_tokens.\n"
	"\n"
	"  --preset NAME     the machine, see kvwarden sim presets (a100-llama31-8b)\n"
	"  --host-cpu NAME   what Python costs around the engine, or none (the preset's)\n"
	"  --bucket TENANT:RATE:BURST\n"
	"                    a token bucket of requests a second for one tenant; starts full\n"
	"  --seed N          same seed, same figures (1)\n"
	"  --seeds N         medians over N seeds, from --seed on (1)\n"
	"  --warmup-s S      rows before it do not count in the figures (10)\n"
	"  --out FILE.csv    write the trace with ttft_ms, total_ms, tokens_out and status filled in (last seed)\n"
	"  --json            figures as JSON\n";

struct replay_command {
	struct replay_options run;
	unsigned seeds; /* from run.seed on; figures are medians over them */
	double warmup_s;
	const char *trace, *out;
	char *bucket;
	bool json;
};

static int
wrong(struct diag *d, const char *arg, const char *what, const char *hint)
{
	diag_what(d, "'%s' is not %s", arg, what);
	diag_hint(d, "%s", hint);
	return -EINVAL;
}

static int
parse_bucket(struct replay_command *c, const char *arg, struct diag *d)
{
	static const char hint[] = "TENANT:RATE:BURST, as flooder:10:10; RATE above 0, BURST from 1";
	char *rate, *burst;

	free(c->bucket);
	c->bucket = must_strdup(arg);
	burst = strrchr(c->bucket, ':');
	if (!burst)
		return wrong(d, arg, "a bucket", hint);
	*burst++ = '\0';
	rate = strrchr(c->bucket, ':');
	if (!rate)
		return wrong(d, arg, "a bucket", hint);
	*rate++ = '\0';
	c->run.bucket_tenant = c->bucket;
	if (slice_to_double(slice_of(rate), &c->run.bucket_per_s) ||
	    slice_to_double(slice_of(burst), &c->run.bucket_burst) ||
	    !(c->run.bucket_per_s > 0 && c->run.bucket_per_s <= NUMBER_MAX) ||
	    !(c->run.bucket_burst >= 1 && c->run.bucket_burst <= NUMBER_MAX))
		return wrong(d, arg, "a bucket", hint);
	return 0;
}

static int
parse_seeds(struct replay_command *c, const char *arg, struct diag *d)
{
	uint64_t n;

	if (slice_to_u64(slice_of(arg), &n) < 0 || n < 1 || n > SEEDS_MAX) {
		diag_hint(d, "from 1 to %d", SEEDS_MAX);
		diag_what(d, "'%s' is not a number in range", arg);
		return -EINVAL;
	}
	c->seeds = (unsigned)n;
	return 0;
}

static int
parse_option(struct replay_command *c, int option, const char *arg, struct diag *d)
{
	switch (option) {
	case 'p':
		c->run.preset = step_preset_find(arg);
		return c->run.preset ? 0 : wrong(d, arg, "a preset", "kvwarden sim presets lists them");
	case 'h':
		c->run.host = host_cpu_find(arg);
		return c->run.host ? 0 : wrong(d, arg, "a host", "kvwarden sim presets lists them");
	case 's':
		return slice_to_u64(slice_of(arg), &c->run.seed) == 0
			       ? 0
			       : wrong(d, arg, "a seed", "a whole number from 0");
	case 'n':
		return parse_seeds(c, arg, d);
	case 'b':
		return parse_bucket(c, arg, d);
	case 'w':
		return slice_to_double(slice_of(arg), &c->warmup_s) == 0 && c->warmup_s >= 0 &&
				       c->warmup_s <= NUMBER_MAX
			       ? 0
			       : wrong(d, arg, "a time", "seconds, from 0");
	case 'o':
		c->out = arg;
		return 0;
	default:
		c->json = true;
		return 0;
	}
}

/* 0, 1 when help was asked for, or -EINVAL with @d filled. */
static int
parse(struct replay_command *c, int argc, char **argv, struct diag *d)
{
	static const struct option options[] = {
		{ "preset", required_argument, NULL, 'p' },
		{ "host-cpu", required_argument, NULL, 'h' },
		{ "seed", required_argument, NULL, 's' },
		{ "seeds", required_argument, NULL, 'n' },
		{ "bucket", required_argument, NULL, 'b' },
		{ "warmup-s", required_argument, NULL, 'w' },
		{ "out", required_argument, NULL, 'o' },
		{ "json", no_argument, NULL, 'j' },
		{ "help", no_argument, NULL, 'H' },
		{ 0 },
	};
	int option, index = 0, err = 0;

	*c = (struct replay_command){ .seeds = 1, .warmup_s = 10 };
	c->run.preset = step_preset_find("a100-llama31-8b");
	c->run.seed = 1;
	optind = 0;
	opterr = 0;
	while (!err && (option = getopt_long(argc, argv, "", options, &index)) != -1) {
		if (option == 'H')
			return 1;
		if (option == '?') {
			diag_what(d, "'%s' is not an option, or its value is missing or too much",
				  argv[optind - 1]);
			return -EINVAL;
		}
		diag_where(d, "--%s", options[index].name);
		err = parse_option(c, option, optarg, d);
	}
	if (err)
		return err;
	diag_where(d, "%s", "");
	if (argc != optind + 1) {
		diag_what(d, argc > optind ? "more than one trace is given" : "the trace is missing");
		return -EINVAL;
	}
	if (!c->run.host)
		c->run.host = host_cpu_find(c->run.preset->host);
	c->trace = argv[optind];
	return 0;
}

static double
median_of(const struct replay_quantiles *q, unsigned seeds, unsigned stride, size_t offset)
{
	double v[SEEDS_MAX];

	for (unsigned i = 0; i < seeds; i++)
		memcpy(&v[i], (const char *)&q[(size_t)i * stride] + offset, sizeof(double));
	return replay_quantile(v, seeds, 0.5);
}

#define MEDIAN(field) median_of(q, c->seeds, t->n_tenants, offsetof(struct replay_quantiles, field))

static void
print_json(const struct replay_command *c, const struct replay_trace *t,
	   const struct replay_quantiles *all)
{
	struct json_writer w;
	struct buf out;

	buf_init(&out, BUF_MAX_DEFAULT);
	jw_init(&w, &out);
	jw_object(&w);
	jw_kv_bool(&w, "simulated", true);
	jw_kv_str(&w, "preset", c->run.preset->name);
	jw_kv_str(&w, "host", c->run.host->name);
	jw_kv_uint(&w, "seeds", c->seeds);
	jw_key(&w, "tenants");
	jw_array(&w);
	for (unsigned i = 0; i < t->n_tenants; i++) {
		const struct replay_quantiles *q = &all[i];

		jw_object(&w);
		jw_kv_str(&w, "name", t->tenants[i]);
		jw_kv_uint(&w, "ok", q->ok);
		jw_kv_uint(&w, "refused", q->refused);
		jw_kv_double(&w, "ttft_p50_ms", MEDIAN(ttft_p50_ms), 3);
		jw_kv_double(&w, "ttft_p90_ms", MEDIAN(ttft_p90_ms), 3);
		jw_kv_double(&w, "ttft_p99_ms", MEDIAN(ttft_p99_ms), 3);
		jw_kv_double(&w, "tpot_ms", MEDIAN(tpot_ms), 4);
		jw_end_object(&w);
	}
	jw_end_array(&w);
	jw_end_object(&w);
	puts(buf_cstr(&out));
	buf_finish(&out);
}

/* "-" where no row counts. */
static void
print_figure(double v, int digits)
{
	if (isnan(v))
		printf(" %9s", "-");
	else
		printf(" %9.*f", digits, v);
}

static void
print_table(const struct replay_command *c, const struct replay_trace *t,
	    const struct replay_quantiles *all)
{
	const struct host_cpu *h = c->run.host;
	struct buf constants;

	printf("simulated: %s, host %s (%s)\n", c->run.preset->name, h->name, h->about);
	buf_init(&constants, BUF_MAX_DEFAULT);
	host_cpu_constants(h, &constants);
	printf("host: %s\n", buf_cstr(&constants));
	buf_finish(&constants);
	printf("rows from %g s on; ms; median of %u seed%s\n", c->warmup_s, c->seeds,
	       c->seeds > 1 ? "s" : "");
	printf("%-20s %9s %9s %9s %9s %9s %9s\n", "tenant", "ok", "refused", "ttft p50", "p90",
	       "p99", "tpot");
	for (unsigned i = 0; i < t->n_tenants; i++) {
		const struct replay_quantiles *q = &all[i];

		printf("%-20s %9llu %9llu", t->tenants[i], (unsigned long long)q->ok,
		       (unsigned long long)q->refused);
		print_figure(MEDIAN(ttft_p50_ms), 1);
		print_figure(MEDIAN(ttft_p90_ms), 1);
		print_figure(MEDIAN(ttft_p99_ms), 1);
		print_figure(MEDIAN(tpot_ms), 2);
		putchar('\n');
	}
}

static int
write_rows(const char *path, const struct replay_trace *t, struct diag *diag)
{
	struct buf out;
	FILE *f = fopen(path, "w");
	int e = f ? 0 : -errno;

	buf_init(&out, REPLAY_TRACE_BYTES_MAX);
	replay_write(t, &out);
	if (f && (fwrite(out.p, 1, out.n, f) != out.n || out.overflow))
		e = -EIO;
	if (f && fclose(f) != 0 && e == 0)
		e = -errno;
	buf_finish(&out);
	if (e < 0)
		diag_what(diag, "%s cannot be written: %s", path, strerror(-e));
	return e;
}

/* @t keeps the rows of the last seed. */
static int
run_seeds(struct replay_command *c, struct replay_trace *t, struct diag *diag)
{
	struct replay_quantiles *all = must_calloc((size_t)c->seeds * t->n_tenants + 1, sizeof(*all));
	int e = 0;

	for (unsigned i = 0; i < c->seeds && e == 0; i++, c->run.seed++) {
		e = replay_run(t, &c->run, diag);
		for (unsigned k = 0; e == 0 && k < t->n_tenants; k++)
			replay_summarize(t, k, (uint64_t)(c->warmup_s * 1e6),
					 &all[(size_t)i * t->n_tenants + k]);
	}
	if (e == 0 && c->json)
		print_json(c, t, all);
	else if (e == 0)
		print_table(c, t, all);
	free(all);
	return e;
}

static int
replay(struct replay_command *c, struct diag *diag)
{
	struct replay_trace t = { 0 };
	struct buf text;
	int e;

	buf_init(&text, REPLAY_TRACE_BYTES_MAX);
	e = cli_read_file(c->trace, &text, diag);
	if (e == 0)
		e = replay_read(&t, buf_slice(&text), diag);
	buf_finish(&text);
	if (e < 0)
		return e;
	e = run_seeds(c, &t, diag);
	if (e == 0 && c->out)
		e = write_rows(c->out, &t, diag);
	replay_finish(&t);
	return e;
}

static void
print_diag(const char *path, const struct diag *d)
{
	fprintf(stderr, "kvwarden sim replay: %s%s%s%s%s%s%s\n", path, *path ? ": " : "", d->where,
		*d->where ? ": " : "", d->what, *d->hint ? "; " : "", d->hint);
}

int
cli_sim_replay(int argc, char **argv)
{
	struct replay_command c;
	struct diag diag = { 0 };
	int e = parse(&c, argc, argv, &diag), rc = 0;

	if (e > 0) {
		fputs(usage, stdout);
	} else if (e < 0) {
		print_diag("", &diag);
		fputs("kvwarden sim replay --help explains its options\n", stderr);
		rc = EXIT_USAGE;
	} else if (replay(&c, &diag) < 0) {
		print_diag(c.trace, &diag);
		rc = EXIT_CANNOT_RUN;
	}
	free(c.bucket);
	return rc;
}
