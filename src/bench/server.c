/* SPDX-License-Identifier: MIT */
#include "bench/server.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <yyjson.h>

#define START_MS 10000 /* until it has its address */

bool
server_url_from_report(struct slice line, char *out, size_t size)
{
	yyjson_doc *doc = yyjson_read(line.p, line.n, 0);
	yyjson_val *root = yyjson_doc_get_root(doc);
	const char *address = yyjson_get_str(yyjson_obj_get(root, "address"));
	uint64_t port = yyjson_get_uint(yyjson_obj_get(root, "port"));
	bool good = address && port > 0 && port <= UINT16_MAX;

	if (good)
		snprintf(out, size, strchr(address, ':') ? "http://[%s]:%u" : "http://%s:%u",
			 address, (unsigned)port);
	yyjson_doc_free(doc);
	return good;
}

static void
on_line(void *ctx, struct slice line)
{
	struct server *s = ctx;

	if (!s->url[0])
		server_url_from_report(line, s->url, sizeof(s->url));
}

static bool
has_url_or_ended(void *ctx)
{
	const struct server *s = ctx;

	return s->url[0] || child_is_gone(&s->child);
}

int
server_start(struct server *s, struct stage *stage, const char *name, const char *const *args,
	     struct diag *d)
{
	char how[160];
	int err;

	*s = (struct server){ 0 };
	err = child_start(&s->child, &stage->loop, name, args, on_line, s, d);
	if (err)
		return err;
	err = stage_wait(stage, has_url_or_ended, s, START_MS);
	if (err == -ETIMEDOUT)
		diag_what(d, "%s did not report its address in time", name);
	if (err || s->url[0])
		return err;
	child_describe_end(&s->child, how, sizeof(how));
	diag_what(d, "%s at once", how);
	return -ECHILD;
}

void
server_stop(struct server *s, struct stage *stage)
{
	stage_stop_child(stage, &s->child);
}
