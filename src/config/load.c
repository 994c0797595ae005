/* SPDX-License-Identifier: MIT */
#include "config/load_impl.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/log.h"

#define PEERS_MAX 256
#define EXTRA_ARGS_MAX 256
#define TIERS_MAX 16
/* The bounds of the HTTP client, which this folder may not ask. */
#define ENDPOINT_PART_MAX 256
#define ENDPOINT_UNIX_MAX 107

/* What the original applied without being told; we never do. */
#define ORIGINAL_RPM "600 requests a minute"
#define ORIGINAL_CONCURRENT "64 requests at once"

/* the parts ------------------------------------------------------------------------------------------------ */
static bool
is_set(const struct config *c, const char *key)
{
	return c->set & keys_bit(SEC_TOP, key);
}

/* The part after the last '/', in lower case. */
static char *
short_name_of(struct config *c, const char *model_id)
{
	const char *slash = strrchr(model_id, '/');
	char *s = config_dup(c, slice_of(slash ? slash + 1 : model_id));

	for (char *p = s; *p; p++)
		*p = (char)tolower((unsigned char)*p);
	return s;
}

/* HOST, HOST:PORT, [IPv6] or [IPv6]:PORT */
static bool
good_authority(struct slice a)
{
	bool v6 = a.n && a.p[0] == '[';
	const char *end = v6 ? memchr(a.p, ']', a.n) : memchr(a.p, ':', a.n);
	size_t host = end ? (size_t)(end - a.p) + v6 : a.n;
	struct slice rest = { a.p + host, a.n - host };
	uint64_t port;

	if (memchr(a.p, '@', a.n) || host <= 2u * v6 || host >= ENDPOINT_PART_MAX || (v6 && !end))
		return false;
	if (!rest.n)
		return true;
	return rest.p[0] == ':' && slice_to_u64((struct slice){ rest.p + 1, rest.n - 1 }, &port) == 0 &&
	       port > 0 && port <= UINT16_MAX;
}

/* Why the engine's module would refuse it; NULL when it would not. */
static const char *
bad_endpoint(struct slice e)
{
	struct slice http = SLICE("http://");
	const char *slash;

	if (!e.p)
		return "endpoint: this is no address";
	for (size_t i = 0; i < e.n; i++)
		if ((unsigned char)e.p[i] <= ' ' || e.p[i] == 0x7f || e.p[i] == '?' || e.p[i] == '#')
			return "endpoint: a blank, a query or a fragment has no place in it";
	if (slice_starts(e, SLICE("unix:/")))
		return e.n - 5 <= ENDPOINT_UNIX_MAX ? NULL : "endpoint: the path is too long";
	if (slice_starts(e, SLICE("https://")))
		return "endpoint: https is not spoken to engines by this version";
	if (!slice_starts(e, http))
		return "endpoint: this is no address";
	e = (struct slice){ e.p + http.n, e.n - http.n };
	slash = memchr(e.p, '/', e.n);
	if (slash && e.n - (size_t)(slash - e.p) >= ENDPOINT_PART_MAX)
		return "endpoint: the path is too long";
	if (slash)
		e.n = (size_t)(slash - e.p);
	return good_authority(e) ? NULL : "endpoint: this is no host with a port from 1 to 65535";
}

static void
check_endpoint(struct loader *l, const struct config_model *m, struct fy_node *n)
{
	const char *why = bad_endpoint(slice_of(m->endpoint));

	if (why)
		load_error(l, n, "http://HOST:PORT, optionally with a path, or unix:/PATH", "%s", why);
}

/* It becomes a header field: a line end in it would begin another one. */
static void
check_engine_key(struct loader *l, const struct config_model *m, struct fy_node *n)
{
	for (const char *p = m->endpoint_api_key; p && *p; p++)
		if (*p <= ' ' || *p > '~') {
			load_error(l, n, NULL,
				   "endpoint_api_key: a blank or a character that is not ASCII");
			return;
		}
}

