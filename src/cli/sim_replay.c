/* SPDX-License-Identifier: MIT */
#include "cli/sim_replay.h"
#include <errno.h>
#include <getopt.h>
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

static const char usage[] =
	"usage: kvwarden sim replay TRACE.csv [--preset P] [--host none|a100|h100] [--seed N | --seeds N]\n"
	"       [--bucket TENANT:RATE:BURST] [--warmup-s S] [--out FILE.csv] [--json]\n";

struct replay_command {
	struct replay_options run;
	unsigned seeds; /* from run.seed on; figures are medians over them */
	double warmup_s;
	const char *trace, *out;
	char *bucket;
	bool json;
};

static bool
parse_bucket(struct replay_command *c, const char *arg)
{
	char *rate, *burst;

	free(c->bucket);
	c->bucket = must_strdup(arg);
	burst = strrchr(c->bucket, ':');
	if (!burst)
		return false;
	*burst++ = '\0';
	rate = strrchr(c->bucket, ':');
	if (!rate)
		return false;
	*rate++ = '\0';
	c->run.bucket_tenant = c->bucket;
	return slice_to_double(slice_of(rate), &c->run.bucket_per_s) == 0 &&
	       slice_to_double(slice_of(burst), &c->run.bucket_burst) == 0 &&
	       c->run.bucket_per_s > 0 && c->run.bucket_burst >= 1;
}

static bool
parse_seeds(struct replay_command *c, const char *arg)
{
	uint64_t n;

	if (slice_to_u64(slice_of(arg), &n) < 0 || n < 1 || n > SEEDS_MAX)
		return false;
	c->seeds = (unsigned)n;
	return true;
}

static bool
parse_option(struct replay_command *c, int option, const char *arg)
{
	switch (option) {
	case 'p':
		c->run.preset = step_preset_find(arg);
		return c->run.preset;
	case 'h':
		c->run.host = replay_host_find(arg);
		return c->run.host;
	case 's':
		return slice_to_u64(slice_of(arg), &c->run.seed) == 0;
	case 'n':
		return parse_seeds(c, arg);
	case 'b':
		return parse_bucket(c, arg);
	case 'w':
		return slice_to_double(slice_of(arg), &c->warmup_s) == 0 && c->warmup_s >= 0;
	case 'o':
		c->out = arg;
		return true;
	case 'j':
		c->json = true;
		return true;
	default:
		return false;
	}
}

static bool
parse(struct replay_command *c, int argc, char **argv)
{
	static const struct option options[] = {
		{ "preset", required_argument, NULL, 'p' },
		{ "host", required_argument, NULL, 'h' },
		{ "seed", required_argument, NULL, 's' },
		{ "seeds", required_argument, NULL, 'n' },
		{ "bucket", required_argument, NULL, 'b' },
		{ "warmup-s", required_argument, NULL, 'w' },
		{ "out", required_argument, NULL, 'o' },
		{ "json", no_argument, NULL, 'j' },
		{ 0 },
	};
	int option;

	*c = (struct replay_command){ .seeds = 1, .warmup_s = 10 };
	c->run.preset = step_preset_find("a100-llama31-8b");
	c->run.host = replay_host_find("none");
	c->run.seed = 1;
	optind = 1;
	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1)
		if (!parse_option(c, option, optarg)) {
			if (option != '?')
				fprintf(stderr, "kvwarden sim replay: '%s' is not a value that is known\n",
					optarg);
			return false;
		}
	c->trace = argv[optind];
	return argc == optind + 1;
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

static void
print_table(const struct replay_command *c, const struct replay_trace *t,
	    const struct replay_quantiles *all)
{
	const struct replay_host *h = c->run.host;

	printf("simulated: %s, host %s (%s)\n", c->run.preset->name, h->name, h->about);
	printf("host: in %g +- %g ms, request %g ms, chunk %g ms, wake %g ms, blank first %g\n",
	       h->in_ms, h->in_sd_ms, h->request_ms, h->chunk_ms, h->idle_mean_ms, h->blank_share);
	printf("rows from %g s on; ms; median of %u seed%s\n", c->warmup_s, c->seeds,
	       c->seeds > 1 ? "s" : "");
	printf("%-20s %9s %9s %9s %9s %9s %9s\n", "tenant", "ok", "refused", "ttft p50", "p90",
	       "p99", "tpot");
	for (unsigned i = 0; i < t->n_tenants; i++) {
		const struct replay_quantiles *q = &all[i];

		printf("%-20s %9llu %9llu %9.1f %9.1f %9.1f %9.2f\n", t->tenants[i],
		       (unsigned long long)q->ok, (unsigned long long)q->refused, MEDIAN(ttft_p50_ms),
		       MEDIAN(ttft_p90_ms), MEDIAN(ttft_p99_ms), MEDIAN(tpot_ms));
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

int
cli_sim_replay(int argc, char **argv)
{
	struct replay_command c;
	struct diag diag = { 0 };
	int e;

	if (!parse(&c, argc, argv)) {
		fputs(usage, stderr);
		free(c.bucket);
		return EXIT_USAGE;
	}
	e = replay(&c, &diag);
	free(c.bucket);
	if (e == 0)
		return 0;
	fprintf(stderr, "kvwarden sim replay: %s: %s%s%s\n", c.trace, diag.where,
		*diag.where ? ": " : "", diag.what);
	return EXIT_CANNOT_RUN;
}
