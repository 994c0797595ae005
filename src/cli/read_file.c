/* SPDX-License-Identifier: MIT */
#include "cli/read_file.h"
#include <errno.h>
#include <stdio.h>

#define READ_BYTES 65536

int
cli_read_file(const char *path, struct buf *ret, struct diag *diag)
{
	FILE *f = fopen(path, "rb");
	char chunk[READ_BYTES];
	int e = 0;
	size_t n;

	if (!f) {
		e = -errno;
		diag_what(diag, "cannot be read: %s", strerror(-e));
		return e;
	}
	while (!ret->overflow && (n = fread(chunk, 1, sizeof(chunk), f)) > 0)
		buf_add(ret, chunk, n);
	if (ferror(f))
		e = -EIO;
	else if (ret->overflow)
		e = -EFBIG;
	fclose(f);
	if (e < 0)
		diag_what(diag, "cannot be read: %s", strerror(-e));
	return e;
}
