/* SPDX-License-Identifier: MIT */
/* models - `kvwarden models`: the models that a running gateway lists, for a terminal. */
#pragma once

/* @argv[0] is the command's name.  Returns the exit code: 0, 1 when nobody answers as expected, 2 for wrong usage. */
int cli_models(int argc, char **argv);
