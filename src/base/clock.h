/* SPDX-License-Identifier: MIT */
/*
 * clock - the only place that reads a clock.
 *
 * The event loop reads it once per turn and passes the time on; policy modules get time as an argument.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>

/* Microseconds of a clock that never jumps; its zero is arbitrary. */
uint64_t clock_mono_us(void);
/* Microseconds since 1970 (UTC). */
uint64_t clock_wall_us(void);
/* CPU time that this process has used, microseconds. */
uint64_t clock_cpu_us(void);

#define CLOCK_RFC3339_LEN 28
/* Writes @wall_us as 2026-11-24T14:05:09.123456Z with NUL into @out. */
void clock_rfc3339(uint64_t wall_us, char out[CLOCK_RFC3339_LEN]);
