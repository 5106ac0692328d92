// SPDX-License-Identifier: Apache-2.0
// Threads with rows of blocks of 8 to 16,000 bytes; what one has allocated is in part freed by the next, and rows
// are freed as a whole now and then.
#include "shape.h"

enum { row = 1000, given = 200 };
static long loops;

// A hand-over of one row at a time between neighbours.
static void **handed[64];

struct worker {
  int number, threads;
};

static void *work(void *argument) {
  struct worker *worker = argument;
  uint64_t state = (uint64_t)worker->number + 1;
  static _Thread_local void *blocks[row];
  memset(blocks, 0, sizeof blocks);
  for (long loop = 0; loop < loops; loop++) {
    for (int i = 0; i < row / 2; i++) {
      size_t place = next_random(&state) % row;
      free(blocks[place]);
      // Linear, as the test's own default is.
      size_t bytes = between(&state, 8, 16000) >> next_random(&state) % 6;
      if (bytes < 8) bytes = 8;
      char *block = block_of(bytes);
      block[0] = block[bytes - 1] = 1;
      blocks[place] = block;
    }
    void **gift = block_of(given * sizeof *gift);
    for (int i = 0; i < given; i++) gift[i] = block_of(between(&state, 8, 2000));
    int next = (worker->number + 1) % worker->threads;
    void **old = __atomic_exchange_n(&handed[next], gift, __ATOMIC_ACQ_REL);
    void **mine = __atomic_exchange_n(&handed[worker->number], NULL, __ATOMIC_ACQ_REL);
    for (int i = 0; old != NULL && i < given; i++) free(old[i]);
    free(old);
    for (int i = 0; mine != NULL && i < given; i++) free(mine[i]);
    free(mine);
    if (loop % 100 == 99) {
      for (int i = 0; i < row; i++) free(blocks[i]);
      memset(blocks, 0, sizeof blocks);
    }
  }
  for (int i = 0; i < row; i++) free(blocks[i]);
  return NULL;
}

int main(int count, char **arguments) {
  int threads = thread_count(count, arguments);
  loops = 120 * percent(count, arguments) / threads;
  struct worker workers[64];
  pthread_t started[64];
  for (int thread = 0; thread < threads; thread++) {
    workers[thread] = (struct worker){.number = thread, .threads = threads};
    started[thread] = start(work, &workers[thread]);
  }
  for (int thread = 0; thread < threads; thread++) pthread_join(started[thread], NULL);
  for (int thread = 0; thread < threads; thread++) {
    for (int i = 0; handed[thread] != NULL && i < given; i++) free(handed[thread][i]);
    free(handed[thread]);
  }
  return 0;
}