static void
load_model(struct loader *l, struct fy_node *n, struct config_model *m)
{
	struct fy_node *endpoint = reader_child(n, "endpoint");

	reader_defaults(l->c, SEC_MODEL, m);
	m->set = reader_section(l, SEC_MODEL, n, m);
	m->extra_args = reader_strings(l, reader_child(n, "extra_args"), EXTRA_ARGS_MAX,
				       "extra_args", &m->n_extra_args);
	if (!m->model_id) {
		load_error(l, n, NULL, "a model without model_id");
		return;
	}
	if (!m->short_name)
		m->short_name = short_name_of(l->c, m->model_id);
	check_engine_key(l, m, reader_child(n, "endpoint_api_key"));
	if (m->endpoint)
		check_endpoint(l, m, endpoint);
	else if (m->engine == CONFIG_OPENAI)
		load_error(l, n, "endpoint: http://HOST:PORT", "engine: openai needs an endpoint");
	if (m->endpoint && m->engine == CONFIG_SIM)
		load_error(l, endpoint, "for a simulator that runs already write engine: openai",
			   "engine: sim is started by kvwarden and takes no endpoint");
}

/* A name that clients send must mean one model. */
static bool
share_a_name(const struct config_model *a, const struct config_model *b)
{
	return !strcmp(a->short_name, b->short_name) || !strcmp(a->short_name, b->model_id) ||
	       !strcmp(a->model_id, b->short_name);
}

static void
check_model_names(struct loader *l, struct fy_node *list)
{
	const struct config *c = l->c;
	void *at = NULL;

	for (unsigned i = 0; i < c->n_models; i++) {
		struct fy_node *n = reader_next(list, &at);
		const struct config_model *a = &c->models[i];

		for (unsigned k = 0; k < i && a->model_id; k++) {
			const struct config_model *b = &c->models[k];

			if (!b->model_id)
				continue;
			if (!strcmp(a->model_id, b->model_id))
				load_error(l, n, NULL, "model %s stands twice", a->model_id);
			else if (!share_a_name(a, b))
				continue;
			else if ((a->set | b->set) & keys_bit(SEC_MODEL, "short_name"))
				load_error(l, n, "give one of them another short_name",
					   "%s and %s answer to the same name", b->model_id,
					   a->model_id);
			else /* nobody asked for these names; the original took such a file */
				load_notice(l, n, "give each a short_name",
					    "%s and %s have the same short name by default: the name "
					    "leads to the first of them",
					    b->model_id, a->model_id);
		}
	}
}

static void
load_models(struct loader *l, struct fy_node *root)
{
	struct fy_node *list = reader_child(root, "models");
	struct config *c = l->c;
	void *at = NULL;

	c->n_models = reader_count(l, list, CONFIG_MODELS_MAX, "models");
	c->models = config_alloc(c, MAX(c->n_models, 1u) * sizeof(*c->models));
	for (unsigned i = 0; i < c->n_models; i++)
		load_model(l, reader_next(list, &at), &c->models[i]);
	check_model_names(l, list);
}

static void
load_peers(struct loader *l, struct fy_node *root)
{
	struct fy_node *list = reader_child(root, "trusted_peers");
	struct config *c = l->c;
	unsigned char addr[sizeof(struct in6_addr)];

	c->trusted_peers = reader_strings(l, list, PEERS_MAX, "trusted_peers", &c->n_trusted_peers);
	for (unsigned i = 0; i < c->n_trusted_peers; i++) {
		const char *p = c->trusted_peers[i];

		if (strcmp(p, "local") && inet_pton(AF_INET, p, addr) != 1 &&
		    inet_pton(AF_INET6, p, addr) != 1)
			load_error(l, list, "an IPv4 or IPv6 address, or local",
				   "trusted_peers: '%s' is no address", p);
	}
}

static void
load_cache(struct loader *l, struct fy_node *root)
{
	struct fy_node *cache = reader_child(root, "cache"), *tiers, *tier;
	struct config_cache drop = { 0 };
	void *at = NULL;

	if (!cache || !fy_node_is_mapping(cache))
		return;
	(void)reader_section(l, SEC_CACHE, cache, &drop);
	tiers = reader_child(cache, "tiers");
	for (unsigned i = reader_count(l, tiers, TIERS_MAX, "cache tiers");
	     i && (tier = reader_next(tiers, &at)); i--)
		(void)reader_section(l, SEC_TIER, tier, &drop);
}

static uint32_t
to_ms(double s)
{
	return (uint32_t)(s * 1000 + 0.5);
}

