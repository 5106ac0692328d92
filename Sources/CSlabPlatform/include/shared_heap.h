// SPDX-License-Identifier: Apache-2.0
// Where the heap of the process's shared allocator is: an object of it is freed by its address alone,
// so that its owner is one pointer wide. Swift has no global that is read without a call.

#ifndef SLAB_SHARED_HEAP_H
#define SLAB_SHARED_HEAP_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

// Without addresses until there is a shared allocator, and constant from then on. The root group is written
// first, the limit last.
struct slab_shared_heap {
  uintptr_t words;       // the page map
  uintptr_t base;
  uintptr_t limit;       // in units; 0: no address is in it
  uintptr_t root_group;  // the allocator's
};

extern struct slab_shared_heap slab_shared_heap;

// Acquiring: pairs with the releasing store below, so that the others are there.
static inline uintptr_t slab_shared_heap_limit(void) {
  return __atomic_load_n(&slab_shared_heap.limit, __ATOMIC_ACQUIRE);
}

static inline uintptr_t slab_shared_heap_base(void) {
  return __atomic_load_n(&slab_shared_heap.base, __ATOMIC_RELAXED);
}

static inline uintptr_t slab_shared_heap_words(void) {
  return __atomic_load_n(&slab_shared_heap.words, __ATOMIC_RELAXED);
}

static inline uintptr_t slab_shared_heap_root_group(void) {
  return __atomic_load_n(&slab_shared_heap.root_group, __ATOMIC_ACQUIRE);
}

// 1: this root group is the shared allocator's, now and for ever. 0: another one is. Releasing: pairs with the
// acquiring load above, so that the allocator is whole.
static inline int slab_shared_heap_claim(uintptr_t root_group) {
  uintptr_t none = 0;
  return __atomic_compare_exchange_n(&slab_shared_heap.root_group, &none, root_group, 0,
                                     __ATOMIC_RELEASE, __ATOMIC_RELAXED);
}

// By the one that has claimed it, once in the life of a process. Until then its objects are found as those of other
// allocators are.
static inline void slab_shared_heap_set(uintptr_t words, uintptr_t base, uintptr_t limit) {
  __atomic_store_n(&slab_shared_heap.words, words, __ATOMIC_RELAXED);
  __atomic_store_n(&slab_shared_heap.base, base, __ATOMIC_RELAXED);
  __atomic_store_n(&slab_shared_heap.limit, limit, __ATOMIC_RELEASE);
}

#ifdef __cplusplus
}
#endif

#endif
