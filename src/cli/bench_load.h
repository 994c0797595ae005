/* SPDX-License-Identifier: MIT */
/* bench_load - `kvwarden __load`: the load of a demo or a benchmark as a process of its own; not for users. */
#pragma once

/* @argv[0] is the command's name.  Returns the exit code: 0, 1 when it cannot run, 2 for wrong usage. */
int cli_bench_load(int argc, char **argv);
