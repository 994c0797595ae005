/* SPDX-License-Identifier: MIT */
/*
 * gateway - the whole of `kvwarden serve` behind its command line: listeners, models, tenants, admission, relay, logs.
 *
 * Everything lives on one loop's thread.  The order of a request's life is told in request.h; read that first.
 *
 * A gateway listens as soon as it is created and answers 503 until its models have answered.  It ends in two steps:
 * gateway_drain() lets what runs finish (bounded by timeouts.drain_s), gateway_stop() cuts off what is left.
 */
#pragma once
#include <uv.h>
#include "config/config.h"

struct gateway;

/* Listens and starts the engines.  Takes over the caller's reference to @c.  @self_exe is the path of this program, for
 * the simulator's child.  NULL with @d filled when it cannot run so. */
struct gateway *gateway_create(uv_loop_t *loop, struct config *c, const char *self_exe, struct diag *d);
/* The port of the API in use. */
uint16_t gateway_port(const struct gateway *g);

/* Puts @c in force, whole or not at all: 0, or an error with @d filled, and then the old one stays.  Takes over the
 * caller's reference either way.  Keys that only a restart applies are logged. */
MUST_CHECK int gateway_reload(struct gateway *g, struct config *c, struct diag *d);
/* A reload that failed before it got here is counted too. */
void gateway_note_reload_failure(struct gateway *g);
/* Opens the log files anew, for rotation. */
void gateway_reopen_logs(struct gateway *g);

/* New requests get 503; @done is called once, when nothing is left of the gateway on the loop. */
void gateway_drain(struct gateway *g, void (*done)(void *ctx), void *ctx);
/* Ends at once what gateway_drain() still waits for. */
void gateway_stop(struct gateway *g);
void gateway_destroy(struct gateway *g);
