/* SPDX-License-Identifier: MIT */
/* arm_table - a report as a table for people: one line an arm. */
#pragma once
#include "base/str.h"
#include "wire/report.h"

/* @quiet is the tenant whose TTFT is shown, @flooder the one whose requests are counted. */
void arm_table_write(const struct report *r, const char *quiet, const char *flooder, struct buf *out);