static void
load_http(struct loader *l, struct fy_node *root)
{
	struct config *c = l->c;
	struct config_http *h = &c->http;
	struct fy_node *http = reader_child(root, "http"), *timeouts = reader_child(root, "timeouts");

	reader_defaults(c, SEC_HTTP, h);
	reader_defaults(c, SEC_TIMEOUTS, &c->timeouts);
	if (http && fy_node_is_mapping(http))
		h->set = reader_section(l, SEC_HTTP, http, h);
	if (timeouts && fy_node_is_mapping(timeouts))
		c->timeouts.set = reader_section(l, SEC_TIMEOUTS, timeouts, &c->timeouts);
	c->http_limits = HTTP_LIMITS_DEFAULT;
	c->http_limits.head_bytes = (size_t)h->head_bytes;
	c->http_limits.uri_bytes = (size_t)h->uri_bytes;
	c->http_limits.headers = (unsigned)h->headers;
	c->http_limits.body_bytes = (size_t)h->body_bytes;
	c->http_limits.buffered_bytes = (size_t)h->buffered_bytes;
	c->http_limits.connections = (unsigned)h->connections;
	c->http_limits.idle_ms = to_ms(h->idle_s);
	c->http_limits.head_ms = to_ms(h->head_s);
	c->http_limits.body_ms = to_ms(h->body_s);
}

static void
load_top_words(struct loader *l, struct fy_node *root)
{
	struct config *c = l->c;
	enum log_level level;
	struct slice admin = slice_of(c->admin_key), prefix = SLICE("sha256:");

	if (c->log_level && log_level_parse(c->log_level, &level) < 0)
		load_error(l, reader_child(root, "log_level"), "error, warning, info or debug",
			   "log_level: '%.100s' is not known", c->log_level);
	c->has_admin_key = admin.n > 0;
	if (!c->has_admin_key)
		return;
	if (!slice_starts(admin, prefix))
		digest_sha256(admin.p, admin.n, &c->admin_key_hash);
	else if (digest_from_hex((struct slice){ admin.p + prefix.n, admin.n - prefix.n },
				 &c->admin_key_hash) < 0)
		load_error(l, reader_child(root, "admin_key"), "sha256: and 64 hexadecimal digits",
			   "admin_key: this is no SHA-256");
}

/* what a user should know ---------------------------------------------------------------------------------- */

/* It may have been written for the original: its engines, and nothing said of how we schedule. */
static bool
may_be_of_the_original(const struct config *c)
{
	if (is_set(c, "scheduling"))
		return false;
	for (unsigned i = 0; i < c->n_models; i++)
		if (c->models[i].engine <= CONFIG_SGLANG)
			return true;
	return false;
}

static void
notice_silent_limits(struct loader *l, struct fy_node *root, config_set given)
{
	bool rate = given & keys_bit(SEC_TENANT, "rate_limit_rpm");
	bool concurrent = given & keys_bit(SEC_TENANT, "max_concurrent_requests");

	if (!may_be_of_the_original(l->c) || (rate && concurrent))
		return;
	load_notice(l, reader_child(root, "tenant_defaults"),
		    rate ? "write max_concurrent_requests: 64 under tenant_defaults to keep it"
		    : concurrent ? "write rate_limit_rpm: 600 under tenant_defaults to keep it"
				 : "write rate_limit_rpm: 600 and max_concurrent_requests: 64 under tenant_defaults to keep it",
		    "the original limited every tenant to %s when nothing was said; here nothing is limited unless the file says so",
		    rate	 ? ORIGINAL_CONCURRENT
		    : concurrent ? ORIGINAL_RPM
				 : ORIGINAL_RPM " and " ORIGINAL_CONCURRENT);
}

static bool
any_model_sets(const struct config *c, const char *key)
{
	config_set bit = keys_bit(SEC_MODEL, key);

	for (unsigned i = 0; i < c->n_models; i++)
		if (c->models[i].set & bit)
			return true;
	return false;
}

/* What says how to start an engine is kept for the version that will. */
static void
notice_shown_only(struct loader *l, struct fy_node *root)
{
	static const char *const keys[] = { "tensor_parallel_size", "gpu_memory_utilization",
					    "max_model_len", "dtype", "extra_args" };
	struct buf names;

	buf_init(&names, 256);
	for (size_t i = 0; i < ARRAY_LEN(keys); i++)
		if (any_model_sets(l->c, keys[i]))
			buf_addf(&names, "%s%s", names.n ? ", " : "", keys[i]);
	if (names.n)
		load_notice(l, reader_child(root, "models"), NULL,
			    "models[]: shown only, since this version starts no engines: %s",
			    buf_cstr(&names));
	buf_finish(&names);
}

