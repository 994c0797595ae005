/* SPDX-License-Identifier: MIT */
#include "cli/server_page.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <uv.h>
#include "http/client.h"

enum {
	EXIT_CANNOT_RUN = 1,
	EXIT_USAGE = 2
};

/* options --------------------------------------------------------------------------------------- */
static int
wrong(struct diag *d, const char *flag, const char *what)
{
	diag_what(d, "%s: %s", flag, what);
	return -EINVAL;
}

static int
read_port(struct server_page *p, const char *value, struct diag *d)
{
	uint64_t n;

	if (slice_to_u64(slice_of(value), &n) || n == 0 || n > UINT16_MAX)
		return wrong(d, "--port", "a number from 1 to 65535 is expected");
	p->port = (uint16_t)n;
	return 0;
}

/* It becomes a header field. */
static int
check_key(const char *key, const char *from, struct diag *d)
{
	for (const char *c = key; *c; c++)
		if (*c <= ' ' || *c > '~')
			return wrong(d, from, "a key has neither blanks nor control characters");
	return 0;
}

static int
read_value(struct server_page *p, const char *flag, const char *value, struct diag *d)
{
	if (!strcmp(flag, "--port"))
		return read_port(p, value, d);
	if (!strcmp(flag, "--host")) {
		p->host = value;
		return strlen(value) < HTTP_HOST_MAX ? 0 : wrong(d, flag, "the name is too long");
	}
	if (!strcmp(flag, "--unix")) {
		p->unix_path = value;
		return strlen(value) < 108 ? 0 : wrong(d, flag, "a path of at most 107 bytes");
	}
	p->admin_key = value;
	return check_key(value, flag, d);
}

static bool
takes_value(const char *flag)
{
	static const char *const flags[] = { "--port", "--host", "--unix", "--admin-key" };

	for (size_t i = 0; i < ARRAY_LEN(flags); i++)
		if (!strcmp(flag, flags[i]))
			return true;
	return false;
}

static int
read_options(struct server_page *p, int argc, char **argv, struct diag *d)
{
	const char *key = getenv(SERVER_PAGE_ADMIN_KEY_ENV);

	for (int i = 1; i < argc; i++) {
		char flag[32] = "";
		const char *eq = strchr(argv[i], '='), *value;
		size_t n = eq ? (size_t)(eq - argv[i]) : strlen(argv[i]);

		memcpy(flag, argv[i], MIN(n, sizeof(flag) - 1));
		if (!eq && !strcmp(flag, "--json")) {
			p->json = true;
		} else if (!eq && (!strcmp(flag, "--help") || !strcmp(flag, "-h"))) {
			p->help = true;
		} else if (takes_value(flag)) {
			value = eq ? eq + 1 : i + 1 < argc ? argv[++i] : NULL;
			if (!value || !*value)
				return wrong(d, flag, "a value is missing");
			if (read_value(p, flag, value, d))
				return -EINVAL;
		} else {
			return wrong(d, argv[i], "this option is not known");
		}
	}
	if (p->admin_key || !key || !*key)
		return 0;
	p->admin_key = key;
	return check_key(key, SERVER_PAGE_ADMIN_KEY_ENV, d);
}

/* asking ---------------------------------------------------------------------------------------- */
struct fetch {
	struct buf *body;
	struct http_pool *pool;
	unsigned status;
	char err[256];
};

static void
on_pool_closed(void *ctx)
{
	(void)ctx;
}

static void
on_answer(void *ctx, unsigned status, struct slice body, const char *err)
{
	struct fetch *f = ctx;

	f->status = status;
	snprintf(f->err, sizeof(f->err), "%s", err ? err : "");
	buf_add_slice(f->body, body);
	http_pool_close(f->pool, on_pool_closed, f);
}

static void
endpoint_of(const struct server_page *p, struct http_endpoint *ret)
{
	*ret = (struct http_endpoint){ .is_unix = p->unix_path != NULL, .port = p->port };
	snprintf(ret->host, sizeof(ret->host), "%s", p->unix_path ? p->unix_path : p->host);
}

