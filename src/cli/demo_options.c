/* SPDX-License-Identifier: MIT */
#include "cli/demo_options.h"
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include "base/log.h"

static const struct option options[] = {
	{ "duration", required_argument, NULL, 'd' },
	{ "json", required_argument, NULL, 'j' },
	{ "engine-url", required_argument, NULL, 'u' },
	{ "model", required_argument, NULL, 'm' },
	{ "width", required_argument, NULL, 'w' },
	{ "preset", required_argument, NULL, 'p' },
	{ "seed", required_argument, NULL, 's' },
	{ "arms", required_argument, NULL, 'a' },
	{ "help", no_argument, NULL, 'h' },
	{ 0 },
};

static const char usage_text[] =
	"usage: kvwarden demo [options]\n"
	"\n"
	"Shows what a flooding tenant does to a quiet one, and what each policy does about it: the same\n"
	"load, arm by arm, on one engine.  Without options it takes less than two minutes.\n"
	"\n"
	"  --duration S       seconds that are measured in each arm (12)\n"
	"  --json FILE        write the report there too\n"
	"  --arms A,B         only these: solo, direct, fifo, token_bucket, window\n"
	"  --preset NAME      the simulated machine (a100-llama31-8b)\n"
	"  --seed N           of the plan of requests and of the simulated engine (1)\n"
	"  --engine-url URL   a real engine that speaks OpenAI's API, instead of the simulated one\n"
	"  --model NAME       the model to ask it for (the first one that it lists)\n"
	"  --width N          sequences that the engine runs at a time (what it says, else 64)\n";

static int
wrong(struct diag *d, const char *what)
{
	diag_what(d, "'%s' is not %s", optarg, what);
	return -EINVAL;
}

static int
read_arms(struct demo_options *o, struct diag *d)
{
	struct slice rest = slice_of(optarg);

	o->n_arms = 0;
	while (rest.n) {
		const char *comma = memchr(rest.p, ',', rest.n);
		size_t n = comma ? (size_t)(comma - rest.p) : rest.n;
		const struct arm_kind *k = arm_kind_find((struct slice){ rest.p, n });

		if (!k || o->n_arms == ARM_KINDS_MAX) {
			diag_hint(d, "of solo, direct, fifo, token_bucket, window, joined by commas");
			return wrong(d, "a list of arms");
		}
		o->arms[o->n_arms++] = k;
		rest.p += n + (comma != NULL);
		rest.n -= n + (comma != NULL);
	}
	return o->n_arms ? 0 : wrong(d, "a list of arms");
}

static int
read_option(struct demo_options *o, int id, struct diag *d)
{
	uint64_t n;

	switch (id) {
	case 'd':
		if (slice_to_double(slice_of(optarg), &o->duration_s) ||
		    !(o->duration_s >= 1 && o->duration_s <= DEMO_DURATION_MAX_S))
			return wrong(d, "a number of seconds from 1 to 3600");
		return 0;
	case 'w':
		if (slice_to_u64(slice_of(optarg), &n) || n < 1 || n > LOAD_OUTSTANDING_MAX)
			return wrong(d, "a number of sequences");
		o->width = (unsigned)n;
		return 0;
	case 's':
		return slice_to_u64(slice_of(optarg), &o->seed) ? wrong(d, "a seed") : 0;
	case 'a':
		return read_arms(o, d);
	case 'm':
		if (optarg[0] == '\0' || strlen(optarg) >= LOAD_WORD_BYTES || strpbrk(optarg, "\"\\\n\r"))
			return wrong(d, "a model's name");
		o->model = optarg;
		return 0;
	case 'u':
		o->engine_url = optarg;
		return 0;
	case 'j':
		o->json = optarg;
		return 0;
	default: /* 'p' */
		o->preset = optarg;
		return 0;
	}
}

static int
read_all(struct demo_options *o, int argc, char **argv, struct diag *d)
{
	int id, index = 0;

	optind = 0;
	opterr = 0;
	while ((id = getopt_long(argc, argv, "h", options, &index)) != -1) {
		int err;

		if (id == 'h')
			return 1;
		if (id == '?') {
			diag_what(d, "'%s' is not an option, or its value is missing", argv[optind - 1]);
			return -EINVAL;
		}
		diag_where(d, "--%s", options[index].name);
		err = read_option(o, id, d);
		if (err)
			return err;
	}
	if (optind == argc)
		return 0;
	diag_where(d, "%s", argv[optind]);
	diag_what(d, "this command takes no such argument");
	return -EINVAL;
}

int
demo_options_read(struct demo_options *o, int argc, char **argv)
{
	struct diag d = { 0 };
	int rc;

	*o = (struct demo_options){ .duration_s = DEMO_DURATION_DEFAULT_S,
				    .preset = DEMO_PRESET_DEFAULT,
				    .seed = 1,
				    .n_arms = arm_kinds_count };
	for (unsigned i = 0; i < arm_kinds_count; i++)
		o->arms[i] = &arm_kinds[i];
	rc = read_all(o, argc, argv, &d);
	if (rc > 0)
		fputs(usage_text, stdout);
	if (rc < 0)
		log_diag(LOG_ERROR, &d);
	return rc;
}
