/* SPDX-License-Identifier: MIT */
/* `kvwarden man [TOPIC]`: the pages of docs/, which the program carries with it. */
#pragma once

int cli_man(int argc, char **argv);
