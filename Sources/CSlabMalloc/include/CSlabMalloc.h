// SPDX-License-Identifier: Apache-2.0
// Between the C front of malloc and the allocator below it: what the one keeps at hand, and what the other does.
//
// An allocation of up to 32 KiB looks at three things: the *children* of the group in effect, which are its child caches
// by size class; the class of the size; and the child of that class. A child that is not there is a closed sheaf word,
// so a look at it misses like one at an empty sheaf, and the slow path puts the cache there. A group has the address of
// its children in its descriptor, at a constant offset, and loses them when it goes offline
// (Groups/Group+MallocChildren.swift). The process, where no group was entered, has them in a variable, and for good: its
// group does not end.
//
// A group that shares slabs has no children of most classes. Behind its children stands the number of its payer, and the
// caches that all such groups share are the same for all: shared.c.

#ifndef CSLABMALLOC_H
#define CSLABMALLOC_H

#include <stddef.h>
#include <stdint.h>

#include "CSlabPlatform.h"
#include "slab.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
  slab_malloc_step_shift = 4,          // log2 of the steps in which sizes are looked up
  slab_malloc_largest_step = 2048,     // of 32 KiB: what is larger is looked up by the slow path
  slab_malloc_largest_small = slab_malloc_largest_step << slab_malloc_step_shift,
  slab_malloc_class_count = 35,        // up to 32 KiB
  slab_malloc_alignment = 16,          // of every block
  slab_malloc_children_offset = 456,   // in a group's descriptor
};

#pragma clang assume_nonnull begin

struct slab_malloc_children {
  const void *_Nonnull caches[1 + slab_malloc_class_count];  // By class, from 1 on; the first is never there.
  uint64_t payer;  // Of a group that shares slabs and is online: its payer's number; else 0.
};

// What groups share: set by the slow path when it has allocated there, and constant from then on.
struct slab_malloc_shared {
  const void *_Nullable caches[1 + slab_malloc_class_count];  // By class; NULL where none was used.
  uintptr_t stocks;     // The lines of the CPUs' stocks; 0 until the first of the caches is here.
  uintptr_t line_mask;  // Of the lines' number.
  uintptr_t ends;       // Where shared groups that went offline are counted.
  uint32_t most;        // Bytes in a word of a stock.
};
extern struct slab_malloc_shared slab_malloc_shared;

// The class of each size, by steps, from 1 on; 0 until the allocator is made.
extern uint8_t slab_malloc_class_of[slab_malloc_largest_step + 1];

// Of what is in effect where no group was entered: the root group, or the process's own; and that group.
extern struct slab_malloc_children slab_malloc_process_children;
extern uintptr_t slab_malloc_process_group;

// Releasing: a thread that takes the cache's address finds it made.
static inline void slab_malloc_put(size_t index, uintptr_t cache) {
  __atomic_store_n(&slab_malloc_process_children.caches[index], (const void *)cache, __ATOMIC_RELEASE);
}

static inline int slab_malloc_has_shared(size_t index) {
  return __atomic_load_n(&slab_malloc_shared.caches[index], __ATOMIC_RELAXED) != NULL;
}

// Whether shared.c finds of a live object of a shared cache what the core says of it: `ended` is where its payer has
// ended. So a layout that has changed is found at once.
int slab_malloc_reads_shared(uintptr_t object, uintptr_t cache, uint32_t payer, uintptr_t ended);

// The same for every class but for the cache. Releasing, the address last: pairs with the acquiring load in shared.c.
static inline void slab_malloc_put_shared(size_t index, uintptr_t cache, uintptr_t stocks, uintptr_t line_mask,
                                          uintptr_t ends, uint32_t most) {
  __atomic_store_n(&slab_malloc_shared.line_mask, line_mask, __ATOMIC_RELAXED);
  __atomic_store_n(&slab_malloc_shared.ends, ends, __ATOMIC_RELAXED);
  __atomic_store_n(&slab_malloc_shared.most, most, __ATOMIC_RELAXED);
  __atomic_store_n(&slab_malloc_shared.stocks, stocks, __ATOMIC_RELEASE);
  __atomic_store_n(&slab_malloc_shared.caches[index], (const void *)cache, __ATOMIC_RELEASE);
}

static inline uintptr_t slab_malloc_get_process_group(void) { return slab_malloc_process_group; }

// While the allocator is made: see slab_malloc_is_ready.
static inline void slab_malloc_set_class(size_t step, size_t index) {
  slab_malloc_class_of[step] = (uint8_t)(1 + index);
}
static inline void slab_malloc_set_process_group(uintptr_t group) {
  slab_malloc_process_group = group;
}

// Everything below is in Swift. Sizes are in bytes, an alignment is a power of two; a failure is a positive errno.

// Makes the allocator, with a group of the process's own if `max` is above 0, fills the classes, and puts the group
// into slab_malloc_process_group. Once, by one thread.
int slab_malloc_core_start(size_t max);

// A block in a group, or in the process's with 0, among whose children the block's cache is put if it is of a class
// there. 0: the block's address is in *block. Its usable bytes may all be used. One above slab_malloc_largest_small is
// zero if it is to be.
int slab_malloc_core_allocate(uintptr_t group, size_t bytes, size_t alignment, int is_zeroed, uintptr_t *block);

// Makes the block at *block at least so many bytes long, in place or at another address, which is there afterwards. What
// becomes longer is charged to the group. On a failure the block is as it was.
int slab_malloc_core_resize(uintptr_t group, size_t bytes, uintptr_t *block);

// Frees a block that the cache's sheaf did not take.
void slab_malloc_core_free(uintptr_t block);

// Bytes of a payer that are charged and not in use: into a CPU's stock, or uncharged.
void slab_malloc_core_give_back(uint32_t payer, uint32_t bytes);

// Uncharges what is in a word of a stock if its group has gone offline: a thread that has put something in calls it if
// one has meanwhile.
void slab_malloc_core_settle(uintptr_t word);

// Usable bytes of a block; 0 if the address is in no block of the allocator.
size_t slab_malloc_core_usable(uintptr_t block);

// Does what waits for a thread of the allocator's own, since there is none. Holding no lock.
void slab_malloc_core_work(void);

// Gives unused memory back to the system; the number of bytes.
size_t slab_malloc_core_trim(void);

struct slab_malloc_figures {
  size_t system;   // bytes of the system that the allocator holds
  size_t used;     // bytes of objects that are in use
  size_t blocks;   // slots of slabs that are free
  size_t free;     // bytes that are neither in use nor given back
};
void slab_malloc_core_figures(struct slab_malloc_figures *figures);

// Writes the report, in pieces, to a file descriptor. Takes the allocator's locks; allocates nothing.
void slab_malloc_core_report(int descriptor);

#pragma clang assume_nonnull end

#ifdef __cplusplus
}
#endif

#endif
