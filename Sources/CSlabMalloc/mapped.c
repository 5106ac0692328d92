// SPDX-License-Identifier: Apache-2.0
// Blocks of early.c that are large, or come when its row is full: a mapping each, charged to no group. In front of the
// block is a page of which the last words say what was mapped.
#define _GNU_SOURCE
#include "front.h"

#include <errno.h>
#include <sys/mman.h>

enum { page = 4096 };

struct mapped_head {
  uintptr_t check;  // The block's address, with bits turned over that no address has like this.
  uintptr_t start;
  size_t size;
  size_t usable;
};

static const uintptr_t mapped_check = 0x5ab5ab5ab5ab5ab5;

static struct mapped_head *head_of(const void *block) {
  return (struct mapped_head *)((uintptr_t)block - sizeof(struct mapped_head));
}

int slab_malloc_is_mapped(const void *block) {
  uintptr_t address = (uintptr_t)block;
  uintptr_t unit = (address - slab_shared_heap_base()) >> 10;
  if (address == 0 || address % page != 0 || unit < slab_shared_heap_limit()) return 0;
  return head_of(block)->check == (address ^ mapped_check);
}

static void *place(uintptr_t start, size_t size, uintptr_t block) {
  *head_of((void *)block) = (struct mapped_head){
      .check = block ^ mapped_check, .start = start, .size = size, .usable = start + size - block};
  return (void *)block;
}

void *slab_malloc_map(size_t bytes, size_t alignment) {
  if (alignment < page) alignment = page;
  size_t size;
  if (__builtin_add_overflow(bytes, alignment + page - 1, &size) || size > SLAB_MALLOC_MOST) {
    errno = ENOMEM;
    return NULL;
  }
  size &= ~(size_t)(page - 1);
  void *start = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (start == MAP_FAILED) {
    errno = ENOMEM;
    return NULL;
  }
  uintptr_t block = ((uintptr_t)start + page + alignment - 1) & ~(alignment - 1);
  return place((uintptr_t)start, size, block);
}

size_t slab_malloc_mapped_usable(const void *block) { return head_of(block)->usable; }

void slab_malloc_unmap(void *block) {
  int before = errno;
  (void)munmap((void *)head_of(block)->start, head_of(block)->size);
  errno = before;
}
