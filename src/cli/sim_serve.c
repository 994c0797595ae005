/* SPDX-License-Identifier: MIT */
#include "cli/sim_serve.h"
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include "base/log.h"
#include "cli/child_side.h"
#include "sim/host_cpu.h"
#include "sim/http_face.h"
#include "sim/step_time.h"

enum {
	EXIT_CANNOT_RUN = 1,
	EXIT_USAGE = 2
};

struct sim_serve {
	struct sim_face_options face;
	const char *host, *unix_path;
	uint16_t port;
	struct sim_step_options step;
	const struct host_cpu *host_cpu; /* NULL: none */
	bool blank_given;
	bool instant;
	uint64_t instant_interval_us;
	struct child_side side;

	uv_loop_t loop;
	uv_signal_t term, interrupt;
	struct sim_source *source;
	struct sim_face *server;
	unsigned closing;
};

/* options -------------------------------------------------------------------------------------------------------------- */
enum option_id {
	OPT_HOST = 256,
	OPT_PORT,
	OPT_UNIX,
	OPT_REPORT_FD,
	OPT_DIE_WITH_PARENT,
	OPT_PERSONALITY,
	OPT_MODEL,
	OPT_MAX_MODEL_LEN,
	OPT_SEED,
	OPT_SPEED,
	OPT_STARTUP,
	OPT_FAULT,
	OPT_RECORD,
	OPT_API_KEY,
	OPT_BLANK_FIRST,
	OPT_IDLE_MS,
	OPT_INSTANT,
	OPT_INSTANT_TOKENS,
	OPT_INSTANT_INTERVAL,
	OPT_PRESET,
	OPT_MAX_SEQS,
	OPT_BATCHED_TOKENS,
	OPT_KV_BLOCKS,
	OPT_POLICY,
	OPT_HOST_CPU,
	OPT_HELP,
};

static const struct option options[] = {
	{ "host", required_argument, NULL, OPT_HOST },
	{ "port", required_argument, NULL, OPT_PORT },
	{ "unix", required_argument, NULL, OPT_UNIX },
	{ "report-fd", required_argument, NULL, OPT_REPORT_FD },
	{ "die-with-parent", optional_argument, NULL, OPT_DIE_WITH_PARENT },
	{ "personality", required_argument, NULL, OPT_PERSONALITY },
	{ "model", required_argument, NULL, OPT_MODEL },
	{ "max-model-len", required_argument, NULL, OPT_MAX_MODEL_LEN },
	{ "seed", required_argument, NULL, OPT_SEED },
	{ "speed", required_argument, NULL, OPT_SPEED },
	{ "startup-s", required_argument, NULL, OPT_STARTUP },
	{ "fault", required_argument, NULL, OPT_FAULT },
	{ "record", required_argument, NULL, OPT_RECORD },
	{ "api-key", required_argument, NULL, OPT_API_KEY },
	{ "blank-first", required_argument, NULL, OPT_BLANK_FIRST },
	{ "idle-ms", required_argument, NULL, OPT_IDLE_MS },
	{ "instant", no_argument, NULL, OPT_INSTANT },
	{ "instant-tokens", required_argument, NULL, OPT_INSTANT_TOKENS },
	{ "instant-interval-us", required_argument, NULL, OPT_INSTANT_INTERVAL },
	{ "preset", required_argument, NULL, OPT_PRESET },
	{ "max-num-seqs", required_argument, NULL, OPT_MAX_SEQS },
	{ "max-num-batched-tokens", required_argument, NULL, OPT_BATCHED_TOKENS },
	{ "num-gpu-blocks", required_argument, NULL, OPT_KV_BLOCKS },
	{ "scheduling-policy", required_argument, NULL, OPT_POLICY },
	{ "host-cpu", required_argument, NULL, OPT_HOST_CPU },
	{ "help", no_argument, NULL, OPT_HELP },
	{ 0 },
};

