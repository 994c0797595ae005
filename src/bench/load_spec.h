/* SPDX-License-Identifier: MIT */
/*
 * load_spec - what load to make: tenants, their arrivals and lengths, and the phases of a run.
 *
 * A tenant is written as one word, NAME:key=value[,key=value...], on the command line of whoever makes load:
 *
 *   quiet:rate=5,in=64,out=64                       5 requests a second, Poisson
 *   flooder:rate=90,in=64,out=64,outstanding=256    the same, but never more than 256 at a time
 *   probe:arrival=closed,outstanding=64,out=32~0.5  64 at a time, lengths log-normal with median 32 and sigma 0.5
 *
 * Keys: rate (requests a second), arrival (poisson, constant, closed), outstanding, in, out, header (that names the tenant;
 * x-tenant-id), key (sent as a bearer token).
 */
#pragma once
#include <stddef.h>
#include <stdint.h>
#include "base/diag.h"
#include "base/str.h"
#include "bench/arrival.h"

#define LOAD_TENANTS_MAX 16
#define LOAD_NAME_BYTES 64  /* of a tenant, with NUL */
#define LOAD_WORD_BYTES 256 /* of a key, a header's name, a model, with NUL */
#define LOAD_OUTSTANDING_MAX 20000
#define LOAD_RATE_MAX 100000

struct load_tenant_spec {
	char name[LOAD_NAME_BYTES];
	char header[LOAD_WORD_BYTES];
	char key[LOAD_WORD_BYTES]; /* empty: none is sent */
	enum load_arrival arrival;
	double rate_rps; /* of an open loop */
	unsigned outstanding; /* at most so many at a time, those that back off included; 0: LOAD_OUTSTANDING_MAX */
	struct load_length in, out;
};

/*
 * A run has three phases.  Load flows through all of them; only requests planned in the second one are measured.  The third
 * lasts until each of those has ended, at most cooldown_s: whoever is not answered then is unfinished.
 */
struct load_spec {
	char model[LOAD_WORD_BYTES];
	double warmup_s, duration_s, cooldown_s;
	uint64_t seed;
	unsigned n_tenants;
	struct load_tenant_spec tenants[LOAD_TENANTS_MAX];
};

/* Reads one tenant: 0, or -EINVAL with @d filled. */
MUST_CHECK int load_tenant_parse(struct load_tenant_spec *t, struct slice text, struct diag *d);
/* Appends what load_tenant_parse() reads back. */
void load_tenant_format(const struct load_tenant_spec *t, struct buf *out);
