/* SPDX-License-Identifier: MIT */
#include <stdio.h>

int
main(void)
{
	puts("kvwarden " KVWARDEN_VERSION);
	return 0;
}