static const char usage_text[] =
	"usage: kvwarden sim --port N [options]\n"
	"\n"
	"Serves a simulated engine over HTTP.  Every figure that it gives is simulated.\n"
	"\n"
	"  --host ADDRESS            listen there (127.0.0.1)\n"
	"  --port N                  0: any free port, see --report-fd\n"
	"  --unix PATH               a Unix socket instead\n"
	"  --report-fd N             write {\"address\",\"port\",\"pid\"} there once the address is held\n"
	"  --die-with-parent[=PID]   end when the process that started this one ends\n"
	"  --personality NAME        " SIM_PERSONALITIES " (vllm)\n"
	"  --model NAME              a name that is served; may be given several times (llama31-8b)\n"
	"  --max-model-len N         prompt and answer together (131072, or what the KV cache holds)\n"
	"  --preset NAME             the machine, see below (a100-llama31-8b)\n"
	"  --max-num-seqs N, --max-num-batched-tokens N, --num-gpu-blocks N\n"
	"                            requests and tokens in a step, KV blocks of 16 tokens (the preset's)\n"
	"  --host-cpu NAME           what Python costs around the engine, see kvwarden sim presets (none)\n"
	"  --scheduling-policy NAME  fcfs or priority (fcfs)\n"
	"  --seed N                  same seed, same words and same steps (1)\n"
	"  --speed X                 simulated seconds a second (1)\n"
	"  --startup-s S             seconds of loading, during which it refuses as the engine does (0)\n"
	"  --blank-first P           probability that an answer begins with white space (0, or the --host-cpu's)\n"
	"  --api-key KEY             answer 401 without it\n"
	"  --idle-ms N               close an idle connection after it (5000)\n"
	"  --record FILE             append each request, with its body in base64, as a JSON line\n"
	"  --instant                 no step model: the cheapest answers, for benchmarks\n"
	"  --instant-tokens N        so many tokens in each of them, whatever was asked for\n"
	"  --instant-interval-us N   time between two of them (0: all at once)\n"
	"  --fault SPEC              misbehave; the same SPEC in the header X-Sim-Fault does it for one request\n";

static const char faults_text[] =
	"\n"
	"faults, joined by commas (N of ms, bytes or tokens; TOKEN counts from 0):\n";

static void
print_usage(FILE *to)
{
	struct buf text;

	buf_init(&text, 64 << 10);
	buf_add_str(&text, usage_text);
	buf_add_str(&text, "\npresets:\n");
	step_presets_describe(&text);
	buf_add_str(&text, faults_text);
	sim_faults_describe(&text);
	fwrite(text.p, 1, text.n, to);
	buf_finish(&text);
}

static int
wrong_value(struct diag *d, const char *what)
{
	diag_what(d, "'%s' is not %s", optarg, what);
	return -EINVAL;
}

static int
read_count(struct diag *d, uint64_t min, uint64_t max, uint64_t *ret)
{
	uint64_t v;

	if (slice_to_u64(slice_of(optarg), &v) || v < min || v > max) {
		diag_hint(d, "from %llu to %llu", (unsigned long long)min, (unsigned long long)max);
		return wrong_value(d, "a number in range");
	}
	*ret = v;
	return 0;
}

static int
read_real(struct diag *d, double min, double max, double *ret)
{
	double v;

	if (slice_to_double(slice_of(optarg), &v) || !(v >= min && v <= max)) {
		diag_hint(d, "from %g to %g", min, max);
		return wrong_value(d, "a number in range");
	}
	*ret = v;
	return 0;
}

/* Names go into metric labels and JSON as they are. */
static int
add_model(struct sim_serve *s, struct diag *d)
{
	if (optarg[0] == '\0' || strlen(optarg) > SIM_MODEL_NAME_MAX || strpbrk(optarg, "\"\\\n\r"))
		return wrong_value(d, "a model's name");
	if (s->face.n_models == SIM_MODELS_MAX) {
		diag_what(d, "there are too many models");
		return -EINVAL;
	}
	s->face.models[s->face.n_models++] = optarg;
	return 0;
}

static int
read_personality(struct sim_serve *s, struct diag *d)
{
	s->face.personality = sim_personality_find(optarg);
	if (s->face.personality)
		return 0;
	diag_hint(d, "one of " SIM_PERSONALITIES);
	return wrong_value(d, "a personality");
}

static int
read_address_option(struct sim_serve *s, int id, struct diag *d)
{
	uint64_t n = 0;
	int err = 0;

	switch (id) {
	case OPT_HOST:
		s->host = optarg;
		break;
	case OPT_UNIX:
		s->unix_path = optarg;
		break;
	case OPT_PORT:
		err = read_count(d, 0, UINT16_MAX, &n);
		s->port = (uint16_t)n;
		break;
	case OPT_REPORT_FD:
		err = read_count(d, 0, INT32_MAX, &n);
		s->side.report_fd = (int)n;
		break;
	default: /* OPT_DIE_WITH_PARENT */
		s->side.die_with_parent = true;
		if (optarg)
			err = read_count(d, 1, INT32_MAX, &n);
		s->side.parent = (pid_t)n;
	}
	return err;
}

