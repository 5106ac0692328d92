// SPDX-License-Identifier: Apache-2.0
// One half of the threads allocates blocks of 64 bytes, the other frees them, in batches through a bounded queue.
#include "shape.h"

enum { in_batch = 4096, most = 100 };
struct batch {
  struct batch *next;
  void *blocks[in_batch];
};
static struct batch *queue;
static int queued, producers;
static long batches;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t has_room = PTHREAD_COND_INITIALIZER, has_batch = PTHREAD_COND_INITIALIZER;

static void *produce(void *argument) {
  (void)argument;
  for (long left = batches; left > 0; left--) {
    struct batch *batch = block_of(sizeof *batch);
    for (int i = 0; i < in_batch; i++) batch->blocks[i] = memset(block_of(64), i, 64);
    pthread_mutex_lock(&lock);
    while (queued == most) pthread_cond_wait(&has_room, &lock);
    batch->next = queue;
    queue = batch;
    queued++;
    pthread_cond_signal(&has_batch);
    pthread_mutex_unlock(&lock);
  }
  pthread_mutex_lock(&lock);
  producers--;
  pthread_cond_broadcast(&has_batch);
  pthread_mutex_unlock(&lock);
  return NULL;
}

static void *consume(void *argument) {
  (void)argument;
  while (1) {
    pthread_mutex_lock(&lock);
    while (queue == NULL && producers > 0) pthread_cond_wait(&has_batch, &lock);
    struct batch *batch = queue;
    if (batch != NULL) {
      queue = batch->next;
      queued--;
      pthread_cond_signal(&has_room);
    }
    pthread_mutex_unlock(&lock);
    if (batch == NULL) return NULL;
    for (int i = 0; i < in_batch; i++) free(batch->blocks[i]);
    free(batch);
  }
}

int main(int count, char **arguments) {
  int threads = thread_count(count, arguments);
  batches = 50 * percent(count, arguments) / threads;
  producers = threads;
  pthread_t started[2 * 64];
  for (int thread = 0; thread < threads; thread++) {
    started[2 * thread] = start(produce, NULL);
    started[2 * thread + 1] = start(consume, NULL);
  }
  for (int thread = 0; thread < 2 * threads; thread++) pthread_join(started[thread], NULL);
  return 0;
}
