/* SPDX-License-Identifier: MIT */
/* What a request costs, guessed before and known after, in tokens of prefill; a decoded token counts twice. */
#include <math.h>

#include "admission/admission.h"

double
admission_cost(uint64_t prompt_bytes, int64_t max_tokens)
{
	int64_t out = max_tokens < 0 ? ADMISSION_OUTPUT_TOK_ASSUMED
				     : MIN(max_tokens, ADMISSION_OUTPUT_TOK_ASSUMED);

	return fmax(1.0, (double)prompt_bytes / 4.0 + 2.0 * (double)out);
}

double
admission_cost_used(int64_t prompt_tok, int64_t completion_tok)
{
	return fmax(1.0, (double)prompt_tok + 2.0 * (double)completion_tok);
}