static int
read_preset(struct sim_serve *s, struct diag *d)
{
	s->step.preset = step_preset_find(optarg);
	if (s->step.preset)
		return 0;
	diag_hint(d, "kvwarden sim --help lists them");
	return wrong_value(d, "a preset");
}

static int
read_host_cpu(struct sim_serve *s, struct diag *d)
{
	s->host_cpu = host_cpu_find(optarg);
	if (s->host_cpu)
		return 0;
	diag_hint(d, "kvwarden sim presets lists them");
	return wrong_value(d, "a host");
}

static int
read_policy(struct sim_serve *s, struct diag *d)
{
	s->step.by_priority = strcmp(optarg, "priority") == 0;
	if (s->step.by_priority || strcmp(optarg, "fcfs") == 0)
		return 0;
	diag_hint(d, "fcfs or priority");
	return wrong_value(d, "a scheduling policy");
}

static int
read_scheduler_option(struct sim_serve *s, int id, struct diag *d)
{
	uint64_t n = 0;
	int err;

	if (id == OPT_PRESET)
		return read_preset(s, d);
	if (id == OPT_POLICY)
		return read_policy(s, d);
	if (id == OPT_HOST_CPU)
		return read_host_cpu(s, d);
	err = read_count(d, 1, 100000000, &n);
	if (id == OPT_MAX_SEQS)
		s->step.max_seqs = (unsigned)n;
	else if (id == OPT_BATCHED_TOKENS)
		s->step.budget_tok = (unsigned)n;
	else
		s->step.kv_blocks = (unsigned)n;
	return err;
}

static int
read_engine_option(struct sim_serve *s, int id, struct diag *d)
{
	struct sim_face_options *o = &s->face;
	uint64_t n = 0;
	int err = 0;

	switch (id) {
	case OPT_PERSONALITY:
		return read_personality(s, d);
	case OPT_MODEL:
		return add_model(s, d);
	case OPT_SEED:
		return read_count(d, 0, UINT64_MAX, &o->seed);
	case OPT_SPEED:
		return read_real(d, 0.001, 100000, &o->speed);
	case OPT_STARTUP:
		return read_real(d, 0, 86400, &o->startup_s);
	case OPT_BLANK_FIRST:
		s->blank_given = true;
		return read_real(d, 0, 1, &o->blank_first);
	case OPT_FAULT:
		return sim_faults_parse(&o->faults, slice_of(optarg), d);
	case OPT_MAX_MODEL_LEN:
		err = read_count(d, 2, 100000000, &n);
		o->max_model_len = (unsigned)n;
		return err;
	case OPT_IDLE_MS:
		err = read_count(d, 1, UINT32_MAX, &n);
		o->idle_ms = (uint32_t)n;
		return err;
	case OPT_INSTANT_TOKENS:
		err = read_count(d, 1, SIM_OUTPUT_MAX, &n);
		o->fixed_tok = (unsigned)n;
		return err;
	case OPT_INSTANT_INTERVAL:
		return read_count(d, 0, 1000000000, &s->instant_interval_us);
	case OPT_RECORD:
		o->record = optarg;
		return 0;
	case OPT_API_KEY:
		o->api_key = optarg;
		return 0;
	default: /* OPT_INSTANT */
		s->instant = o->same_words = true;
		return 0;
	}
}

static unsigned
max_seqs_of(const struct sim_serve *s)
{
	return s->step.max_seqs ? s->step.max_seqs : s->step.preset->max_seqs;
}

/* 0, 1 when help was asked for, or -EINVAL with @d filled. */
static int
read_options(struct sim_serve *s, int argc, char **argv, struct diag *d)
{
	int id, index, err = 0;

	optind = 0;
	opterr = 0;
	while (!err && (id = getopt_long(argc, argv, "h", options, &index)) != -1) {
		if (id == OPT_HELP || id == 'h')
			return 1;
		if (id == '?') {
			diag_what(d, "'%s' is not an option, or its value is missing or too much",
				  argv[optind - 1]);
			return -EINVAL;
		}
		diag_where(d, "--%s", options[index].name);
		if (id <= OPT_DIE_WITH_PARENT)
			err = read_address_option(s, id, d);
		else if (id >= OPT_PRESET && id <= OPT_HOST_CPU)
			err = read_scheduler_option(s, id, d);
		else
			err = read_engine_option(s, id, d);
	}
	if (err)
		return err;
	if (optind < argc) {
		diag_where(d, "%s", argv[optind]);
		diag_what(d, "this command takes no such argument");
		diag_hint(d, "kvwarden sim has the verbs steps, replay and presets; without one it serves");
		return -EINVAL;
	}
	if (s->instant_interval_us > 0 && !s->instant) {
		diag_where(d, "--instant-interval-us");
		diag_what(d, "it means something with --instant only");
		return -EINVAL;
	}
	if (s->step.budget_tok > 0 && s->step.budget_tok < max_seqs_of(s)) {
		diag_where(d, "--max-num-batched-tokens");
		diag_what(d, "%u tokens in a step are less than the %u requests in it",
			  s->step.budget_tok, max_seqs_of(s));
		diag_hint(d, "give as many at least, or fewer with --max-num-seqs");
		return -EINVAL;
	}
	if (s->host_cpu && !s->blank_given)
		s->face.blank_first = s->host_cpu->blank_share;
	if (s->face.n_models == 0)
		s->face.models[s->face.n_models++] = "llama31-8b";
	return 0;
}

