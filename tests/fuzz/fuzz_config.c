/* SPDX-License-Identifier: MIT */
/* Any bytes either load, and then can be shown and compared, or are refused with at least one error. */
#include <stdint.h>
#include "config/config.h"

#define INPUT_MAX 8192

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static struct config_errors errs;
	struct config *c;
	struct buf out;

	if (n > INPUT_MAX)
		return 0;
	c = config_parse((struct slice){ (const char *)data, n }, "fuzz", &errs);
	must(!c == (errs.total > 0));
	if (!c)
		return 0;
	buf_init(&out, BUF_MAX_DEFAULT);
	config_show(c, &out);
	must(config_diff(c, c, NULL, 0) == 0);
	buf_finish(&out);
	config_unref(c);
	return 0;
}
