// SPDX-License-Identifier: Apache-2.0
// What the running thread is in the middle of, as far as it changes what an operation does.

#ifndef SLAB_RECLAIMING_H
#define SLAB_RECLAIMING_H

#ifdef __cplusplus
extern "C" {
#endif

// Of each thread from its start, wherever the library is loaded: its first use allocates nothing, as that of a
// thread-local does that a loaded library gets in pieces.
#define SLAB_STATIC_THREAD_LOCAL _Thread_local __attribute__((tls_model("initial-exec")))

// A reclaim (the kernel's PF_MEMALLOC): what is allocated there must not reclaim again.
extern SLAB_STATIC_THREAD_LOCAL int slab_reclaiming;

static inline int slab_is_reclaiming(void) { return slab_reclaiming; }
static inline void slab_set_reclaiming(int is_reclaiming) { slab_reclaiming = is_reclaiming; }

// An allocation that its caller can do without (the kernel's __GFP_NORETRY): a limit refuses it without a
// reclaim and without an event.
extern SLAB_STATIC_THREAD_LOCAL int slab_dispensable;

static inline int slab_is_dispensable(void) { return slab_dispensable; }
static inline void slab_set_dispensable(int is_dispensable) { slab_dispensable = is_dispensable; }

// Things that the thread has in hand, which fork waits for: see Base/ForkGate.swift.
extern SLAB_STATIC_THREAD_LOCAL int slab_in_hand;

static inline int slab_things_in_hand(void) { return slab_in_hand; }
static inline void slab_add_in_hand(int count) { slab_in_hand += count; }

#ifdef __cplusplus
}
#endif

#endif
