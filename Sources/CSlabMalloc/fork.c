// SPDX-License-Identifier: Apache-2.0
// The allocator's own handlers of a fork take all its locks before it and release them after it, in both processes.
// Handlers of other libraries run before and after them, and any may allocate and free. Those that run in between
// would wait for a lock that their own thread holds. So the thread says that it is in between: what the fast path has
// not got comes from early.c, and what it cannot free is freed afterwards.
//
// This pair is registered after the allocator's: so its first half runs before, and its second half after.
#define _GNU_SOURCE
#include "front.h"

#include <errno.h>
#include <pthread.h>

SLAB_STATIC_THREAD_LOCAL int slab_malloc_is_forking;

// Of the thread that is barred: the blocks, each with the address of the next in its first word.
static SLAB_STATIC_THREAD_LOCAL void *freed_meanwhile;

void slab_malloc_free_later(void *block) {
  *(void **)block = freed_meanwhile;
  freed_meanwhile = block;
}

void slab_malloc_free_what_waits(void) {
  while (freed_meanwhile != NULL && !slab_malloc_is_barred()) {
    void *block = freed_meanwhile;
    freed_meanwhile = *(void **)block;
    slab_malloc_core_free((uintptr_t)block);
  }
}

static void begin(void) { slab_malloc_is_forking = 1; }

static void end(void) {
  slab_malloc_is_forking = 0;
  int before = errno;
  slab_malloc_free_what_waits();
  slab_malloc_core_work();
  errno = before;
}

void slab_malloc_register_fork_handlers(void) {
  // Without memory for the handlers, those of others must not allocate.
  (void)pthread_atfork(begin, end, end);
}
