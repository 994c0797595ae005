/* SPDX-License-Identifier: MIT */
/* sim_replay - `kvwarden sim replay TRACE.csv`: recorded arrivals through the simulated engine in virtual time. */
#pragma once

/* @argv[0] is "replay".  Returns the exit code: 0, 1 when it cannot run, 2 for wrong usage. */
int cli_sim_replay(int argc, char **argv);
