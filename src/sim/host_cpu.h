/* SPDX-License-Identifier: MIT */
/*
 * host_cpu - what Python costs around an engine, for known machines.
 *
 * An axis of its own: the same GPU stands behind fast and slow processors.  Each step_preset names the host that its constants
 * were fitted with.  The constants and their meaning stand in host_cpus.def; source_host.c applies them.
 */
#pragma once
#include "base/str.h"

struct host_cpu {
	const char *name;
	double in_ms, in_sd_ms; /* from the API server to the scheduler, normal */
	double request_ms, chunk_ms; /* of the API server's time, for a request and for an output chunk */
	double wake_ms;	    /* more on the way in when the engine sleeps, exponential mean */
	double blank_share; /* answers that begin with a token of white space */
	const char *about;
};

/* NULL for an unknown name. */
const struct host_cpu *host_cpu_find(const char *name);
/* A line each. */
void host_cpus_describe(struct buf *out);
/* The constants of one, in a line. */
void host_cpu_constants(const struct host_cpu *h, struct buf *out);
