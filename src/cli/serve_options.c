/* SPDX-License-Identifier: MIT */
#include "cli/serve_options.h"

#include <errno.h>
#include <string.h>
#include "base/json_writer.h"

#define SIM_MODEL "llama31-8b" /* what --sim serves when nothing else is named */
#define SOURCE "command line"

const char serve_usage[] = "usage: kvwarden serve --config FILE\n"
			   "       kvwarden serve --sim [MODEL...]\n"
			   "       kvwarden serve MODEL... --engine vllm|sglang\n"
			   "options: --port N  --max-concurrent N  --gpu-budget 80%  --log-level LEVEL\n"
			   "         --decision-log FILE  --no-interactive\n"
			   "         --report-fd N  --die-with-parent PID\n";

static int
wrong(struct diag *d, const char *flag, const char *what)
{
	diag_where(d, "%s", flag);
	diag_what(d, "%s", what);
	return -EINVAL;
}

static int
parse_count(const char *flag, const char *value, int64_t *ret, struct diag *d)
{
	uint64_t v;

	if (slice_to_u64(slice_of(value), &v) < 0 || v > INT32_MAX)
		return wrong(d, flag, "a whole number is expected");
	*ret = (int64_t)v;
	return 0;
}

static int
parse_fd(const char *flag, const char *value, int *ret, struct diag *d)
{
	int64_t v;

	if (parse_count(flag, value, &v, d) < 0)
		return -EINVAL;
	*ret = (int)v;
	return 0;
}

static int
parse_parent(const char *flag, const char *value, struct child_side *side, struct diag *d)
{
	int64_t v;

	if (parse_count(flag, value, &v, d) < 0)
		return -EINVAL;
	side->die_with_parent = true;
	side->parent = (pid_t)v;
	return 0;
}

/* "80%", 80 or 0.8. */
static int
parse_budget(const char *flag, const char *value, double *ret, struct diag *d)
{
	struct slice s = slice_of(value);
	bool percent = s.n && s.p[s.n - 1] == '%';

	s.n -= percent;
	if (slice_to_double(s, ret) < 0 || !(*ret > 0))
		return wrong(d, flag, "a share like 80%, 80 or 0.8 is expected");
	if (percent || *ret > 1)
		*ret /= 100;
	return *ret <= 1 ? 0 : wrong(d, flag, "a share is at most 100%");
}

static int
parse_value(struct serve_options *o, const char *flag, const char *value, struct diag *d)
{
	if (!strcmp(flag, "--config"))
		o->config = value;
	else if (!strcmp(flag, "--engine"))
		o->engine = value;
	else if (!strcmp(flag, "--log-level"))
		o->over.log_level = value;
	else if (!strcmp(flag, "--decision-log"))
		o->over.decision_log = value;
	else if (!strcmp(flag, "--report-fd"))
		return parse_fd(flag, value, &o->side.report_fd, d);
	else if (!strcmp(flag, "--die-with-parent"))
		return parse_parent(flag, value, &o->side, d);
	else if (!strcmp(flag, "--port"))
		return parse_count(flag, value, &o->over.port, d);
	else if (!strcmp(flag, "--max-concurrent"))
		return parse_count(flag, value, &o->over.max_concurrent, d);
	else
		return parse_budget(flag, value, &o->over.gpu_budget_fraction, d);
	return 0;
}

static bool
takes_value(struct slice flag)
{
	static const char *const flags[] = { "--config",       "--engine",    "--log-level",
					     "--decision-log", "--port",      "--max-concurrent",
					     "--gpu-budget",   "--report-fd", "--die-with-parent" };

	for (size_t i = 0; i < ARRAY_LEN(flags); i++)
		if (slice_eq(flag, slice_of(flags[i])))
			return true;
	return false;
}

static bool
parse_switch(struct serve_options *o, const char *arg)
{
	if (!strcmp(arg, "--sim"))
		o->over.sim = true;
	else if (!strcmp(arg, "--no-interactive"))
		o->no_interactive = true;
	else if (!strcmp(arg, "--help") || !strcmp(arg, "-h"))
		o->help = true;
	else
		return false;
	return true;
}

int
serve_options_parse(int argc, char **argv, struct serve_options *o, struct diag *d)
{
	*o = (struct serve_options){ .engine = "vllm", .over = CONFIG_OVERRIDES_NONE, .side.report_fd = -1 };
	for (int i = 1; i < argc; i++) {
		const char *eq = strchr(argv[i], '='), *value;
		struct slice flag = { argv[i], eq ? (size_t)(eq - argv[i]) : strlen(argv[i]) };
		char name[32] = "";

		if (argv[i][0] != '-') {
			if (o->n_models == CONFIG_MODELS_MAX)
				return wrong(d, argv[i], "too many models");
			o->models[o->n_models++] = argv[i];
			continue;
		}
		if (parse_switch(o, argv[i]))
			continue;
		if (!takes_value(flag))
			return wrong(d, argv[i], "this option is not known");
		memcpy(name, flag.p, flag.n); /* known ones are shorter than the array */
		value = eq ? eq + 1 : i + 1 < argc ? argv[++i] : NULL;
		if (!value || !*value)
			return wrong(d, name, "a value is missing");
		if (parse_value(o, name, value, d) < 0)
			return -EINVAL;
	}
	return 0;
}

bool
serve_options_empty(const struct serve_options *o)
{
	return !o->config && !o->n_models && !o->over.sim;
}

/* The models named on the command line as a file would have them; JSON is YAML. */
static struct config *
config_of_models(const struct serve_options *o, struct config_errors *errs)
{
	struct json_writer w;
	struct config *c;
	struct buf text;

	buf_init(&text, CONFIG_FILE_MAX);
	jw_init(&w, &text);
	jw_object(&w);
	if (o->over.sim) /* nobody else needs to reach a simulator */
		jw_kv_str(&w, "host", "127.0.0.1");
	jw_key(&w, "models");
	jw_array(&w);
	for (unsigned i = 0; i < MAX(o->n_models, 1u); i++) {
		jw_object(&w);
		jw_kv_str(&w, "model_id", o->n_models ? o->models[i] : SIM_MODEL);
		jw_kv_str(&w, "engine", o->over.sim ? "sim" : o->engine);
		jw_end_object(&w);
	}
	jw_end_array(&w);
	jw_end_object(&w);
	c = config_parse(buf_slice(&text), SOURCE, errs);
	buf_finish(&text);
	return c;
}

struct config *
serve_options_load(const struct serve_options *o, struct config_errors *errs)
{
	struct config *c;

	if (o->config && o->n_models) {
		*errs = (struct config_errors){ .n = 1, .total = 1 };
		(void)wrong(&errs->v[0], o->models[0], "models stand in the file when --config is given");
		return NULL;
	}
	c = o->config ? config_load(o->config, errs) : config_of_models(o, errs);
	if (!c)
		return NULL;
	errs->v[0] = (struct diag){ 0 };
	if (config_override(c, &o->over, &errs->v[0]) == 0)
		return c;
	errs->n = errs->total = 1;
	config_unref(c);
	return NULL;
}
