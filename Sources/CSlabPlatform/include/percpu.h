// Restartable sequences on per-CPU memory.
//
// A *sheaf* is a stack of object addresses that one CPU owns. Its place for CPU c is
//
//     first + c * 2^slab_percpu_stride_shift
//       +0                 current: 8 * the number of objects, so the offset of the top one
//       +8 * i, i >= 1     the objects, bottom first
//
// and `first` is read from a *sheaf word*, first << 16 | 8 * capacity, inside the sequence. Memory
// that is all zeros is an empty sheaf. So a remote
// thread closes a sheaf on every CPU at once: it stores 0 to the word and issues one membarrier
// that restarts all running sequences (MEMBARRIER_CMD_PRIVATE_EXPEDITED_RSEQ); a sequence that
// starts afterwards reads 0 and misses, and the thread owns the memory. One barrier serves any
// number of words. The store that commits a sequence is its last one, of `current`; what it stored
// above `current` before that is nobody's.
//
// The kernel aborts a sequence that is preempted, migrated, interrupted by a signal or restarted by
// a membarrier to the label in its descriptor, and we retry: an abort is never reported as a miss.
// Where the C library could not register (old kernel, a tunable) its area is there but unused, and
// every word must stay 0: then all operations miss and touch nothing else.
//
// `current` has 64 bits since a store of 16 does not forward to the next load at full speed, and
// there is no test ahead of the sequence since that costs half as much as the sequence (both
// measured).

#ifndef SLAB_PERCPU_H
#define SLAB_PERCPU_H

#include <features.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { slab_percpu_stride_shift = 26 };

enum {
  slab_push_done = 0,
  slab_push_full = 1,         // full, or closed
  slab_push_double_free = 2,  // the object is the sheaf's top already
};

struct slab_rseq_area {
  uint32_t cpu_id_start;
  uint32_t cpu_id;
  uint64_t rseq_cs;
};

#define SLAB_INLINE static inline __attribute__((always_inline))

#if (defined(__x86_64__) || defined(__aarch64__)) && defined(__GLIBC__) && \
    __GLIBC_PREREQ(2, 35)

extern const ptrdiff_t __rseq_offset;
extern const unsigned int __rseq_size;

SLAB_INLINE struct slab_rseq_area *slab_rseq_area(void) {
  return (struct slab_rseq_area *)((char *)__builtin_thread_pointer() + __rseq_offset);
}

// The C library registers restartable sequences for every thread or for none.
SLAB_INLINE int slab_rseq_is_registered(void) {
  return __rseq_size != 0 && (int32_t)slab_rseq_area()->cpu_id >= 0;
}

// The CPU that the caller ran on a moment ago; only where sequences are registered.
SLAB_INLINE uint32_t slab_recent_cpu(void) {
  return __atomic_load_n(&slab_rseq_area()->cpu_id_start, __ATOMIC_RELAXED);
}

#if defined(__x86_64__)
#include "percpu_x86_64.h"
#else
#include "percpu_aarch64.h"
#endif

#else

SLAB_INLINE int slab_rseq_is_registered(void) { return 0; }
SLAB_INLINE uint32_t slab_recent_cpu(void) { return 0; }
SLAB_INLINE uintptr_t slab_sheaf_pop(const void *word) { return 0; }
SLAB_INLINE int slab_sheaf_push(const void *word, uintptr_t object) { return slab_push_full; }
SLAB_INLINE size_t slab_sheaf_pop_batch(const void *word, uintptr_t *objects, size_t most) {
  return 0;
}
SLAB_INLINE size_t slab_sheaf_push_batch(const void *word, const uintptr_t *objects,
                                         size_t offered) {
  return 0;
}
SLAB_INLINE void slab_counter_add(uintptr_t first, int64_t delta) {}
SLAB_INLINE uintptr_t slab_counter_begin(const void *word) { return 0; }

#endif

#ifdef __cplusplus
}
#endif

#endif
