/* SPDX-License-Identifier: MIT */
/*
 * fault - ways to misbehave on purpose, for all requests (a flag) or one (the header X-Sim-Fault).
 *
 *   hang-after=3            stall=500@10,line-crlf            status=429:5
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "base/diag.h"
#include "base/str.h"

enum sim_fault_id {
#define X(NAME, name, NEEDS, help) SIM_FAULT_##NAME,
#include "sim/faults.def"
#undef X
	SIM_FAULTS
};

struct sim_fault {
	bool on;
	int64_t value, second; /* -1: not given */
	int64_t at;	       /* token */
};

struct sim_faults {
	struct sim_fault f[SIM_FAULTS];
};

/* Adds what @spec says to @f: 0, or -EINVAL with @d filled and @f as it was. */
MUST_CHECK int sim_faults_parse(struct sim_faults *f, struct slice spec, struct diag *d);
static inline bool
sim_fault_on(const struct sim_faults *f, enum sim_fault_id id)
{
	return f->f[id].on;
}
/* True when @id is on and belongs before token @token: by its token, or by its value for those without. */
bool sim_fault_at(const struct sim_faults *f, enum sim_fault_id id, uint64_t token);
/* Some fault depends on the count of tokens: they are to be sent one by one. */
bool sim_faults_count_tokens(const struct sim_faults *f);
/* The table as text, for --help. */
void sim_faults_describe(struct buf *out);
