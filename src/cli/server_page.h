/* SPDX-License-Identifier: MIT */
/*
 * server_page - asks a running gateway for a page of JSON: what `status` and `models` have in common.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <yyjson.h>
#include "base/str.h"

#define SERVER_PAGE_MAX ((size_t)64 << 20) /* bytes of an answer */
#define SERVER_PAGE_TIMEOUT_MS 5000
#define SERVER_PAGE_ADMIN_KEY_ENV "KVWARDEN_ADMIN_KEY"

/* What a command's usage says of the options that are read here. */
#define SERVER_PAGE_USAGE                                                                          \
	"options: --port N (8080)  --host HOST (127.0.0.1)  --unix PATH  --json\n"                 \
	"         --admin-key KEY (or the environment's KVWARDEN_ADMIN_KEY)\n"

struct server_page {
	const char *host, *unix_path, *admin_key;
	uint16_t port;
	bool json, help;
	struct buf body;
	yyjson_doc *doc; /* of the body, when that was asked for and is JSON */
};

/* Reads the options and gets @target.  0 with the page; or the exit code, 0 excluded, when what there is to say has
 * been said: 1 nobody answers as expected, 2 wrong usage.  --help and --json are served here: then *ret_done is true.
 * @p is to be finished in every case. */
int server_page_get(struct server_page *p, int argc, char **argv, const char *usage,
		    const char *target, bool *ret_done);
void server_page_finish(struct server_page *p);
/* Writes @b to standard output: the exit code. */
int server_page_print(const struct buf *b);
