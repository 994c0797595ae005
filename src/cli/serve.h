/* SPDX-License-Identifier: MIT */
/* serve - `kvwarden serve`: the gateway. */
#pragma once

int cli_serve(int argc, char **argv);
