/* SPDX-License-Identifier: MIT */
/* status - `kvwarden status`: what a running gateway says of itself, for a terminal. */
#pragma once

/* @argv[0] is the command's name.  Returns the exit code: 0, 1 when nobody answers as expected, 2 for wrong usage. */
int cli_status(int argc, char **argv);
