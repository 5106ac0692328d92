// SPDX-License-Identifier: Apache-2.0
// What the programs of the suite share: clocks, CPUs, an opaque sink, a random order. Each is preloaded with an allocator,
// and knows slab's own functions only weakly.
#define _GNU_SOURCE
#define SLAB_WEAK
#include <pthread.h>
#include <sched.h>
#include <slab.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static inline void *opaque(void *block) {
  __asm__ volatile("" : "+r"(block) : : "memory");
  return block;
}

static inline double nanoseconds(clockid_t clock) {
  struct timespec time;
  clock_gettime(clock, &time);
  return (double)time.tv_sec * 1e9 + (double)time.tv_nsec;
}

static inline void fail(const char *text) {
  fprintf(stderr, "%s\n", text);
  exit(1);
}

static inline void must(int holds, const char *text) {
  if (!holds) fail(text);
}

// The thread runs on the CPU of this number among those that the process may use, counted around.
static inline void pin(unsigned number, const cpu_set_t *allowed) {
  unsigned left = number % (unsigned)CPU_COUNT(allowed);
  for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
    if (CPU_ISSET(cpu, allowed) && left-- == 0) {
      cpu_set_t one;
      CPU_ZERO(&one);
      CPU_SET(cpu, &one);
      must(pthread_setaffinity_np(pthread_self(), sizeof one, &one) == 0, "the thread cannot be pinned");
      return;
    }
}

static inline uint64_t next_random(uint64_t *state) {
  *state = *state * 6364136223846793005u + 1442695040888963407u;
  return *state >> 33;
}

// The numbers below count in an order that is the same in each run.
static inline unsigned *shuffled(unsigned count) {
  unsigned *order = malloc(count * sizeof *order);
  must(order != NULL, "no memory for an order");
  uint64_t state = 20;
  for (unsigned index = 0; index < count; index++) order[index] = index;
  for (unsigned index = count; index > 1; index--) {
    unsigned other = (unsigned)(next_random(&state) % index), kept = order[index - 1];
    order[index - 1] = order[other];
    order[other] = kept;
  }
  return order;
}

static inline slab_group *new_group(size_t max) {
  slab_group *group = NULL;
  must(slab_group_create(slab_group_root(), NULL, max, &group) == SLAB_OK, "no group");
  return group;
}

// KiB that a line of a file of the kernel's says: "Rss: 12 kB".
static inline double kibibytes(const char *path, const char *key) {
  char line[256];
  double found = 0;
  FILE *file = fopen(path, "r");
  must(file != NULL, path);
  while (fgets(line, sizeof line, file) != NULL)
    if (strncmp(line, key, strlen(key)) == 0) found = strtod(line + strlen(key), NULL);
  fclose(file);
  return found;
}

static inline double resident_bytes(void) { return kibibytes("/proc/self/smaps_rollup", "Rss:") * 1024; }
