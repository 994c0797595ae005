/* SPDX-License-Identifier: MIT */
/* policy - what differs between fifo, drr and window; everything else is shared. */
#pragma once
#include "admission/admission.h"

struct admission_policy_ops {
	const char *name;
	unsigned window_auto; /* 0: no bound */
	bool by_vtime;	      /* order flows by service received, and count it */
	/* Order of a request among those of its flow (and of all flows, unless by_vtime); lower first, then arrival. */
	int64_t (*rank)(const struct admission_flow *f, const struct admission_request *r);
	heap_less_fn flow_less, share_less;
};

extern const struct admission_policy_ops admission_policies[ADMISSION_POLICIES];

/* Order of requests inside a flow: rank, then arrival. */
bool admission_request_less(const struct heap_node *a, const struct heap_node *b);
