/* SPDX-License-Identifier: MIT */
#include "sim/face_stats.h"
#include <inttypes.h>

static const struct {
	unsigned n;
	double le[SIM_BUCKETS_MAX];
} bounds[] = {
	[SIM_BOUNDS_TTFT] = { 22,
			      { 0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75,
				1,     2.5,   5,    7.5,  10,	20,   40,   80,	 160,  640, 2560 } },
	[SIM_BOUNDS_TOKEN] = { 19,
			       { 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1,
				 2.5, 5, 7.5, 10, 20, 40, 80 } },
	[SIM_BOUNDS_PHASE] = { 21, { 0.3, 0.5, 0.8, 1,	1.5, 2,	  2.5, 5,   10,	  15,  20,
				     30,  40,  50,  60, 120, 240, 480, 960, 1920, 7680 } },
};

void
sim_face_stats_init(struct sim_face_stats *s)
{
	*s = (struct sim_face_stats){
		.itl.bounds = SIM_BOUNDS_TOKEN,
		.tpot.bounds = SIM_BOUNDS_TOKEN,
		.e2e.bounds = SIM_BOUNDS_PHASE,
		.queue.bounds = SIM_BOUNDS_PHASE,
		.prefill.bounds = SIM_BOUNDS_PHASE,
		.decode.bounds = SIM_BOUNDS_PHASE,
	};
}

void
sim_histogram_add(struct sim_histogram *h, double seconds)
{
	unsigned i = 0;

	while (i < bounds[h->bounds].n && seconds > bounds[h->bounds].le[i])
		i++;
	h->count[i]++;
	h->sum_s += seconds;
}

void
sim_histogram_render(struct buf *out, const char *name, const char *labels, const struct sim_histogram *h)
{
	unsigned n = bounds[h->bounds].n;
	uint64_t below = 0;

	buf_addf(out, "# TYPE %s histogram\n", name);
	for (unsigned i = 0; i < n; i++) {
		below += h->count[i];
		buf_addf(out, "%s_bucket{%s,le=\"%g\"} %" PRIu64 "\n", name, labels,
			 bounds[h->bounds].le[i], below);
	}
	below += h->count[n];
	buf_addf(out, "%s_bucket{%s,le=\"+Inf\"} %" PRIu64 "\n", name, labels, below);
	buf_addf(out, "%s_sum{%s} %.9g\n%s_count{%s} %" PRIu64 "\n", name, labels, h->sum_s, name,
		 labels, below);
}
