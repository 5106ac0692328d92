// SPDX-License-Identifier: Apache-2.0
// Small blocks that one thread allocates and others free: an allocator that gives them out again to those threads
// makes these write into one cache line.
#include "shape.h"

struct work {
  char *given;
  long rounds;
};

static void *scratch(void *argument) {
  struct work *work = argument;
  free(work->given);
  for (long round = 0; round < work->rounds; round++) {
    volatile char *block = block_of(8);
    for (int time = 0; time < 1000; time++)
      for (int byte = 0; byte < 8; byte++) block[byte] = (char)(block[byte] + byte);
    free((void *)block);
  }
  return NULL;
}

int main(int count, char **arguments) {
  int threads = thread_count(count, arguments);
  struct work works[64];
  pthread_t started[64];
  for (int thread = 0; thread < threads; thread++)
    works[thread] = (struct work){.given = block_of(8), .rounds = 2000 * percent(count, arguments) / threads};
  for (int thread = 0; thread < threads; thread++) started[thread] = start(scratch, &works[thread]);
  for (int thread = 0; thread < threads; thread++) pthread_join(started[thread], NULL);
  return 0;
}
