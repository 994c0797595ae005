/* SPDX-License-Identifier: MIT */
/*
 * config - the YAML file as an immutable snapshot.
 *
 * A file is read whole or not at all: every error is reported with file, line, column, the line itself and the nearest known
 * name, and then nothing of it is used.  What is accepted but has no effect, or another effect than some user may expect, is
 * a notice.  The snapshot is counted by reference; a request keeps the one that it came under.
 *
 * The keys are one table, keys.def: parser, defaults, `kvwarden config schema` and docs/configuration.md come from it.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "base/diag.h"
#include "base/str.h"
#include "http/http_params.h"
#include "tenant/tenant_params.h"

#define CONFIG_FILE_MAX (4u << 20) /* bytes of a file */
#define CONFIG_MODELS_MAX 64
#define CONFIG_TENANTS_MAX 100000
#define CONFIG_KEYS_MAX 200000 /* API keys over all tenants */
#define CONFIG_ORGANISATIONS_MAX 1024
#define CONFIG_ERRORS_MAX 20 /* reported; more are only counted */
#define CONFIG_NOTICES_MAX 64
#define CONFIG_STRING_MAX 4096

enum config_engine {
	CONFIG_VLLM,
	CONFIG_SGLANG,
	CONFIG_OPENAI,
	CONFIG_SIM
};
enum config_auth {
	CONFIG_AUTH_UNSET,
	CONFIG_AUTH_KEYS,
	CONFIG_AUTH_NONE
};
enum config_scheduling {
	CONFIG_SCHED_UNSET,
	CONFIG_FAIR,
	CONFIG_WINDOW,
	CONFIG_FIFO,
	CONFIG_DRR
};
enum config_loading {
	CONFIG_LOADING_REJECT,
	CONFIG_LOADING_WAIT
};

/* Which keys of a section the file has: bit by the row's number in the section. */
typedef uint64_t config_set;

struct config_model {
	config_set set;
	char *model_id, *short_name;
	int engine;		/* enum config_engine */
	char *endpoint;		/* NULL: none */
	char *endpoint_api_key; /* ours towards the engine; NULL: none */
	int64_t max_in_flight;	/* 0: auto */
	char *sim_preset, *sim_host;
	int64_t sim_max_num_seqs; /* 0: the preset's */
	/* for engines that are started, and shown */
	int64_t tensor_parallel_size, max_model_len, port;
	double gpu_memory_utilization;
	char *dtype;
	char **extra_args;
	unsigned n_extra_args;
};

struct config_organisation {
	config_set set;
	char *id;
	double weight;
};

struct config_timeouts {
	config_set set;
	double connect_s, first_token_s, no_progress_s, total_s, head_commit_after_s, keepalive_s,
		drain_s;
};

struct config_http {
	config_set set;
	int64_t head_bytes, uri_bytes, headers, body_bytes, buffered_bytes, connections;
	double idle_s, head_s, body_s;
};

struct config_block;

/* All memory behind its pointers is its own and goes with the last reference. */
struct config {
	struct config_block *blocks; /* private: that memory */
	unsigned refs;
	config_set set;
	char *path; /* of the file, or a word for where it came from */

	char *host, *unix_socket;
	int64_t port;
	double gpu_budget_fraction;
	int64_t max_concurrent, admission_queue_size;
	bool no_queue; /* admission_queue_size is 0: nobody waits; without the key there is no bound */
	double admission_timeout_s, engine_start_timeout_s, health_check_interval_s;
	char *log_level, *access_log, *decision_log;
	int64_t metrics_port;
	int auth; /* enum config_auth; resolved, never UNSET */
	bool allow_anonymous;
	char *admin_key; /* as in the file; compare admin_key_hash instead */
	struct sha256 admin_key_hash;
	bool has_admin_key;
	char **trusted_peers;
	unsigned n_trusted_peers;
	int scheduling;	   /* enum config_scheduling; resolved, never UNSET */
	int while_loading; /* enum config_loading */
	struct config_timeouts timeouts;
	struct config_http http;
	struct http_limits http_limits; /* http, with defaults filled in */

	struct config_model *models;
	unsigned n_models;
	struct config_organisation *organisations;
	unsigned n_organisations;
	struct tenant_rules tenants; /* every field resolved; rules, keys and their strings are this snapshot's */
	unsigned n_exact_tenants; /* rules that are no globs */

	struct diag notices[CONFIG_NOTICES_MAX];
	unsigned n_notices;
};

struct config_errors {
	struct diag v[CONFIG_ERRORS_MAX];
	unsigned n;	/* reported */
	unsigned total; /* found */
};

/* Reads @path ("-" is not special).  NULL with @errs filled when anything is wrong. */
struct config *config_load(const char *path, struct config_errors *errs);
/* The same of text; @name stands for the file in messages. */
struct config *config_parse(struct slice text, const char *name, struct config_errors *errs);
struct config *config_ref(struct config *c);
void config_unref(struct config *c);

/* True when `serve` cannot run with it although it is correct; @d says why. */
bool config_cannot_serve(const struct config *c, struct diag *d);

/* What the command line says over the file; a field that was not given is as the initializer below has it. */
struct config_overrides {
	int64_t port, max_concurrent;
	double gpu_budget_fraction;
	const char *log_level, *decision_log;
	bool sim; /* every model runs on the simulated engine */
};
#define CONFIG_OVERRIDES_NONE                                                                      \
	((struct config_overrides){ .port = -1, .max_concurrent = -1, .gpu_budget_fraction = -1 })

/* Applies the command line, and then the environment where neither it nor the file speaks:
 *   KVWARDEN_STREAM_MAX_DURATION_S   timeouts.total_s
 *   KVWARDEN_DEV_SKIP_ENGINE_LAUNCH  any value: a vllm or sglang model with a port is attached to at localhost
 * Only for a snapshot that nobody else has yet.  0, or -EINVAL with @d filled. */
MUST_CHECK int config_override(struct config *c, const struct config_overrides *o, struct diag *d);

#define CONFIG_CHANGES_MAX 64

/* What a reload of @now over @was means: names the changed keys that only a restart applies, at most @max of them in
 * @restart (`where` is the key), and returns how many.  Everything else of @now may be used at once. */
unsigned
config_diff(const struct config *was, const struct config *now, struct diag *restart, unsigned max);

/* The table as JSON Schema, and as the page docs/configuration.md. */
void config_schema_json(struct buf *out);
void config_schema_markdown(struct buf *out);

/* Prints what is in force as YAML; keys and passwords are hidden. */
void config_show(const struct config *c, struct buf *out);
