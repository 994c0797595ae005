/* SPDX-License-Identifier: MIT */
/* sim_names - are the presets that a configuration names known to the simulator? */
#pragma once
#include "config/config.h"

/* 0, or -EINVAL with @d filled: which model names what, and the names that there are. */
MUST_CHECK int sim_names_check(const struct config *c, struct diag *d);
