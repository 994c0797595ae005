/* SPDX-License-Identifier: MIT */
#include "cli/sim.h"
#include <stdio.h>
#include <stdlib.h>
#include "base/diag.h"
#include "cli/read_file.h"
#include "cli/sim_replay.h"
#include "cli/sim_serve.h"
#include "sim/host_cpu.h"
#include "sim/step_time.h"
#include "sim/workload.h"

enum {
	EXIT_CANNOT_RUN = 1,
	EXIT_USAGE = 2
};

static const char steps_usage[] =
	"usage: kvwarden sim steps WORKLOAD.json\n"
	"\n"
	"Steps vLLM's scheduler, as the simulator follows it, through a workload and prints a JSON line for\n"
	"each step in which something happened.  docs/simulator.md describes both formats.\n";

static void
print_line(void *ctx, struct slice line)
{
	fwrite(line.p, 1, line.n, ctx);
	fputc('\n', ctx);
}

static int
run_steps(const char *path, struct buf *text, struct diag *diag)
{
	struct workload w;
	int e = cli_read_file(path, text, diag);

	if (e == 0)
		e = workload_read(&w, buf_slice(text), diag);
	if (e < 0)
		return e;
	e = workload_run(&w, print_line, stdout, diag);
	workload_finish(&w);
	return e;
}

static int
steps(int argc, char **argv)
{
	struct diag diag = { 0 };
	struct buf text;
	int e;

	if (argc != 2 || argv[1][0] == '-') {
		bool help = argc == 2 && strcmp(argv[1], "--help") == 0;

		fputs(steps_usage, help ? stdout : stderr);
		return help ? 0 : EXIT_USAGE;
	}
	buf_init(&text, WORKLOAD_BYTES_MAX);
	e = run_steps(argv[1], &text, &diag);
	buf_finish(&text);
	if (e < 0) {
		fprintf(stderr, "kvwarden sim steps: %s: %s%s%s%s%s\n", argv[1], diag.where,
			*diag.where ? ": " : "", diag.what, *diag.hint ? "; " : "", diag.hint);
		return EXIT_CANNOT_RUN;
	}
	if (fflush(stdout) != 0) {
		perror("kvwarden sim steps");
		return EXIT_CANNOT_RUN;
	}
	return 0;
}

static int
presets(int argc, char **argv)
{
	struct buf out;

	(void)argv;
	if (argc != 1) {
		fputs("usage: kvwarden sim presets\n", stderr);
		return EXIT_USAGE;
	}
	buf_init(&out, BUF_MAX_DEFAULT);
	buf_add_str(&out, "engines (--preset):\n");
	step_presets_describe(&out);
	buf_add_str(&out, "hosts (--host-cpu):\n");
	host_cpus_describe(&out);
	fputs(buf_cstr(&out), stdout);
	buf_finish(&out);
	return 0;
}

int
cli_sim(int argc, char **argv)
{
	static const struct {
		const char *name;
		int (*run)(int argc, char **argv);
	} verbs[] = { { "steps", steps }, { "replay", cli_sim_replay }, { "presets", presets } };

	for (size_t i = 0; argc > 1 && i < ARRAY_LEN(verbs); i++)
		if (strcmp(argv[1], verbs[i].name) == 0)
			return verbs[i].run(argc - 1, argv + 1);
	return cli_sim_serve(argc, argv);
}