static void
fetch(struct server_page *p, const char *target, struct fetch *f)
{
	struct http_client_limits limits = HTTP_CLIENT_LIMITS_DEFAULT;
	struct http_header key = { SLICE("Authorization"), { 0 } };
	struct http_headers headers = { p->admin_key ? 1 : 0, &key };
	struct http_endpoint ep;
	struct buf bearer;
	uv_loop_t loop;

	buf_init(&bearer, 64 << 10);
	buf_addf(&bearer, "Bearer %s", p->admin_key ? p->admin_key : "");
	key.value = buf_slice(&bearer);
	endpoint_of(p, &ep);
	uv_loop_init(&loop);
	*f = (struct fetch){ .body = &p->body };
	f->pool = http_pool_create(&loop, &ep, &limits);
	http_get_start(f->pool, target, &headers, SERVER_PAGE_MAX, SERVER_PAGE_TIMEOUT_MS, on_answer, f);
	uv_run(&loop, UV_RUN_DEFAULT);
	http_pool_destroy(f->pool);
	uv_loop_close(&loop);
	buf_finish(&bearer);
}

/* judging --------------------------------------------------------------------------------------- */
static void complain(const struct server_page *p, const char *fmt, ...) PRINTF_LIKE(2, 3);

static void
complain(const struct server_page *p, const char *fmt, ...)
{
	va_list ap;

	if (p->unix_path)
		fprintf(stderr, "kvwarden: unix:%s: ", p->unix_path);
	else
		fprintf(stderr, "kvwarden: http://%s%s%s:%u: ", strchr(p->host, ':') ? "[" : "",
			p->host, strchr(p->host, ':') ? "]" : "", p->port);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
}

static int
judge(struct server_page *p, const struct fetch *f, const char *target)
{
	switch (f->status) {
	case 200:
		break;
	case 0:
		complain(p, "nobody answers: %s", f->err);
		fputs("  hint: is `kvwarden serve` running? --port, --host and --unix say where\n",
		      stderr);
		return EXIT_CANNOT_RUN;
	case 401:
	case 403:
		complain(p, "it refuses to tell (%u)", f->status);
		fputs(p->admin_key ? "  hint: the key that was sent is not its admin_key\n"
		      : f->status == 401
			      ? "  hint: with keys configured this page wants one, a tenant's or the admin's: "
				"--admin-key KEY, or KVWARDEN_ADMIN_KEY; `kvwarden status` needs none on the gateway's own machine\n"
			      : "  hint: from another machine it wants its admin_key: --admin-key KEY, or "
				"KVWARDEN_ADMIN_KEY in the environment\n",
		      stderr);
		return EXIT_CANNOT_RUN;
	case 404:
		complain(p, "it has no %s: is this a kvwarden?", target);
		return EXIT_CANNOT_RUN;
	default:
		complain(p, "it answered %u", f->status);
		return EXIT_CANNOT_RUN;
	}
	p->doc = yyjson_read(p->body.p, p->body.n, 0);
	if (yyjson_is_obj(yyjson_doc_get_root(p->doc)))
		return 0;
	complain(p, "what it answered is %s", p->doc ? "no JSON object" : "not JSON");
	return EXIT_CANNOT_RUN;
}

int
server_page_print(const struct buf *b)
{
	if (!b->overflow && fwrite(b->p, 1, b->n, stdout) == b->n && fflush(stdout) == 0)
		return 0;
	fputs("kvwarden: the output could not be written\n", stderr);
	return EXIT_CANNOT_RUN;
}

int
server_page_get(struct server_page *p, int argc, char **argv, const char *usage, const char *target,
		bool *ret_done)
{
	struct diag d = { 0 };
	struct fetch f;
	int rc;

	*p = (struct server_page){ .host = "127.0.0.1", .port = 8080 };
	*ret_done = false;
	buf_init(&p->body, SERVER_PAGE_MAX + 1);
	if (read_options(p, argc, argv, &d)) {
		fprintf(stderr, "kvwarden: %s\n%s", d.what, usage);
		return EXIT_USAGE;
	}
	if (p->help) {
		fputs(usage, stdout);
		*ret_done = true;
		return 0;
	}
	fetch(p, target, &f);
	rc = judge(p, &f, target);
	if (rc || !p->json)
		return rc;
	*ret_done = true;
	if (p->body.p[p->body.n - 1] != '\n')
		buf_add_char(&p->body, '\n');
	return server_page_print(&p->body);
}

void
server_page_finish(struct server_page *p)
{
	yyjson_doc_free(p->doc);
	buf_finish(&p->body);
}
