// SPDX-License-Identifier: Apache-2.0
// What belongs to Swift's task runtime, and to the typed interface alone: the core knows nothing of tasks.
//
// Reading the task-local that says which group allocations are charged to. The language's own way
// costs a lazy global and a generic getter, which is more than an allocation; the runtime's entry
// point behind it, which every compiled read of a task-local calls, is 4 ns.

#ifndef CSLABTASKS_H
#define CSLABTASKS_H

#include <stdint.h>

#include "CSlabPlatform.h"

#ifdef __cplusplus
extern "C" {
#endif

// The task-local's key; 0 until it is bound for the first time.
extern uintptr_t slab_current_group_key;

// The address of the task-local's value in the running task, or else on the running thread; or NULL.
__attribute__((swiftcall)) extern const uintptr_t *swift_task_localValueGet(uintptr_t key);

// The group that this thread found last. Only a guess: what it is compared with is looked up each time.
extern _Thread_local uintptr_t slab_current_group_last __attribute__((tls_model("initial-exec")));

// The same group, without the wait for it: value speculation. The look-up is a dozen loads that need
// each other's results, and the allocation's own loads come behind them. A thread that allocates mostly
// finds the group that it found last; then the branch is predicted, the CPU goes on with the guess,
// and the look-up is checked while the allocation runs.
static inline uintptr_t slab_current_group_speculate(uintptr_t group) {
  uintptr_t last = slab_current_group_last;
  uintptr_t guess = last;
  // The compiler must not know that they are equal, or it would take the one that has to be waited for.
  __asm__("" : "+r"(guess));
  if (__builtin_expect(group == last, 1)) return guess;
  slab_current_group_last = group;
  return group;
}

// The place of the task-local's value, which is a group's address; NULL if it is not bound.
static inline const uintptr_t *slab_current_group_value(void) {
  // Relaxed: the key is constant once it is set, and a binding is made by the thread that reads it, or
  // by one that this thread is ordered after.
  uintptr_t key = __atomic_load_n(&slab_current_group_key, __ATOMIC_RELAXED);
  return key == 0 ? NULL : swift_task_localValueGet(key);
}

// The address of the current group: the task-local's value, or else the shared root group; 0 if
// there is none.
static inline uintptr_t slab_current_group(void) {
  const uintptr_t *value = slab_current_group_value();
  if (value != NULL) return slab_current_group_speculate(*value);
  return slab_shared_heap_root_group();
}

static inline void slab_current_group_set_key(uintptr_t key) {
  __atomic_store_n(&slab_current_group_key, key, __ATOMIC_RELAXED);
}

#ifdef __cplusplus
}
#endif

#endif