/* life ----------------------------------------------------------------------------------------------------------------- */
static void
on_closed(void *ctx)
{
	(void)ctx;
}

static void
on_signal(uv_signal_t *h, int number)
{
	struct sim_serve *s = h->data;

	(void)number;
	uv_close((uv_handle_t *)&s->term, NULL);
	uv_close((uv_handle_t *)&s->interrupt, NULL);
	sim_face_close(s->server, on_closed, s);
}

static void
watch_signals(struct sim_serve *s)
{
	uv_signal_init(&s->loop, &s->term);
	uv_signal_init(&s->loop, &s->interrupt);
	s->term.data = s->interrupt.data = s;
	uv_signal_start(&s->term, on_signal, SIGTERM);
	uv_signal_start(&s->interrupt, on_signal, SIGINT);
	signal(SIGPIPE, SIG_IGN);
}

static int
open_server(struct sim_serve *s, struct diag *d)
{
	uint16_t port = 0;
	int err;

	if (s->instant) {
		s->source = sim_source_paced(s->instant_interval_us);
	} else {
		/* What the cache cannot hold would wait for ever. */
		s->face.max_model_len = (unsigned)MIN((uint64_t)s->face.max_model_len,
						      sim_source_step_max_tok(&s->step));
		s->source = sim_source_step(&s->step);
		if (s->host_cpu)
			s->source = sim_source_host(s->host_cpu, s->source, s->face.seed);
	}
	s->server = sim_face_create(&s->loop, &s->face, s->source, d);
	if (!s->server)
		return -EIO;
	err = s->unix_path ? sim_face_listen_unix(s->server, s->unix_path, d)
			   : sim_face_listen(s->server, s->host, s->port, &port, d);
	if (err)
		return err;
	child_side_report(&s->side, s->host, port, s->unix_path);
	if (s->unix_path)
		log_info("sim: a SIMULATED %s engine answers on unix:%s", s->face.personality->name,
			 s->unix_path);
	else
		log_info("sim: a SIMULATED %s engine answers on http://%s:%u",
			 s->face.personality->name, s->host, port);
	return 0;
}

/* What is left when everything was closed, or when nothing was opened. */
static void
release(struct sim_serve *s)
{
	sim_face_destroy(s->server);
	if (s->source)
		s->source->ops->destroy(s->source);
	uv_loop_close(&s->loop);
}

static int
serve(struct sim_serve *s)
{
	struct diag d = { 0 };

	if (!child_side_follow(&s->side))
		return EXIT_CANNOT_RUN;
	uv_loop_init(&s->loop);
	watch_signals(s);
	if (open_server(s, &d)) {
		log_diag(LOG_ERROR, &d);
		return EXIT_CANNOT_RUN; /* the process ends: its handles with it */
	}
	uv_run(&s->loop, UV_RUN_DEFAULT);
	if (sim_face_failure(s->server)) {
		log_diag(LOG_ERROR, sim_face_failure(s->server));
		return EXIT_CANNOT_RUN;
	}
	release(s);
	return 0;
}

int
cli_sim_serve(int argc, char **argv)
{
	struct sim_serve s = { .face = SIM_FACE_OPTIONS_DEFAULT, .host = "127.0.0.1", .side.report_fd = -1 };
	struct diag d = { 0 };
	int rc;

	s.face.seed = 1;
	s.step.preset = step_preset_find("a100-llama31-8b");
	rc = read_options(&s, argc, argv, &d);
	if (rc > 0) {
		print_usage(stdout);
		return 0;
	}
	if (rc < 0) {
		log_diag(LOG_ERROR, &d);
		return EXIT_USAGE;
	}
	return serve(&s);
}
