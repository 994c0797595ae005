/* SPDX-License-Identifier: MIT */
#include "cli/sim_names.h"

#include <errno.h>
#include "sim/host_cpu.h"
#include "sim/step_time.h"

static int
unknown(struct diag *d, const struct config *c, const struct config_model *m, const char *key,
	const char *value)
{
	diag_where(d, "%s: model %s", c->path, m->model_id);
	diag_what(d, "%s: '%s' is not known to the simulator", key, value);
	diag_hint(d, "`kvwarden sim presets` lists those that are");
	return -EINVAL;
}

int
sim_names_check(const struct config *c, struct diag *d)
{
	for (unsigned i = 0; i < c->n_models; i++) {
		const struct config_model *m = &c->models[i];

		if (m->engine != CONFIG_SIM)
			continue;
		if (m->sim_preset && *m->sim_preset && !step_preset_find(m->sim_preset))
			return unknown(d, c, m, "sim_preset", m->sim_preset);
		if (m->sim_host && *m->sim_host && !host_cpu_find(m->sim_host))
			return unknown(d, c, m, "sim_host", m->sim_host);
	}
	return 0;
}