static void
notice_without_effect(struct loader *l, struct fy_node *root)
{
	static const struct {
		const char *key, *why;
	} rows[] = {
		{ "cache", "cache: read and checked, without effect: this version keeps no cache ledger" },
		{ "cache_manager", "cache_manager: accepted whole, without effect in this version" },
		{ "cache_pressure_admission",
		  "cache_pressure_admission: accepted whole, without effect in this version" },
		{ "metrics_port",
		  "metrics_port: without effect: metrics are on the main port, at /metrics" },
		{ "gpu_budget_fraction",
		  "gpu_budget_fraction: shown only: this version starts no engines on a GPU" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (is_set(l->c, rows[i].key))
			load_notice(l, reader_child(root, rows[i].key), NULL, "%s", rows[i].why);
}

static void
resolve_scheduling(struct loader *l, struct fy_node *root, int original)
{
	struct config *c = l->c;

	if (is_set(c, "scheduling"))
		return;
	c->scheduling = CONFIG_FAIR;
	if (original == CONFIG_SCHED_UNSET)
		return;
	c->scheduling = original;
	if (original != CONFIG_FAIR)
		load_notice(l, reader_child(reader_child(root, "tenant_defaults"), "scheduling"),
			    "write scheduling: fair at the top level to protect quiet tenants without refusing work",
			    "scheduling: %s counts, as tenant_defaults says; there is also fair",
			    config_words[TYPE_SCHEDULING][original]);
}

static void
resolve(struct loader *l, struct fy_node *root)
{
	struct config *c = l->c;
	struct fy_node *defaults = reader_child(root, "tenant_defaults");
	struct config_tenant t = { 0 };
	struct config_errors drop = { .n = 0 };
	struct loader quiet = { .c = c, .errs = &drop, .name = l->name };

	if (defaults && fy_node_is_mapping(defaults)) /* its errors are reported by tenants_load() */
		t.set = reader_section(&quiet, SEC_TENANT, defaults, &t);
	resolve_scheduling(l, root, t.scheduling);
	c->no_queue = is_set(c, "admission_queue_size") && c->admission_queue_size == 0;
	if (c->auth == CONFIG_AUTH_UNSET)
		c->auth = c->tenants.n_keys ? CONFIG_AUTH_KEYS : CONFIG_AUTH_NONE;
	if (c->auth == CONFIG_AUTH_KEYS && !c->tenants.n_keys && !c->allow_anonymous)
		load_notice(l, reader_child(root, "auth"), "give a tenant api_keys",
			    "auth: keys without any key refuses everybody");
	if (c->auth == CONFIG_AUTH_NONE && c->tenants.n_keys)
		load_notice(l, reader_child(root, "auth"), NULL,
			    "auth: none ignores the api_keys of this file");
	notice_silent_limits(l, root, t.set);
	notice_shown_only(l, root);
	notice_without_effect(l, root);
}

/* the file ------------------------------------------------------------------------------------------------- */
static struct config *
config_new(const char *name)
{
	struct config *c = must_calloc(1, sizeof(*c));

	c->refs = 1;
	c->path = config_dup(c, slice_of(name));
	reader_defaults(c, SEC_TOP, c);
	return c;
}

static void
report_yaml(struct loader *l, struct fy_diag *diag)
{
	struct fy_diag_error *e;
	void *at = NULL;

	while ((e = fy_diag_errors_iterate(diag, &at)))
		if (e->type == FYET_ERROR && l->errs->total < CONFIG_ERRORS_MAX)
			load_error_at(l, MAX(e->line - 1, 0), MAX(e->column - 1, 0), NULL, "%s",
				      e->msg ? e->msg : "not YAML");
	if (!l->errs->total)
		load_error(l, NULL, NULL, "this is not YAML");
}

static void
ignore_output(struct fy_diag *diag, void *user, const char *text, size_t n)
{
	(void)diag;
	(void)user;
	(void)text;
	(void)n;
}

static void
load_root(struct loader *l, struct fy_node *root)
{
	struct config *c = l->c;

	if (!root || (fy_node_is_scalar(root) && !fy_node_get_scalar_length(root)))
		root = NULL; /* an empty file is a file of defaults */
	else if (!fy_node_is_mapping(root)) {
		load_error(l, root, NULL, "the file must be a mapping of keys");
		return;
	} else {
		c->set = reader_section(l, SEC_TOP, root, c);
	}
	load_top_words(l, root);
	load_peers(l, root);
	load_http(l, root);
	load_models(l, root);
	tenants_load(l, root);
	load_cache(l, root);
	resolve(l, root);
}

/* Blank lines and comments: the YAML library finds no document in them. */
static bool
says_nothing(struct slice text)
{
	while (text.n) {
		const char *end = memchr(text.p, '\n', text.n);
		size_t n = end ? (size_t)(end - text.p) : text.n;
		struct slice line = { text.p, n };

		if (line.n && line.p[line.n - 1] == '\r')
			line.n--;
		line = slice_trim(line);
		if (line.n && line.p[0] != '#')
			return false;
		text = (struct slice){ text.p + n + (end != NULL), text.n - n - (end != NULL) };
	}
	return true;
}

struct config *
config_parse(struct slice text, const char *name, struct config_errors *errs)
{
	struct fy_diag_cfg dcfg = { .level = FYET_ERROR, .module_mask = ~0u, .output_fn = ignore_output };
	struct fy_parse_cfg cfg = { .flags = FYPCF_QUIET | FYPCF_ALLOW_DUPLICATE_KEYS | FYPCF_JSON_NONE };
	struct loader l = { .errs = errs, .name = name, .text = text };
	struct fy_document *doc;

	errs->n = errs->total = 0;
	l.c = config_new(name);
	cfg.diag = fy_diag_create(&dcfg);
	must(cfg.diag);
	fy_diag_set_collect_errors(cfg.diag, true);
	if (text.n > CONFIG_FILE_MAX) {
		load_error(&l, NULL, NULL, "larger than %u bytes", CONFIG_FILE_MAX);
	} else if (text.n == 0) {
		load_root(&l, NULL);
	} else if (screen_text(&l) && says_nothing(text)) {
		load_root(&l, NULL);
	} else if (!errs->total) {
		doc = fy_document_build_from_string(&cfg, text.p, text.n);
		if (doc)
			load_root(&l, fy_document_root(doc));
		else
			report_yaml(&l, cfg.diag);
		fy_document_destroy(doc);
	}
	fy_diag_destroy(cfg.diag);
	if (!errs->total)
		return l.c;
	config_unref(l.c);
	return NULL;
}

/* Reads a regular file of at most CONFIG_FILE_MAX + 1 bytes (one more than is accepted): 0 or a negative errno. */
static int
read_file(const char *path, struct buf *out)
{
	struct stat st;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK), r = 0;

	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) < 0)
		r = -errno;
	else if (!S_ISREG(st.st_mode))
		r = S_ISDIR(st.st_mode) ? -EISDIR : -EINVAL;
	while (r == 0 && out->n <= CONFIG_FILE_MAX) {
		char piece[16384];
		ssize_t n = read(fd, piece, sizeof(piece));

		if (n == 0)
			break;
		if (n > 0)
			buf_add(out, piece, (size_t)n);
		else if (errno != EINTR)
			r = -errno;
	}
	close(fd);
	return r;
}

