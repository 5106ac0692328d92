// SPDX-License-Identifier: Apache-2.0
// Generations of threads that keep, free and exchange blocks by a shared row; a few of the blocks are very large.
#include "shape.h"

enum { shared = 1000 };
static void *exchanged[shared];

struct block {
  size_t words;
  uint64_t data[];
};

static struct block *make(size_t words, uint64_t *state) {
  uint32_t chance = next_random(state) % 10000;
  if (chance < 1) words *= 10000;
  else if (chance < 10) words *= 1000;
  else if (chance < 100) words *= 100;
  struct block *block = block_of(sizeof *block + words * 8);
  block->words = words;
  for (size_t i = 0; i < words; i++) block->data[i] = words - i;
  return block;
}

static void end(struct block *block) {
  if (block == NULL) return;
  for (size_t i = 0; i < block->words; i++) {
    if (block->data[i] != block->words - i) abort();
  }
  free(block);
}

static void *stress(void *argument) {
  uint64_t state = (uintptr_t)argument * 43 + 1;
  long left = 10000 + 5000 * ((long)(uintptr_t)argument % 4), keep = left / 2, kept = 0, top = 0, room = 0;
  struct block **retained = block_of((size_t)keep * sizeof *retained), **blocks = NULL;
  while (left > 0 || keep > 0) {
    if (keep == 0 || (left > 0 && next_random(&state) % 2)) {
      left--;
      if (top == room) {
        room += 10000;
        blocks = opaque(realloc(blocks, (size_t)room * sizeof *blocks));
        if (blocks == NULL) exit(1);
      }
      blocks[top++] = make((size_t)1 << next_random(&state) % 5, &state);
    } else {
      keep--;
      retained[kept++] = make((size_t)1 << next_random(&state) % 7, &state);
    }
    if (top > 0 && next_random(&state) % 3 != 0) {
      size_t place = next_random(&state) % (size_t)top;
      end(blocks[place]);
      blocks[place] = NULL;
    }
    if (top > 0 && next_random(&state) % 4 == 0) {
      size_t place = next_random(&state) % (size_t)top;
      blocks[place] = __atomic_exchange_n(&exchanged[next_random(&state) % shared], blocks[place], __ATOMIC_ACQ_REL);
    }
  }
  for (long i = 0; i < kept; i++) end(retained[i]);
  for (long i = 0; i < top; i++) end(blocks[i]);
  free(retained);
  free(blocks);
  return NULL;
}

int main(int count, char **arguments) {
  int threads = thread_count(count, arguments);
  uint64_t state = 5;
  long generations = percent(count, arguments);
  for (long generation = 0; generation < generations; generation++) {
    pthread_t started[64];
    for (int thread = 0; thread < threads; thread++)
      started[thread] = start(stress, (void *)(uintptr_t)(generation * threads + thread));
    for (int thread = 0; thread < threads; thread++) pthread_join(started[thread], NULL);
    for (int i = 0; i < shared; i++) {
      if (next_random(&state) % 2 && generation + 1 < generations) continue;
      end(exchanged[i]);
      exchanged[i] = NULL;
    }
  }
  return 0;
}
