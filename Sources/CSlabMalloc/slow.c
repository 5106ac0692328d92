// SPDX-License-Identifier: Apache-2.0
// What the fast path did not have. errno stays as it was unless an allocation fails: a block that was needed on the
// way to an error message must not change the error.
#define _GNU_SOURCE
#include "front.h"

#include <errno.h>
#include <string.h>

// Two words of a sheaf that is closed: the child that is not there.
static const uint64_t closed[2];

struct slab_malloc_children slab_malloc_process_children = {
    .caches = {[0 ... slab_malloc_class_count] = closed}};
uintptr_t slab_malloc_process_group;
uint8_t slab_malloc_class_of[slab_malloc_largest_step + 1];
#ifndef SLAB_MALLOC_PRELOADED
SLAB_STATIC_THREAD_LOCAL int slab_malloc_is_looking;
#endif

// How often the thread is in the core's slow path. What is called there may allocate: shrinkers, and in a Swift program
// the functions that want to know of every error that is thrown. That is of the process's group, which refuses nothing;
// and where even that comes here again, of early.c.
static SLAB_STATIC_THREAD_LOCAL int inside;

static uintptr_t enter(void) {
  uintptr_t group = inside == 0 ? slab_malloc_group() : 0;
  inside++;
  return group;
}

static void *allocate(size_t bytes, size_t alignment, int is_zeroed) {
  uintptr_t block = 0;
  int error = ENOMEM;
  int before = errno;
  if (bytes <= SLAB_MALLOC_MOST) {
    // Acquiring: pairs with the releasing store in `slab_malloc_start`.
    if (!SLAB_LIKELY(__atomic_load_n(&slab_malloc_is_ready, __ATOMIC_ACQUIRE)) && !slab_malloc_start())
      return slab_malloc_early(bytes, alignment);
    if (slab_malloc_is_barred() || inside > 1) return slab_malloc_early(bytes, alignment);
    error = slab_malloc_core_allocate(enter(), bytes, alignment, is_zeroed, &block);
    inside--;
    slab_malloc_core_work();
  }
  errno = error != 0 ? error : before;
  return (void *)block;
}

void *slab_malloc_slow(size_t bytes) { return allocate(bytes, slab_malloc_alignment, 0); }

// Of more than is in the row of early.c, whose mappings are zero.
void *slab_malloc_zeroed(size_t bytes) { return allocate(bytes, slab_malloc_alignment, 1); }

void *slab_malloc_aligned(size_t bytes, size_t alignment) {
  if (alignment <= slab_malloc_alignment) return slab_malloc_fast(bytes);
  return allocate(bytes, alignment, 0);
}

// Of small blocks, of one that the allocator does not know, and where the allocator must not be entered.
static void *resize_by_copying(void *block, size_t bytes) {
  size_t usable = slab_malloc_usable(block);
  if (bytes <= usable) return block;
  void *other = slab_malloc_fast(bytes);
  if (other == NULL) return NULL;
  memcpy(other, block, usable);
  slab_malloc_free_fast(block);
  return other;
}

void *slab_malloc_resize(void *block, size_t bytes) {
  if (slab_malloc_is_barred() || inside > 1 || slab_malloc_is_early(block) || slab_malloc_is_mapped(block))
    return resize_by_copying(block, bytes);
  // From one size class to a larger one: with the fast paths of both.
  if (bytes <= slab_malloc_largest_small && bytes > slab_malloc_core_usable((uintptr_t)block))
    return resize_by_copying(block, bytes);
  uintptr_t address = (uintptr_t)block;
  int error = ENOMEM;
  int before = errno;
  if (bytes <= SLAB_MALLOC_MOST) {
    error = slab_malloc_core_resize(enter(), bytes, &address);
    inside--;
    slab_malloc_core_work();
  }
  errno = error != 0 ? error : before;
  return error != 0 ? NULL : (void *)address;
}

void slab_malloc_free_slow(void *block) {
  if (block == NULL) return;
  if (slab_malloc_is_early(block)) return slab_malloc_early_free(block);
  if (slab_malloc_is_mapped(block)) return slab_malloc_unmap(block);
  if (slab_malloc_is_barred()) return slab_malloc_free_later(block);
  int before = errno;
  slab_malloc_core_free((uintptr_t)block);
  slab_malloc_free_what_waits();
  slab_malloc_core_work();
  errno = before;
}

size_t slab_malloc_usable(const void *block) {
  if (slab_malloc_is_early(block)) return slab_malloc_early_usable(block);
  if (slab_malloc_is_mapped(block)) return slab_malloc_mapped_usable(block);
  return slab_malloc_core_usable((uintptr_t)block);
}
