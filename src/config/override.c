/* SPDX-License-Identifier: MIT */
#include "config/load_impl.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include "base/log.h"

#define STREAM_MAX_ENV "KVWARDEN_STREAM_MAX_DURATION_S"
#define ATTACH_ENV "KVWARDEN_DEV_SKIP_ENGINE_LAUNCH"

static int
refuse(struct diag *d, const char *where, const char *what)
{
	diag_where(d, "%s", where);
	diag_what(d, "%s", what);
	return -EINVAL;
}

static int
override_numbers(struct config *c, const struct config_overrides *o, struct diag *d)
{
	if (o->port > 65535)
		return refuse(d, "--port", "a port is 0 to 65535");
	if (o->max_concurrent == 0)
		return refuse(d, "--max-concurrent", "at least one request must be allowed");
	if (o->gpu_budget_fraction > 1)
		return refuse(d, "--gpu-budget", "a share of the GPU is at most 100%");
	if (o->port >= 0)
		c->port = o->port;
	if (o->max_concurrent > 0) {
		c->max_concurrent = o->max_concurrent;
		c->set |= keys_bit(SEC_TOP, "max_concurrent");
	}
	if (o->gpu_budget_fraction >= 0)
		c->gpu_budget_fraction = o->gpu_budget_fraction;
	return 0;
}

static int
override_words(struct config *c, const struct config_overrides *o, struct diag *d)
{
	enum log_level level;

	if (o->log_level && log_level_parse(o->log_level, &level) < 0)
		return refuse(d, "--log-level", "error, warning, info or debug is expected");
	if (o->log_level)
		c->log_level = config_dup(c, slice_of(o->log_level));
	if (o->decision_log)
		c->decision_log = config_dup(c, slice_of(o->decision_log));
	for (unsigned i = 0; o->sim && i < c->n_models; i++) {
		c->models[i].engine = CONFIG_SIM;
		c->models[i].endpoint = NULL;
	}
	return 0;
}

static void
attach(struct config *c)
{
	char endpoint[64];

	for (unsigned i = 0; i < c->n_models; i++) {
		struct config_model *m = &c->models[i];

		if (m->engine > CONFIG_SGLANG || m->endpoint || !m->port)
			continue;
		snprintf(endpoint, sizeof(endpoint), "http://localhost:%u", (unsigned)m->port);
		m->endpoint = config_dup(c, slice_of(endpoint));
	}
}

int
config_override(struct config *c, const struct config_overrides *o, struct diag *d)
{
	const char *stream_max = getenv(STREAM_MAX_ENV);
	double seconds;
	int r;

	must(c->refs == 1);
	r = override_numbers(c, o, d);
	if (r == 0)
		r = override_words(c, o, d);
	if (r < 0)
		return r;
	if (getenv(ATTACH_ENV))
		attach(c);
	if (!stream_max || !*stream_max || (c->timeouts.set & keys_bit(SEC_TIMEOUTS, "total_s")))
		return 0;
	if (slice_to_double(slice_of(stream_max), &seconds) < 0 || !(seconds > 0 && seconds <= 864000))
		return refuse(d, STREAM_MAX_ENV, "a number of seconds is expected");
	c->timeouts.total_s = seconds;
	return 0;
}
