// SPDX-License-Identifier: Apache-2.0
// What percpu_check.c checks with: the region of the CPUs, and the numbered objects, each of which says whether a thread
// has it.

#define _GNU_SOURCE
#include "percpu.h"

#include <errno.h>
#include <linux/membarrier.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

enum {
  worker_count = 12,
  sheaf_count = 4,
  object_count = 600,
  held_most = 64,  // by one worker
  batch_most = 24,
  owner_pool = 1000,
  owner_drain = 1001,
};

enum kind { kind_pop, kind_push, kind_pop_batch, kind_push_batch, kind_add, kind_begin, kind_count };
static const char *const kind_names[kind_count] = {"pop",        "push", "pop_batch",
                                                   "push_batch", "add",  "begin"};

static const size_t capacities[sheaf_count] = {7, 31, 31, 135};

struct object {
  uint64_t owner;  // 0 while it is in a sheaf
  uint64_t reserved[7];
};

struct worker {
  pthread_t thread;
  uint64_t random;
  int number;  // its objects' owner
  int32_t id;  // of the thread, for signals
  size_t held_count;
  uintptr_t held[held_most];
  uint64_t tries[kind_count];
  uint64_t restarts[kind_count];
  int64_t added;
  int64_t begun[2];
};

static int cpu_count;
static uintptr_t base;  // the slot of CPU 0
static uint64_t words[sheaf_count] __attribute__((aligned(64)));
static uint64_t counter_word __attribute__((aligned(64)));
static struct object objects[object_count] __attribute__((aligned(64)));
static struct worker workers[worker_count];
static pthread_mutex_t pool_lock = PTHREAD_MUTEX_INITIALIZER;
static uintptr_t pool[object_count];
static size_t pool_count;
static int is_over;
static uint64_t fences, drained, signals_sent;

static void finish(int status) {
  fflush(stdout);
  _exit(status);
}

static void failed(const char *format, ...) {
  static pthread_mutex_t once = PTHREAD_MUTEX_INITIALIZER;
  va_list arguments;
  pthread_mutex_lock(&once);
  printf("percpu_check: FAILED: ");
  va_start(arguments, format);
  vprintf(format, arguments);
  va_end(arguments);
  printf("\n");
  finish(1);
}

static void expect(int holds, const char *what) {
  if (!holds) failed("%s", what);
}

static uint64_t next_random(uint64_t *state) {
  uint64_t value = *state += 0x9E3779B97F4A7C15u;
  value = (value ^ value >> 30) * 0xBF58476D1CE4E5B9u;
  value = (value ^ value >> 27) * 0x94D049BB133111EBu;
  return value ^ value >> 31;
}

static uint64_t milliseconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

// MARK: places

static uintptr_t on_cpu(uintptr_t first, int cpu) {
  return first + ((uintptr_t)cpu << slab_percpu_stride_shift);
}
static uintptr_t sheaf_first(int sheaf) { return base + ((uintptr_t)8 << 20) + 0x740 + 0x1100u * sheaf; }
static uint64_t sheaf_word(int sheaf) {
  return (uint64_t)sheaf_first(sheaf) << 16 | capacities[sheaf] * 8;
}
// 0 is added to, 1 and 2 take turns in the counter word.
static uintptr_t counter_first(int counter) { return base + 64 + 64u * counter; }

static int64_t counter_sum(int counter) {
  // Below CPU 0's copy stands the one that restarted additions go to.
  int64_t sum = 0;
  for (int cpu = -1; cpu < cpu_count; cpu++)
    sum += __atomic_load_n((int64_t *)on_cpu(counter_first(counter), cpu), __ATOMIC_ACQUIRE);
  return sum;
}

static void make_region(void) {
  cpu_set_t allowed;
  sched_getaffinity(0, sizeof allowed, &allowed);
  for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
    if (CPU_ISSET(cpu, &allowed)) cpu_count = cpu + 1;
  size_t stride = (size_t)1 << slab_percpu_stride_shift;
  void *region = mmap(NULL, stride * (size_t)(cpu_count + 1), PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  expect(region != MAP_FAILED, "mmap");
  base = (uintptr_t)region + stride;
}

// MARK: objects

static void take(uintptr_t object, uint64_t from, uint64_t owner) {
  uint64_t found = __atomic_exchange_n(&((struct object *)object)->owner, owner, __ATOMIC_ACQ_REL);
  if (found != from)
    failed("object %ld: expected with %llu, found with %llu, taken by %llu",
           (long)((struct object *)object - objects), (unsigned long long)from,
           (unsigned long long)found, (unsigned long long)owner);
}

static void give_to_pool(uintptr_t object, uint64_t owner) {
  take(object, owner, owner_pool);
  pthread_mutex_lock(&pool_lock);
  expect(pool_count < object_count, "the pool is too full");
  pool[pool_count++] = object;
  pthread_mutex_unlock(&pool_lock);
}

static uintptr_t take_from_pool(uint64_t owner) {
  uintptr_t object = 0;
  pthread_mutex_lock(&pool_lock);
  if (pool_count > 0) object = pool[--pool_count];
  pthread_mutex_unlock(&pool_lock);
  if (object != 0) take(object, owner_pool, owner);
  return object;
}
