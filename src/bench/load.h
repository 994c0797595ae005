/* SPDX-License-Identifier: MIT */
/*
 * load - makes load on one server: open and closed loops of streamed completions, one or many tenants.
 *
 * Open loops keep to a plan made of absolute times (see arrival.h); the time to the first token counts from the planned
 * instant, and how far the tool itself was behind its plan is part of the result.  Each tenant has connections of its own,
 * without a bound.  A refusal (429, 503) or a failure keeps its place among the outstanding for LOAD_BACKOFF_MS.  A 200 that
 * carries no token, an error event, or no [DONE] is a failure.
 *
 * Runs on the caller's loop.  The spec belongs to the caller and stays until load_destroy().
 */
#pragma once
#include <uv.h>
#include "bench/load_result.h"
#include "bench/load_spec.h"
#include "http/url.h"

#define LOAD_BACKOFF_MS 100
#define LOAD_SAMPLES_MAX ((size_t)1 << 22) /* measured requests of one tenant */

struct load;

struct load *load_create(uv_loop_t *loop, const struct load_spec *spec, const struct http_endpoint *ep);
/* Begins.  @done comes once, from the loop, at the end of the last phase: nothing is under way any more then. */
void load_start(struct load *l, void (*done)(void *ctx), void *ctx);
/* How it stands now; valid in every phase. */
void load_get_result(struct load *l, struct load_result *ret);
/* Gives up whatever is under way and closes every connection; @closed comes from the loop, and destroy may follow. */
void load_close(struct load *l, void (*closed)(void *ctx), void *ctx);
void load_destroy(struct load *l);
