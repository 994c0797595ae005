/* SPDX-License-Identifier: MIT */
/* sim_serve - `kvwarden sim --port N ...`: the simulated engine behind HTTP, until SIGTERM or SIGINT. */
#pragma once

/* @argv[0] is the command's name.  Returns the exit code: 0, 1 when it cannot run, 2 for wrong usage. */
int cli_sim_serve(int argc, char **argv);
