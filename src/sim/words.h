/* SPDX-License-Identifier: MIT */
/*
 * words - what the simulated engine says: pseudo-words, the same for the same seed and position.
 */
#pragma once
#include <stdint.h>
#include "base/str.h"

#define SIM_WORD_MAX 16 /* bytes of one token's text, a blank before it included */

/* Appends the text of token @index of the answer with @seed: about four bytes, with a blank before each but the first. */
void sim_word(struct buf *out, uint64_t seed, uint64_t index);
