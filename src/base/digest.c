/* SPDX-License-Identifier: MIT */
#include "base/digest.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>

void
digest_sha256(const void *p, size_t n, struct sha256 *ret)
{
	must(EVP_Digest(p, n, ret->b, NULL, EVP_sha256(), NULL) == 1);
}

static int
hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

int
digest_from_hex(struct slice hex, struct sha256 *ret)
{
	if (hex.n != DIGEST_SHA256_HEX)
		return -EINVAL;
	for (size_t i = 0; i < DIGEST_SHA256_BYTES; i++) {
		int hi = hex_digit(hex.p[2 * i]), lo = hex_digit(hex.p[2 * i + 1]);

		if (hi < 0 || lo < 0)
			return -EINVAL;
		ret->b[i] = (uint8_t)(hi << 4 | lo);
	}
	return 0;
}

bool
digest_equal(const struct sha256 *a, const struct sha256 *b)
{
	return CRYPTO_memcmp(a->b, b->b, sizeof(a->b)) == 0;
}

void
digest_random(void *p, size_t n)
{
	must(n <= 1u << 20 && RAND_bytes(p, (int)n) == 1);
}
