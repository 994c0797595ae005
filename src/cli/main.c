/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <string.h>
#include "cli/bench_load.h"
#include "cli/demo.h"
#include "cli/sim_serve.h"

int
main(int argc, char **argv)
{
	if (argc > 1 && strcmp(argv[1], "sim") == 0)
		return cli_sim_serve(argc - 1, argv + 1);
	if (argc > 1 && strcmp(argv[1], "__load") == 0)
		return cli_bench_load(argc - 1, argv + 1);
	if (argc > 1 && strcmp(argv[1], "demo") == 0)
		return cli_demo(argc - 1, argv + 1);
	puts("kvwarden " KVWARDEN_VERSION);
	return 0;
}
