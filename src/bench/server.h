/* SPDX-License-Identifier: MIT */
/* server - a process of ours that listens on a port of its own choice and reports it: an engine or a gateway. */
#pragma once
#include "bench/child.h"
#include "bench/stage.h"

#define SERVER_URL_BYTES 300

struct server {
	struct child child;
	char url[SERVER_URL_BYTES]; /* "http://127.0.0.1:39000"; empty until it is known */
};

/* The address in a server's report, {"address","port","pid"}, as a URL; false when the line is no such thing. */
bool server_url_from_report(struct slice line, char *out, size_t size);
/* Starts `kvwarden ARGS` and waits for its address: 0, -EINTR, or another error with @d filled (the child's log tells more). */
MUST_CHECK int server_start(struct server *s, struct stage *stage, const char *name,
			    const char *const *args, struct diag *d);
/* Ends it; harmless when it never began. */
void server_stop(struct server *s, struct stage *stage);
