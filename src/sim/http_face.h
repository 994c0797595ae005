/* SPDX-License-Identifier: MIT */
/*
 * http_face - the simulated engine behind HTTP, looking like the engine that its personality names.
 *
 * POST /v1/chat/completions and /v1/completions, GET /health, /v1/models, /metrics, /version; and for tests and demos,
 * under every personality, GET /sim/state and POST /sim/reset (aborts everything and begins the peaks anew).
 * Runs on the caller's loop, on the wall clock times `speed`.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <uv.h>
#include "base/diag.h"
#include "sim/fault.h"
#include "sim/personality.h"
#include "sim/source.h"

#define SIM_MODELS_MAX 16
#define SIM_KEEPALIVE_MS 5000 /* uvicorn's: an idle connection is closed */
#define SIM_BODY_MAX ((size_t)64 << 20)

struct sim_face_options {
	const struct sim_personality *personality;
	const char *models[SIM_MODELS_MAX]; /* names that are served; at least one */
	unsigned n_models;
	unsigned max_model_len;
	uint64_t seed;
	double speed;		  /* simulated seconds a second, > 0 */
	double startup_s;	  /* loading takes so long */
	double blank_first;	  /* probability that an answer's first token is white space */
	unsigned fixed_tok;	  /* > 0: every answer has so many tokens, whatever was asked for */
	bool same_words;	  /* every token has the same text: cheap, for benchmarks */
	struct sim_faults faults; /* for every request */
	const char *record;	  /* file that each request is appended to; NULL: none */
	const char *api_key;	  /* NULL: none is asked for */
	uint32_t idle_ms;	  /* SIM_KEEPALIVE_MS, unless a test wants another */
};

#define SIM_FACE_OPTIONS_DEFAULT                                                                   \
	((struct sim_face_options){                                                                \
		.personality = &sim_vllm, .max_model_len = 131072, .speed = 1, .idle_ms = SIM_KEEPALIVE_MS })

struct sim_face;

/* @source and what @o points to belong to the caller and stay until destroy.  NULL with @d filled when the record file cannot
 * be opened. */
struct sim_face *sim_face_create(uv_loop_t *loop, const struct sim_face_options *o,
				 struct sim_source *source, struct diag *d);
/* Holds the address from now on; answers when loading is over, as the personality does.  *@ret_port: the port in use. */
MUST_CHECK int sim_face_listen(struct sim_face *f, const char *host, uint16_t port,
			       uint16_t *ret_port, struct diag *d);
MUST_CHECK int sim_face_listen_unix(struct sim_face *f, const char *path, struct diag *d);
/* What went wrong when the address was opened after loading (the loop was stopped then); NULL while all is well. */
const struct diag *sim_face_failure(const struct sim_face *f);
void sim_face_stats(const struct sim_face *f, struct sim_face_stats *ret);
/* Resets every request and closes; @done is called when nothing of it is on the loop any more. */
void sim_face_close(struct sim_face *f, void (*done)(void *ctx), void *ctx);
void sim_face_destroy(struct sim_face *f);
