// SPDX-License-Identifier: Apache-2.0
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
// above `current` before that is free.
//
// The kernel aborts a sequence that is preempted, migrated, interrupted by a signal or restarted by
// a membarrier to the label in its descriptor. A debugger that steps over a sequence restarts it each
// time, so no thread begins again for ever. A sheaf operation that is tried once takes a restart for a miss;
// the slow path behind it asks again, *patiently*: it tries a number of times, and what misses then is as
// good as empty or full. A counter is changed in its *shared* copy instead, one stride below that of CPU 0,
// by an atomic addition.
//
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

// In a row: restarts come with preemptions and fences, a few hundred instructions apart at the least.
enum { slab_sequence_tries = 16 };

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

// Whether the kernel aborts a sequence that is interrupted: a trial, see CSlabPlatform.c. 0 if it does,
// -ENOTSUP if it lets the sequence go on, and another error if the trial could not be made. About a tenth of
// a millisecond.
intptr_t slab_rseq_trial(void);

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

// To the copy of a counter that belongs to no CPU. Releasing, as the sequence.
static inline void slab_counter_add_shared(uintptr_t first, int64_t delta) {
  int64_t *shared = (int64_t *)(first - ((uintptr_t)1 << slab_percpu_stride_shift));
  __atomic_fetch_add(shared, delta, __ATOMIC_RELEASE);
}

#if defined(__x86_64__)
#include "percpu_x86_64.h"
#else
#include "percpu_aarch64.h"
#endif

#else

SLAB_INLINE int slab_rseq_is_registered(void) { return 0; }
SLAB_INLINE uint32_t slab_recent_cpu(void) { return 0; }
SLAB_INLINE uintptr_t slab_sheaf_try_pop(const void *word, int *restarted) { return 0; }
SLAB_INLINE int slab_sheaf_try_push(const void *word, uintptr_t object, int *restarted) {
  return slab_push_full;
}
SLAB_INLINE size_t slab_sheaf_try_pop_batch(const void *word, uintptr_t *objects, size_t most,
                                            int *restarted) {
  return 0;
}
SLAB_INLINE size_t slab_sheaf_try_push_batch(const void *word, const uintptr_t *objects,
                                             size_t offered, int *restarted) {
  return 0;
}
SLAB_INLINE void slab_counter_add(uintptr_t first, int64_t delta) {}
SLAB_INLINE uintptr_t slab_counter_begin(const void *word) { return 0; }

#endif

// Once. 0 if the sheaf is empty or closed, or the sequence was restarted.
SLAB_INLINE uintptr_t slab_sheaf_pop(const void *word) {
  int restarted;
  return slab_sheaf_try_pop(word, &restarted);
}

// Once. Full if the sheaf is full or closed, or the sequence was restarted.
SLAB_INLINE int slab_sheaf_push(const void *word, uintptr_t object) {
  int restarted;
  return slab_sheaf_try_push(word, object, &restarted);
}

// Patiently: as the operation that is tried, again and again while it is restarted. Functions of their own:
// inlined into other loops and unrolled, so many jumps out of assembly keep the compiler busy for ever.
#define SLAB_APART static __attribute__((noinline, unused))
#define SLAB_PATIENTLY(type, operation)                                                          \
  for (int tries = slab_sequence_tries;;) {                                                      \
    int restarted = 0;                                                                           \
    type result = operation;                                                                     \
    if (!restarted || --tries == 0) return result;                                               \
  }

SLAB_APART uintptr_t slab_sheaf_pop_patiently(const void *word) {
  SLAB_PATIENTLY(uintptr_t, slab_sheaf_try_pop(word, &restarted))
}

SLAB_APART int slab_sheaf_push_patiently(const void *word, uintptr_t object) {
  SLAB_PATIENTLY(int, slab_sheaf_try_push(word, object, &restarted))
}

SLAB_APART size_t slab_sheaf_pop_batch(const void *word, uintptr_t *objects, size_t most) {
  SLAB_PATIENTLY(size_t, slab_sheaf_try_pop_batch(word, objects, most, &restarted))
}

SLAB_APART size_t slab_sheaf_push_batch(const void *word, const uintptr_t *objects,
                                        size_t offered) {
  SLAB_PATIENTLY(size_t, slab_sheaf_try_push_batch(word, objects, offered, &restarted))
}

#ifdef __cplusplus
}
#endif

#endif
