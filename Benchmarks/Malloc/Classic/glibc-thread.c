// SPDX-License-Identifier: Apache-2.0
// Threads that share nothing: each replaces blocks of a small row, sizes from 4 bytes to 32 KiB, small ones by far
// the most.
#include "shape.h"

enum { row = 1024 };
static long replaced;

static void *replace(void *argument) {
  uint64_t state = (uintptr_t)argument + 1;
  char **blocks = calloc(row, sizeof *blocks);
  if (blocks == NULL) exit(1);
  for (long i = 0; i < replaced; i++) {
    size_t place = next_random(&state) % row;
    free(blocks[place]);
    size_t bytes = skewed(&state, 2, 14);
    blocks[place] = memset(block_of(bytes), (int)i, bytes);
  }
  for (int i = 0; i < row; i++) free(blocks[i]);
  free(blocks);
  return NULL;
}

int main(int count, char **arguments) {
  int threads = thread_count(count, arguments);
  replaced = 200000 * percent(count, arguments) / threads;
  pthread_t started[64];
  for (int thread = 0; thread < threads; thread++) started[thread] = start(replace, (void *)(uintptr_t)thread);
  for (int thread = 0; thread < threads; thread++) pthread_join(started[thread], NULL);
  return 0;
}