struct config *
config_load(const char *path, struct config_errors *errs)
{
	struct config *c = NULL;
	struct buf text;
	int r;

	errs->n = errs->total = 0;
	buf_init(&text, CONFIG_FILE_MAX + 65536);
	r = read_file(path, &text);
	if (r < 0) {
		errs->n = errs->total = 1;
		errs->v[0] = (struct diag){ 0 };
		diag_where(&errs->v[0], "%s", path);
		diag_what(&errs->v[0], "cannot be read: %s",
			  r == -EINVAL ? "not a regular file" : strerror(-r));
	} else {
		c = config_parse(buf_slice(&text), path, errs);
	}
	buf_finish(&text);
	return c;
}

bool
config_cannot_serve(const struct config *c, struct diag *d)
{
	if (!c->n_models) {
		diag_where(d, "%s", c->path);
		diag_what(d, "no model is configured");
		diag_hint(d, "add models: with an engine and its endpoint, or try `kvwarden serve --sim`");
		return true;
	}
	for (unsigned i = 0; i < c->n_models; i++) {
		const struct config_model *m = &c->models[i];

		if (m->engine > CONFIG_SGLANG || m->endpoint)
			continue;
		diag_where(d, "%s", c->path);
		diag_what(d, "model %s: this version does not start %s", m->model_id,
			  config_words[TYPE_ENGINE][m->engine]);
		diag_hint(d, "start the engine yourself and add its address, endpoint: http://HOST:PORT");
		return true;
	}
	return false;
}
