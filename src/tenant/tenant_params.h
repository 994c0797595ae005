/* SPDX-License-Identifier: MIT */
/* tenant_params - bounds and defaults of tenants; the config table refers to them. */
#pragma once

#define TENANT_ID_MAX 128		/* bytes of a tenant's name, printable ASCII without blanks or UTF-8 */
#define TENANT_UNKNOWN_MAX 1000		/* tenants known only by a header that have state of their own at a time */
#define TENANT_LABELS_MAX 1000		/* tenants with a metric label of their own; the others share "_other" */
#define TENANT_OTHER "_other"
#define TENANT_DEFAULT "default"

#define TENANT_WEIGHT_DEFAULT 1.0
#define TENANT_PRIORITY_DEFAULT 1
#define TENANT_GPU_GB_DEFAULT 40.0
#define TENANT_QUEUE_REQUESTS_DEFAULT 4096
#define TENANT_QUEUE_BYTES_DEFAULT (64ull << 20)
