// SPDX-License-Identifier: Apache-2.0
// A fence without membarrier: the calling thread runs on each CPU in turn.
//
// Where it runs, no other thread does: a thread that was in a sequence on that CPU is preempted, and its
// sequence restarted; and the scheduler's locks order what the caller stored before with what runs there
// afterwards. A thread that goes from one CPU to another is preempted as well. So every sequence that runs
// when the last CPU has been visited began after the caller's call.
//
// That needs all CPUs on which a thread of the process may run. Those that this thread is kept from (they
// are offline, or the cgroup has others) count only if no thread may run there, which procfs lists. A thread
// that is made meanwhile may run where its maker may.

#ifndef SLAB_VISIT_H
#define SLAB_VISIT_H

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "system_calls.h"

#ifdef __cplusplus
extern "C" {
#endif

struct slab_cpu_mask {
  unsigned char bits[4096];
};

// Whether no thread of the process may run on a CPU of the mask. 0, or -errno: -EXDEV if one may.
static inline intptr_t slab_check_unvisited(const struct slab_cpu_mask *unvisited) {
  struct slab_cpu_mask mask;
  uint64_t words[256];
  const char *entries = (const char *)words;
  intptr_t result = 0;
  int directory = open("/proc/self/task", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (directory < 0) return -(intptr_t)errno;
  while (result == 0) {
    long size = syscall(SYS_getdents64, directory, words, sizeof words);
    if (size <= 0) {
      if (size < 0) result = -(intptr_t)errno;
      break;
    }
    // Of each entry: its length at 16, its name, which is the thread's number, at 19.
    for (long at = 0; at < size && result == 0; at += *(const uint16_t *)(entries + at + 16)) {
      long thread = strtol(entries + at + 19, NULL, 10);
      if (thread <= 0) continue;
      long bytes = syscall(SYS_sched_getaffinity, thread, sizeof mask, &mask);
      if (bytes < 0 && errno != ESRCH) result = -(intptr_t)errno;
      for (long i = 0; i < bytes; i++)
        if (mask.bits[i] & unvisited->bits[i]) result = -EXDEV;
    }
  }
  close(directory);
  return result;
}

// Runs on each of the first `count` CPUs, and goes back to where it may run now. 0, or -errno: -EXDEV if
// another thread may run where this one may not, -EAGAIN if another thread moved it meanwhile.
static inline intptr_t slab_visit_processors(intptr_t count) {
  struct slab_cpu_mask before, one = {{0}}, unvisited = {{0}};
  int isWhole = 1;
  intptr_t result = 0;
  long size = syscall(SYS_sched_getaffinity, 0, sizeof before, &before);
  if (size < 0) return -(intptr_t)errno;
  if (count > 8 * size) count = 8 * size;
  for (intptr_t cpu = 0; cpu < count && result == 0; cpu++) {
    unsigned char bit = (unsigned char)(1u << cpu % 8);
    one.bits[cpu / 8] = bit;
    if (syscall(SYS_sched_setaffinity, 0, size, &one) == 0) {
      if (slab_getcpu() != cpu) result = -EAGAIN;
    } else if (errno == EINVAL) {
      unvisited.bits[cpu / 8] |= bit;
      isWhole = 0;
    } else {
      result = -(intptr_t)errno;
    }
    one.bits[cpu / 8] = 0;
  }
  syscall(SYS_sched_setaffinity, 0, size, &before);
  if (result == 0 && !isWhole) result = slab_check_unvisited(&unvisited);
  return result;
}

#ifdef __cplusplus
}
#endif

#endif
