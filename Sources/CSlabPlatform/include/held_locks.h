// SPDX-License-Identifier: Apache-2.0
// Locks that the running thread holds, for the checks of debug builds: see SlabPlatform's Locks/HeldLocks.swift.
// A release build has neither the variable nor a use of it.

#ifndef SLAB_HELD_LOCKS_H
#define SLAB_HELD_LOCKS_H

#include <stdint.h>

#include "reclaiming.h"

#ifdef __cplusplus
extern "C" {
#endif

struct slab_held_locks {
  uint32_t heights;  // A bit for each height of which one is held, without those that are set aside.
  uint32_t counts[32];  // Of each height, all that are held.
  uint64_t taken[32];  // Of each height, how often one was taken.
  int takes_all;
};

extern SLAB_STATIC_THREAD_LOCAL struct slab_held_locks slab_held_locks;

static inline uint32_t slab_held_heights(void) { return slab_held_locks.heights; }
static inline uint64_t slab_locks_taken(uint32_t height) { return slab_held_locks.taken[height]; }
static inline int slab_takes_all(void) { return slab_held_locks.takes_all; }

static inline void slab_add_held(int count, uint32_t height) {
  struct slab_held_locks *held = &slab_held_locks;
  held->counts[height] += (uint32_t)count;
  if (count > 0) held->taken[height] += (uint64_t)count;
  if (count > 0) held->heights |= (uint32_t)1 << height;
  if (held->counts[height] == 0) held->heights &= ~((uint32_t)1 << height);
  if (held->heights == 0) held->takes_all = 0;
}

static inline void slab_set_held_aside(uint32_t all_but) {
  slab_held_locks.heights &= all_but;
  slab_held_locks.takes_all = 1;
}

#ifdef __cplusplus
}
#endif

#endif
