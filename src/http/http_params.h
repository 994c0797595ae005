/* SPDX-License-Identifier: MIT */
/*
 * http_params - the limits of the HTTP server and client, with their defaults.
 *
 * The config table refers to these, so that every limit has one place.  Times are milliseconds, sizes bytes.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>

struct http_limits {
	size_t head_bytes;     /* request line and headers together: 431 over it */
	size_t uri_bytes;      /* request target: 414 over it */
	unsigned headers;      /* header lines: 431 over it */
	size_t body_bytes;     /* one request's body: 413 over it */
	size_t buffered_bytes; /* bodies and unsent answers over all connections: 503 over it */
	unsigned connections;  /* open client connections: more wait in the kernel's accept queue */
	uint32_t idle_ms;      /* a kept-alive connection without a request is closed */
	uint32_t head_ms;      /* from the first byte of a head to its end: 408 */
	uint32_t body_ms;      /* without a byte of a body that is due: 408 */
	size_t readahead_bytes; /* read ahead of a request in work; more closes the connection */
	size_t slow_soft_bytes; /* a client with more than this pending for slow_soft_ms is cut off */
	uint32_t slow_soft_ms;
	size_t slow_hard_bytes; /* a client with more than this pending is cut off at once */
};

#define HTTP_LIMITS_DEFAULT                                                                        \
	((struct http_limits){                                                                     \
		.head_bytes = 32 << 10,                                                            \
		.uri_bytes = 8 << 10,                                                              \
		.headers = 100,                                                                    \
		.body_bytes = 32 << 20,                                                            \
		.buffered_bytes = 512 << 20,                                                       \
		.connections = 20000,                                                              \
		.idle_ms = 75000,                                                                  \
		.head_ms = 10000,                                                                  \
		.body_ms = 30000,                                                                  \
		.readahead_bytes = 16 << 10,                                                       \
		.slow_soft_bytes = 64 << 10,                                                       \
		.slow_soft_ms = 30000,                                                             \
		.slow_hard_bytes = 1 << 20,                                                        \
	})

struct http_client_limits {
	uint32_t connect_ms; /* until the connection to an engine stands */
	uint32_t idle_ms;    /* an unused connection is closed, before the engine would do it */
	unsigned idle_connections; /* kept for reuse; no bound on those in use */
	size_t head_bytes;	   /* of an answer */
	unsigned headers;	   /* of an answer */
};

#define HTTP_CLIENT_LIMITS_DEFAULT                                                                 \
	((struct http_client_limits){                                                              \
		.connect_ms = 5000,                                                                \
		.idle_ms = 4000,                                                                   \
		.idle_connections = 1024,                                                          \
		.head_bytes = 64 << 10,                                                            \
		.headers = 200,                                                                    \
	})
