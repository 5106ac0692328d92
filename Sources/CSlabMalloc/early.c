// SPDX-License-Identifier: Apache-2.0
// Blocks for callers at a time when the allocator cannot be asked: the loader before there is an environment, the
// thread that makes the allocator, other threads meanwhile, and handlers of a fork that run between the allocator's
// own. They come from a row of memory by raising a mark, and are some kilobytes in the life of a process; the last one
// goes back, the others stay. What is large, and what comes when the row is full, is a mapping of its own.
#define _GNU_SOURCE
#include "front.h"

#include <stdatomic.h>

enum { early_bytes = 256 << 10, largest_early = 4096, header_bytes = 16 };

// Touched as far as it is used.
static _Alignas(4096) char early_row[early_bytes];
static _Atomic size_t early_mark;

// In front of each block: its size.
static size_t *size_of(const void *block) { return (size_t *)((uintptr_t)block - header_bytes); }

int slab_malloc_is_early(const void *block) {
  uintptr_t offset = (uintptr_t)block - (uintptr_t)early_row;
  return offset < early_bytes;
}

void *slab_malloc_early(size_t bytes, size_t alignment) {
  size_t mark = atomic_load_explicit(&early_mark, memory_order_relaxed);
  size_t start, end;
  if (alignment < slab_malloc_alignment) alignment = slab_malloc_alignment;
  // The row itself is aligned as far.
  if (bytes > largest_early || alignment > largest_early) return slab_malloc_map(bytes, alignment);
  do {
    start = (mark + header_bytes + alignment - 1) & ~(alignment - 1);
    end = start + ((bytes + 15) & ~(size_t)15);
    if (end > early_bytes) return slab_malloc_map(bytes, alignment);
    // Acquiring: pairs with the release in slab_malloc_early_free, so that what the last owner of the memory wrote is not
    // written after what follows.
  } while (!atomic_compare_exchange_weak_explicit(&early_mark, &mark, end, memory_order_acquire,
                                                  memory_order_relaxed));
  void *block = early_row + start;
  *size_of(block) = end - start;
  return block;
}

size_t slab_malloc_early_usable(const void *block) { return *size_of(block); }

void slab_malloc_early_free(void *block) {
  size_t start = (size_t)((char *)block - early_row);
  size_t end = start + *size_of(block);
  // What alignment left over in front of it stays. Releasing: pairs with the acquire in slab_malloc_early.
  atomic_compare_exchange_strong_explicit(&early_mark, &end, start - header_bytes, memory_order_release,
                                          memory_order_relaxed);
}
