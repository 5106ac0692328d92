// SPDX-License-Identifier: Apache-2.0
// Threads that allocate, and free what others have allocated; threads that come and go, with blocks that are freed,
// and asked for their size, in the last destructor that runs for a thread.
#define _GNU_SOURCE
#include <malloc.h>
#include <pthread.h>
#include <stdatomic.h>

#include "check.h"

enum { threads = 8, places = 512, turns = 200000, short_threads = 300 };

static _Atomic(unsigned char *) shared[places];

// Its first byte says of what all are.
static unsigned char *make(uint64_t *random) {
  size_t size = 1 + next_random(random) % (next_random(random) % 100 == 0 ? 100000u : 1200u);
  unsigned char *block = opaque(next_random(random) % 4 == 0 ? calloc(1, size) : malloc(size));
  CHECK(block != NULL);
  memset(block, (int)(1 + size % 200), size);
  if (size >= 9) memcpy(block + 1, &size, sizeof size);
  return block;
}

static void end(unsigned char *block) {
  size_t size;
  if (malloc_usable_size(block) >= 9 && block[0] != 0) {
    memcpy(&size, block + 1, sizeof size);
    // Of 9 bytes and more: the last one is as the first one.
    if (size >= 10 && size <= malloc_usable_size(block) && 1 + size % 200 == block[0])
      CHECK(block[size - 1] == block[0]);
  }
  free(block);
}

static void *work(void *argument) {
  uint64_t random = (uint64_t)(uintptr_t)argument;
  for (int turn = 0; turn < turns; turn++) {
    unsigned char *block = make(&random);
    block = atomic_exchange(&shared[next_random(&random) % places], block);
    if (block != NULL) end(block);
  }
  return NULL;
}

static pthread_key_t key;
static atomic_int destroyed;

// Set again as long as the C library calls it: so the last call is the last that there is for a thread.
static void destroy(void *block) {
  void *other = opaque(malloc(33));
  CHECK(malloc_usable_size(block) >= 33);
  free(block);
  atomic_fetch_add(&destroyed, 1);
  pthread_setspecific(key, other);
}

static void *live_shortly(void *argument) {
  (void)argument;
  pthread_setspecific(key, malloc(33));
  return opaque(malloc(2000));
}

int main(void) {
  pthread_t all[threads];
  for (uintptr_t index = 0; index < threads; index++)
    CHECK(pthread_create(&all[index], NULL, work, (void *)(index + 1)) == 0);
  for (int index = 0; index < threads; index++) pthread_join(all[index], NULL);
  for (int index = 0; index < places; index++) free(shared[index]);
  CHECK(pthread_key_create(&key, destroy) == 0);
  for (int index = 0; index < short_threads; index++) {
    void *block;
    CHECK(pthread_create(&all[0], NULL, live_shortly, NULL) == 0);
    pthread_join(all[0], &block);
    free(block);
  }
  CHECK(atomic_load(&destroyed) >= short_threads);
  return 0;
}
