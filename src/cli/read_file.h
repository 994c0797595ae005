/* SPDX-License-Identifier: MIT */
/* read_file - a whole file into a buffer. */
#pragma once
#include "base/diag.h"
#include "base/str.h"

/* Up to the buffer's own maximum: 0, or a negative errno with @diag. */
MUST_CHECK int cli_read_file(const char *path, struct buf *ret, struct diag *diag);
