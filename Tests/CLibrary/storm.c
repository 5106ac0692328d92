// SPDX-License-Identifier: Apache-2.0
// Threads, more than there are CPUs, allocate and free in groups that end meanwhile; signals arrive. Each block
// holds a mark of its owner from the first byte to the last: one that two threads have is seen. In the end nothing is
// charged, and the groups are gone.
//
//   storm SECONDS SEED
#define _GNU_SOURCE
#include "check.h"

#include <pthread.h>
#include <signal.h>
#include <slab.h>
#include <string.h>
#include <time.h>

enum { thread_count = 8, held_most = 64, handed_count = 32 };

struct worker {
  pthread_t thread;
  uint64_t random;
  unsigned char mark;
  uint64_t allocated, refused;
};

struct block {
  unsigned char *bytes;
  size_t size;
  unsigned char mark;
};

static slab_cache *cache;
static struct worker workers[thread_count];
static int is_over;
// Blocks that are freed by another thread than the one that allocated them.
static pthread_mutex_t handed_lock = PTHREAD_MUTEX_INITIALIZER;
static struct block handed[handed_count];

static uint64_t next_random(uint64_t *state) {
  uint64_t value = *state += 0x9E3779B97F4A7C15u;
  value = (value ^ value >> 30) * 0xBF58476D1CE4E5B9u;
  value = (value ^ value >> 27) * 0x94D049BB133111EBu;
  return value ^ value >> 31;
}

static size_t one_of(struct worker *self, size_t count) {
  return (size_t)(next_random(&self->random) % count);
}

static struct block allocate(struct worker *self, slab_group *group) {
  struct block block = {NULL, 64, self->mark};
  slab_error error = SLAB_OK;
  if (one_of(self, 2) == 0) {
    block.bytes = slab_cache_allocate(cache, group, &error);
  } else {
    block.size = 1 + one_of(self, one_of(self, 16) == 0 ? 20000 : 500);
    block.bytes = slab_allocate(group, block.size, &error);
  }
  if (block.bytes == NULL) {
    CHECK(error == SLAB_LIMIT_REACHED || error == SLAB_GROUP_OFFLINE);
    self->refused++;
  } else {
    memset(block.bytes, block.mark, block.size);
    self->allocated++;
  }
  return block;
}

static void check_and_free(struct block block) {
  if (block.bytes == NULL) return;
  for (size_t index = 0; index < block.size; index++) CHECK(block.bytes[index] == block.mark);
  memset(block.bytes, 0, block.size);
  slab_free(block.bytes);
}

static struct block exchange(struct worker *self, struct block block) {
  struct block *place = &handed[one_of(self, handed_count)];
  pthread_mutex_lock(&handed_lock);
  struct block found = *place;
  *place = block;
  pthread_mutex_unlock(&handed_lock);
  return found;
}

// The life of one group, which ends while blocks of it are in other hands.
static void use_group(struct worker *self) {
  slab_group *group = NULL;
  struct block held[held_most] = {{NULL, 0, 0}};
  size_t max = one_of(self, 4) == 0 ? 64 << 10 : SLAB_NO_LIMIT;
  CHECK(slab_group_create(slab_group_root(), NULL, max, &group) == SLAB_OK);
  for (size_t step = 50 + one_of(self, 500); step > 0; step--) {
    struct block *place = &held[one_of(self, held_most)];
    switch (one_of(self, 8)) {
      case 0:
        *place = exchange(self, *place);
        break;
      case 1:
        if (one_of(self, 64) == 0) slab_group_reclaim(group, SIZE_MAX);
        break;
      case 2: {
        slab_section section = slab_read_begin();
        slab_read_end(section);
        break;
      }
      default:
        check_and_free(*place);
        *place = allocate(self, group);
    }
  }
  if (one_of(self, 2) == 0) slab_group_close(group);
  for (size_t index = 0; index < held_most; index++) check_and_free(held[index]);
  slab_group_drop(group);
}

static void *work(void *argument) {
  while (!__atomic_load_n(&is_over, __ATOMIC_RELAXED)) use_group(argument);
  return NULL;
}

static void no_action(int number) { (void)number; }

int main(int count, char **arguments) {
  time_t seconds = count > 1 ? strtol(arguments[1], NULL, 10) : 1;
  uint64_t seed = count > 2 ? strtoull(arguments[2], NULL, 10) : (uint64_t)time(NULL);
  uint64_t random = ~seed, allocated = 0, refused = 0;
  struct timespec start, now, pause = {0, 1000000};
  struct sigaction action = {.sa_handler = no_action, .sa_flags = SA_RESTART};
  printf("storm: seed %llu\n", (unsigned long long)seed);
  fflush(stdout);
  sigaction(SIGUSR1, &action, NULL);
  CHECK(slab_cache_create("storm", 64, 8, 0, NULL, &cache) == SLAB_OK);
  for (int index = 0; index < thread_count; index++) {
    workers[index].mark = (unsigned char)(index + 1);
    workers[index].random = seed + (uint64_t)index * 0x1234567;
    CHECK(pthread_create(&workers[index].thread, NULL, work, &workers[index]) == 0);
  }
  clock_gettime(CLOCK_MONOTONIC, &start);
  do {
    nanosleep(&pause, NULL);
    pthread_kill(workers[next_random(&random) % thread_count].thread, SIGUSR1);
    clock_gettime(CLOCK_MONOTONIC, &now);
  } while (now.tv_sec - start.tv_sec < seconds);
  __atomic_store_n(&is_over, 1, __ATOMIC_RELAXED);
  for (int index = 0; index < thread_count; index++) {
    pthread_join(workers[index].thread, NULL);
    allocated += workers[index].allocated;
    refused += workers[index].refused;
  }
  for (int index = 0; index < handed_count; index++) check_and_free(handed[index]);
  slab_wait_until_idle();
  CHECK(slab_cache_destroy(cache) == SLAB_OK);
  slab_wait_until_idle();
  CHECK(slab_group_statistics(slab_group_root()).objects == 0);
  CHECK(slab_group_statistics(slab_group_root()).below == 0);
  printf("storm: ok, %llu allocated, %llu refused\n", (unsigned long long)allocated,
         (unsigned long long)refused);
}
