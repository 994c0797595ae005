/* SPDX-License-Identifier: MIT */
/* admission_params - bounds and defaults of admission; the config table refers to them. */
#pragma once

#define ADMISSION_ENGINES_MAX 64 /* engines (one for each model) of one gateway */
#define ADMISSION_ORGANISATIONS_MAX 1024
#define ADMISSION_WINDOW_DEFAULT                                                                   \
	64 /* requests in one engine under `window` when nothing else is said */
#define ADMISSION_QUEUE_REQUESTS_DEFAULT                                                           \
	0 /* all queues together; 0: only the tenants' own bounds count */
#define ADMISSION_QUEUE_AGE_S_DEFAULT 600 /* longest wait in a queue; the original's files say 30 */
#define ADMISSION_ABORT_LAG_MS_DEFAULT                                                             \
	100 /* until an engine has surely given an aborted request up: two steps */
#define ADMISSION_LENGTH_TIE_US                                                                    \
	1000000 /* under window: by so much a request of the next length bucket is overtaken */
#define ADMISSION_OUTPUT_TOK_ASSUMED                                                               \
	256 /* when a request does not say max_tokens; the cost's cap too */
