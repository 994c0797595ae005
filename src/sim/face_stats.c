/* SPDX-License-Identifier: MIT */
#include "sim/face_stats.h"
#include <inttypes.h>

const double sim_ttft_bounds_s[SIM_TTFT_BUCKETS] = { 0.001, 0.005, 0.01, 0.02, 0.04, 0.06,
						     0.08,  0.1,   0.25, 0.5,  0.75, 1,
						     2.5,   5,	   7.5,	 10,   20,   40,
						     80,    160,   640,	 2560 };

void
sim_histogram_add(struct sim_histogram *h, double seconds)
{
	unsigned i = 0;

	while (i < SIM_TTFT_BUCKETS && seconds > sim_ttft_bounds_s[i])
		i++;
	h->count[i]++;
	h->sum_s += seconds;
}

void
sim_histogram_render(struct buf *out, const char *name, const char *labels, const struct sim_histogram *h)
{
	uint64_t below = 0;

	for (unsigned i = 0; i < SIM_TTFT_BUCKETS; i++) {
		below += h->count[i];
		buf_addf(out, "%s_bucket{%s,le=\"%g\"} %" PRIu64 "\n", name, labels,
			 sim_ttft_bounds_s[i], below);
	}
	below += h->count[SIM_TTFT_BUCKETS];
	buf_addf(out, "%s_bucket{%s,le=\"+Inf\"} %" PRIu64 "\n", name, labels, below);
	buf_addf(out, "%s_sum{%s} %.9g\n%s_count{%s} %" PRIu64 "\n", name, labels, h->sum_s, name,
		 labels, below);
}
