// SPDX-License-Identifier: Apache-2.0
// The functions of C, POSIX and the GNU C library.
#define _GNU_SOURCE
#include "front.h"

#include <errno.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

static int is_power_of_two(size_t number) { return number != 0 && (number & (number - 1)) == 0; }

SLAB_EXPORT void *malloc(size_t bytes) { return slab_malloc_fast(bytes); }

SLAB_EXPORT void free(void *block) { slab_malloc_free_fast(block); }

// What the caller says of the block is not needed to find it.
SLAB_EXPORT void free_sized(void *block, size_t bytes) {
  (void)bytes;
  slab_malloc_free_fast(block);
}

SLAB_EXPORT void free_aligned_sized(void *block, size_t alignment, size_t bytes) {
  (void)alignment;
  (void)bytes;
  slab_malloc_free_fast(block);
}

SLAB_EXPORT void *calloc(size_t count, size_t size) {
  size_t bytes;
  if (__builtin_mul_overflow(count, size, &bytes)) {
    errno = ENOMEM;
    return NULL;
  }
  // The allocator knows of much memory that it is zero.
  if (bytes > slab_malloc_largest_small) return slab_malloc_zeroed(bytes);
  void *block = slab_malloc_fast(bytes);
  return block == NULL ? NULL : memset(block, 0, bytes);
}

// realloc(block, 0) frees, as the GNU C library's does.
static void *reallocate(void *block, size_t bytes) {
  if (block == NULL) return slab_malloc_fast(bytes);
  if (bytes == 0) {
    slab_malloc_free_fast(block);
    return NULL;
  }
  return slab_malloc_resize(block, bytes);
}

SLAB_EXPORT void *realloc(void *block, size_t bytes) { return reallocate(block, bytes); }

SLAB_EXPORT void *reallocarray(void *block, size_t count, size_t size) {
  size_t bytes;
  if (__builtin_mul_overflow(count, size, &bytes)) {
    errno = ENOMEM;
    return NULL;
  }
  return reallocate(block, bytes);
}

SLAB_EXPORT int posix_memalign(void **result, size_t alignment, size_t bytes) {
  if (!is_power_of_two(alignment) || alignment % sizeof(void *) != 0) return EINVAL;
  int before = errno;
  void *block = slab_malloc_aligned(bytes, alignment);
  // It answers the error, and leaves errno and the result alone.
  int error = block == NULL ? errno : 0;
  errno = before;
  if (error == 0) *result = block;
  return error;
}

// C17: an alignment that the implementation does not support is an error; the size may be any.
SLAB_EXPORT void *aligned_alloc(size_t alignment, size_t bytes) {
  if (!is_power_of_two(alignment)) {
    errno = EINVAL;
    return NULL;
  }
  return slab_malloc_aligned(bytes, alignment);
}

// As the GNU C library: an alignment that is no power of two is rounded up to one.
SLAB_EXPORT void *memalign(size_t alignment, size_t bytes) {
  if (alignment > SLAB_MALLOC_MOST) {
    errno = EINVAL;
    return NULL;
  }
  size_t power = slab_malloc_alignment;
  while (power < alignment) power *= 2;
  return slab_malloc_aligned(bytes, power);
}

SLAB_EXPORT void *valloc(size_t bytes) { return slab_malloc_aligned(bytes, slab_page_bytes()); }

// Of whole pages, and one at least: early.c gives what it is asked for and no more.
SLAB_EXPORT void *pvalloc(size_t bytes) {
  size_t page = slab_page_bytes();
  size_t whole;
  if (__builtin_add_overflow(bytes, page - 1, &whole)) {
    errno = ENOMEM;
    return NULL;
  }
  whole &= ~(page - 1);
  return slab_malloc_aligned(whole == 0 ? page : whole, page);
}

SLAB_EXPORT size_t malloc_usable_size(void *block) {
  return block == NULL ? 0 : slab_malloc_usable(block);
}

// Other names of the GNU C library's, which old programs call.
SLAB_EXPORT void cfree(void *block) { slab_malloc_free_fast(block); }
#define SLAB_ALIAS(name) __attribute__((alias(name), visibility("default")))
SLAB_ALIAS("malloc") void *__libc_malloc(size_t bytes);
SLAB_ALIAS("free") void __libc_free(void *block);
SLAB_ALIAS("calloc") void *__libc_calloc(size_t count, size_t size);
SLAB_ALIAS("realloc") void *__libc_realloc(void *block, size_t bytes);
SLAB_ALIAS("memalign") void *__libc_memalign(size_t alignment, size_t bytes);
SLAB_ALIAS("valloc") void *__libc_valloc(size_t bytes);
SLAB_ALIAS("pvalloc") void *__libc_pvalloc(size_t bytes);
SLAB_ALIAS("posix_memalign") int __posix_memalign(void **result, size_t alignment, size_t bytes);
