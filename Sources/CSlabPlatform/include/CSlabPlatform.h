// SPDX-License-Identifier: Apache-2.0
// Layer 0: what Swift cannot say. Header-only, so that every function is inlined into its caller.
//
//   system_calls.h  one function per system call, returning -errno instead of setting errno
//   thread.h        starting a detached worker thread, fork handlers, the environment
//   shared_heap.h   the heap of the shared allocator
//   reclaiming.h    whether the running thread reclaims memory
//   held_locks.h    which locks the running thread holds, in debug builds
//   visit.h         a fence where membarrier is refused
//   percpu.h        restartable sequences on per-CPU memory (x86-64 and AArch64)

#ifndef CSLABPLATFORM_H
#define CSLABPLATFORM_H

#include "held_locks.h"
#include "percpu.h"
#include "reclaiming.h"
#include "shared_heap.h"
#include "system_calls.h"
#include "thread.h"
#include "visit.h"

#endif
