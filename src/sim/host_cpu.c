/* SPDX-License-Identifier: MIT */
#include "sim/host_cpu.h"

static const struct host_cpu hosts[] = {
#define X(name_, in, sd, request, chunk, wake, blank, about_)                                      \
	{                                                                                          \
		.name = (name_),                                                                   \
		.in_ms = (in),                                                                     \
		.in_sd_ms = (sd),                                                                  \
		.request_ms = (request),                                                           \
		.chunk_ms = (chunk),                                                               \
		.wake_ms = (wake),                                                                 \
		.blank_share = (blank),                                                            \
		.about = (about_),                                                                 \
	},
#include "sim/host_cpus.def"
#undef X
};

const struct host_cpu *
host_cpu_find(const char *name)
{
	for (unsigned i = 0; i < ARRAY_LEN(hosts); i++)
		if (strcmp(hosts[i].name, name) == 0)
			return &hosts[i];
	return NULL;
}

void
host_cpu_constants(const struct host_cpu *h, struct buf *out)
{
	buf_addf(out, "in %g +- %g ms, request %g ms, chunk %g ms, wake %g ms, blank first %g",
		 h->in_ms, h->in_sd_ms, h->request_ms, h->chunk_ms, h->wake_ms, h->blank_share);
}

void
host_cpus_describe(struct buf *out)
{
	for (unsigned i = 0; i < ARRAY_LEN(hosts); i++) {
		buf_addf(out, "  %-22s%s; ", hosts[i].name, hosts[i].about);
		host_cpu_constants(&hosts[i], out);
		buf_add_char(out, '\n');
	}
}
