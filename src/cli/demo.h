/* SPDX-License-Identifier: MIT */
/* demo - `kvwarden demo`: what a flooding tenant does to a quiet one, and what each policy does about it, as a table. */
#pragma once

/* @argv[0] is the command's name.  Returns the exit code: 0; 1 when an arm failed; 2 for wrong usage; 128 plus the signal's
 * number when one ended it. */
int cli_demo(int argc, char **argv);
