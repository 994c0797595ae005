/* SPDX-License-Identifier: MIT */
/*
 * Loaded in front of libc (LD_PRELOAD), counts every allocation of the program under test into the eight bytes of the
 * file that KW_ALLOCATIONS names, where the test reads them while the program runs.
 */
#include <fcntl.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

void *__libc_malloc(size_t n);
void *__libc_realloc(void *p, size_t n);
void *__libc_calloc(size_t n, size_t size);

static _Atomic uint64_t before_start, *count = &before_start;

__attribute__((constructor)) static void
open_count(void)
{
	const char *path = getenv("KW_ALLOCATIONS");
	int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
	void *p = fd >= 0 ? mmap(NULL, sizeof(*count), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)
			  : MAP_FAILED;

	if (p != MAP_FAILED)
		count = p;
	if (fd >= 0)
		close(fd);
}

void *
malloc(size_t n)
{
	atomic_fetch_add(count, 1);
	return __libc_malloc(n);
}

void *
realloc(void *p, size_t n)
{
	atomic_fetch_add(count, 1);
	return __libc_realloc(p, n);
}

void *
calloc(size_t n, size_t size)
{
	atomic_fetch_add(count, 1);
	return __libc_calloc(n, size);
}
