/* SPDX-License-Identifier: MIT */
/* sim - `kvwarden sim ...`: what the simulator does without HTTP (steps), else the engine behind HTTP (sim_serve). */
#pragma once

/* @argv[0] is the command's name.  Returns the exit code: 0, 1 when it cannot run, 2 for wrong usage. */
int cli_sim(int argc, char **argv);
