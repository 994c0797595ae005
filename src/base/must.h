/* SPDX-License-Identifier: MIT */
/*
 * must - assertions that stay on in release, and function attributes.
 *
 * must() documents an invariant of our own code and stops the process when it is broken.  Outside input
 * never reaches one: what a peer, a file or a user can cause is an error, not an assertion.
 */
#pragma once
#include <stddef.h>

#define must(cond) ((cond) ? (void)0 : must_fail(#cond, __FILE__, __LINE__))

/* A fallible function: 0 or a negative errno, and the caller looks at it. */
#define MUST_CHECK __attribute__((warn_unused_result))
#define PRINTF_LIKE(fmt, args) __attribute__((format(printf, fmt, args)))

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
#ifndef MIN /* some system headers have them too */
#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define MAX(a, b) ((a) > (b) ? (a) : (b))
#endif

/* The struct that @member is in, from a pointer to that member. */
#define container_of(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

_Noreturn void must_fail(const char *cond, const char *file, int line);

/* Allocation that stops the process when memory is gone: for set-up, where nothing sensible can follow. */
void *must_malloc(size_t n) __attribute__((malloc, returns_nonnull));
void *must_calloc(size_t n, size_t size) __attribute__((malloc, returns_nonnull));
void *must_realloc(void *p, size_t n) __attribute__((returns_nonnull));
char *must_strdup(const char *s) __attribute__((malloc, returns_nonnull));
