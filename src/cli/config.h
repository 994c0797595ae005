/* SPDX-License-Identifier: MIT */
/* config - `kvwarden config check|show|schema`: reads a file without starting anything. */
#pragma once

/* @argv[0] is the command's name.  Returns the exit code: 0, 1 when the file is wrong, 2 for wrong usage. */
int cli_config(int argc, char **argv);
