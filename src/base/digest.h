/* SPDX-License-Identifier: MIT */
/*
 * digest - SHA-256, comparison in constant time, and randomness for identifiers (OpenSSL underneath).
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/str.h"

#define DIGEST_SHA256_BYTES 32
#define DIGEST_SHA256_HEX (2 * DIGEST_SHA256_BYTES)

struct sha256 {
	uint8_t b[DIGEST_SHA256_BYTES];
};

void digest_sha256(const void *p, size_t n, struct sha256 *ret);
/* From 64 hexadecimal digits of either case: 0 or -EINVAL. */
MUST_CHECK int digest_from_hex(struct slice hex, struct sha256 *ret);
/* Takes the same time whatever the bytes are. */
bool digest_equal(const struct sha256 *a, const struct sha256 *b);
void digest_random(void *p, size_t n);
