// SPDX-License-Identifier: Apache-2.0
// Making the allocator, once: at the library's own start, which comes before those of all others, or with the first
// block that is asked for once there is an environment to read. Until then, and for the thread that makes it, and for
// other threads meanwhile, blocks come from early.c.
#define _GNU_SOURCE
#include "front.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

extern char **environ;

int slab_malloc_is_ready;
static atomic_int is_starting;

// In a Swift program, a debug build of the allocator asks the language's runtime for types, which knows none before its
// own start: so it waits for that of the program, which comes after those of its libraries.
#if defined(DEBUG) && !defined(SLAB_MALLOC_PRELOADED)
static int may_start;
#else
static int may_start = 1;
#endif

int slab_malloc_start(void) {
  int expected = 0;
  if (environ == NULL || !may_start) return 0;
  if (!atomic_compare_exchange_strong(&is_starting, &expected, 1)) return 0;
  int error = slab_malloc_core_start(slab_malloc_read_max());
  if (error != 0) slab_malloc_fail("the allocator cannot be made", strerrorname_np(error));
  slab_malloc_register_fork_handlers();
  // Releasing: a thread that sees it finds the classes and the process's children filled.
  __atomic_store_n(&slab_malloc_is_ready, 1, __ATOMIC_RELEASE);
  return 1;
}

// Where the library is preloaded it is the first of all that begins, before the C library has its environment.
__attribute__((constructor)) static void begin(int count, char **arguments, char **environment) {
  (void)count;
  (void)arguments;
  if (environ == NULL) environ = environment;
  may_start = 1;
  if (!slab_malloc_is_ready) slab_malloc_start();
  slab_malloc_prepare_report();
}
