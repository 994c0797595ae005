/* SPDX-License-Identifier: MIT */
/*
 * serve_options - the command line of `kvwarden serve`, and the configuration that it and the file make together.
 *
 * A flag that is given beats the file (the original ignored all but --log-level beside --config).
 */
#pragma once
#include "cli/child_side.h"
#include "config/config.h"

struct serve_options {
	const char *config; /* NULL: none */
	const char *models[CONFIG_MODELS_MAX];
	unsigned n_models;
	const char *engine; /* of the models named here */
	struct config_overrides over;
	struct child_side side;
	bool no_interactive; /* accepted: nothing is ever asked */
	bool help;
};

/* @argv[0] is the command's name; strings are kept, not copied.  0, or -EINVAL with @d filled (exit code 2). */
MUST_CHECK int serve_options_parse(int argc, char **argv, struct serve_options *o, struct diag *d);
/* True when neither a file, nor a model, nor --sim was given: `serve` explains the choices and exits 1. */
bool serve_options_empty(const struct serve_options *o);
/* The file, or the models named, with flags and environment applied; for a reload too.  NULL with @errs filled. */
struct config *serve_options_load(const struct serve_options *o, struct config_errors *errs);
extern const char serve_usage[];
