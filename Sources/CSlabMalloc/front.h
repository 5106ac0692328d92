// SPDX-License-Identifier: Apache-2.0
// What the files of the front share.

#ifndef SLAB_MALLOC_FRONT_H
#define SLAB_MALLOC_FRONT_H

#include "CSlabMalloc.h"
#ifndef SLAB_MALLOC_PRELOADED
#include "CSlabTasks.h"
#endif

#define SLAB_LIKELY(condition) __builtin_expect(!!(condition), 1)
#define SLAB_HIDDEN __attribute__((visibility("hidden")))
#define SLAB_EXPORT __attribute__((visibility("default")))

// No block is larger: the difference of two addresses in it must have a value.
#define SLAB_MALLOC_MOST ((size_t)PTRDIFF_MAX)

// Whether the allocator is made; makes it if that is possible now. start.c
SLAB_HIDDEN extern int slab_malloc_is_ready;
SLAB_HIDDEN int slab_malloc_start(void);
SLAB_HIDDEN _Noreturn void slab_malloc_fail(const char *what, const char *value);

// Whether the running thread is between the allocator's two halves of a fork. fork.c
SLAB_HIDDEN extern SLAB_STATIC_THREAD_LOCAL int slab_malloc_is_forking;
SLAB_HIDDEN void slab_malloc_register_fork_handlers(void);
SLAB_HIDDEN void slab_malloc_free_later(void *block);
SLAB_HIDDEN void slab_malloc_free_what_waits(void);

// Whether the allocator must not be entered: the running thread is between the two halves of a fork, or in the
// allocator. The latter only where a debug build asks the language's runtime for a type, which allocates: in a release
// build the allocator asks for none.
SLAB_INLINE int slab_malloc_is_barred(void) {
#if defined(DEBUG) && !defined(SLAB_MALLOC_PRELOADED)
  if (slab_held_heights() != 0) return 1;
#endif
  return slab_malloc_is_forking;
}

#ifndef SLAB_MALLOC_PRELOADED
// Whether the running thread asks for its group. slow.c
SLAB_HIDDEN extern SLAB_STATIC_THREAD_LOCAL int slab_malloc_is_looking;
#endif

// Blocks that the allocator does not know. early.c
SLAB_HIDDEN void *slab_malloc_early(size_t bytes, size_t alignment);
SLAB_HIDDEN int slab_malloc_is_early(const void *block);
SLAB_HIDDEN size_t slab_malloc_early_usable(const void *block);
SLAB_HIDDEN void slab_malloc_early_free(void *block);

// Blocks that are mappings of their own, of early.c. mapped.c
SLAB_HIDDEN int slab_malloc_is_mapped(const void *block);
SLAB_HIDDEN void *slab_malloc_map(size_t bytes, size_t alignment);
SLAB_HIDDEN size_t slab_malloc_mapped_usable(const void *block);
SLAB_HIDDEN void slab_malloc_unmap(void *block);

// What the fast path did not have. slow.c
SLAB_HIDDEN void *slab_malloc_slow(size_t bytes);
SLAB_HIDDEN void *slab_malloc_zeroed(size_t bytes);  // Above slab_malloc_largest_small.
SLAB_HIDDEN void *slab_malloc_aligned(size_t bytes, size_t alignment);
SLAB_HIDDEN void *slab_malloc_resize(void *block, size_t bytes);
SLAB_HIDDEN void slab_malloc_free_slow(void *block);
SLAB_HIDDEN size_t slab_malloc_usable(const void *block);

// What the sheaf of a group's own cache did not have or did not take: of the groups that share, or the slow path. shared.c
SLAB_HIDDEN void *slab_malloc_missed(size_t bytes, const struct slab_malloc_children *children, size_t index);
SLAB_HIDDEN void slab_malloc_free_missed(void *block, const void *cache);

// What the environment asks for. settings.c, report.c
SLAB_HIDDEN size_t slab_malloc_read_max(void);  // Bytes; 0 for no limit.
SLAB_HIDDEN void slab_malloc_prepare_report(void);

// The group in effect; 0 for the process's.
#ifdef SLAB_MALLOC_PRELOADED
SLAB_INLINE uintptr_t slab_malloc_group(void) { return (uintptr_t)slab_group_save(); }
#else
// In a Swift program: that of the task, or else of the thread. The runtime's look-up may come to an allocation: the
// loader makes its table of thread-locals longer where many libraries were loaded. That one is the process's.
SLAB_INLINE uintptr_t slab_malloc_group(void) {
  if (!slab_malloc_is_looking) {
    slab_malloc_is_looking = 1;
    // The compiler would leave out the first store.
    __asm__ volatile("" ::: "memory");
    const uintptr_t *value = slab_current_group_value();
    slab_malloc_is_looking = 0;
    if (value != NULL) return slab_current_group_speculate(*value);
    return (uintptr_t)slab_group_save();
  }
  return 0;
}
#endif

// Of the group in effect; NULL if that has none yet.
SLAB_INLINE struct slab_malloc_children *slab_malloc_children(void) {
  char *group = (char *)slab_malloc_group();
  if (SLAB_LIKELY(group == NULL)) return &slab_malloc_process_children;
  // Acquiring: pairs with the releasing exchange in Group+MallocChildren.swift.
  return __atomic_load_n((struct slab_malloc_children **)(group + slab_malloc_children_offset),
                         __ATOMIC_ACQUIRE);
}

// A block of at least so many bytes, or NULL: one load of the thread's group, and with one another of its children, one
// of the class, one of the cache, and the sequence.
SLAB_INLINE void *slab_malloc_fast(size_t bytes) {
  size_t step = (bytes + ((1 << slab_malloc_step_shift) - 1)) >> slab_malloc_step_shift;
  // A size near the largest wraps to a small step.
  if (SLAB_LIKELY(bytes <= slab_malloc_largest_small)) {
    struct slab_malloc_children *children = slab_malloc_children();
    if (SLAB_LIKELY(children != NULL)) {
      size_t index = slab_malloc_class_of[step];
      // Relaxed: the cache's words are read through its address, and it was made before that was put there.
      const void *cache = __atomic_load_n(&children->caches[index], __ATOMIC_RELAXED);
      uintptr_t object = slab_sheaf_pop(cache);
      if (SLAB_LIKELY(object != 0)) return (void *)object;
      return slab_malloc_missed(bytes, children, index);
    }
  }
  return slab_malloc_slow(bytes);
}

SLAB_INLINE void slab_malloc_free_fast(void *block) {
  uintptr_t base = slab_shared_heap_base();
  // Below the heap the difference wraps to a large number. 0 is below it.
  uintptr_t unit = ((uintptr_t)block - base) >> 10;
  if (SLAB_LIKELY(unit < slab_shared_heap_limit())) {
    int32_t granule = *(const int32_t *)(slab_shared_heap_words() + unit * 8);
    if (SLAB_LIKELY(granule > 0)) {
      const void *cache = (const void *)(base + ((uintptr_t)granule << 6));
      if (SLAB_LIKELY(slab_sheaf_push(cache, (uintptr_t)block) == slab_push_done)) return;
      return slab_malloc_free_missed(block, cache);
    }
  }
  slab_malloc_free_slow(block);
}

#endif
