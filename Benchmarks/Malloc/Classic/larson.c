// SPDX-License-Identifier: Apache-2.0
// A server's connections: a thread replaces blocks of a row, then ends and hands the row to a new thread. So most
// blocks are freed by another thread than the one that allocated them.
#include "shape.h"

enum { row = 5000, replaced = 50000 };
struct server {
  uint64_t state;
  char *blocks[row];
};

static void *serve(void *argument) {
  struct server *server = argument;
  for (int i = 0; i < replaced; i++) {
    size_t place = next_random(&server->state) % row;
    free(server->blocks[place]);
    size_t bytes = between(&server->state, 8, 1000);
    char *block = block_of(bytes);
    block[0] = block[bytes - 1] = 1;
    server->blocks[place] = block;
  }
  return NULL;
}

int main(int count, char **arguments) {
  int threads = thread_count(count, arguments);
  static struct server servers[64];
  for (int thread = 0; thread < threads; thread++) {
    servers[thread].state = (uint64_t)thread + 1;
    for (int i = 0; i < row; i++) servers[thread].blocks[i] = block_of(between(&servers[thread].state, 8, 1000));
  }
  long rounds = 2 * percent(count, arguments);
  for (long round = 0; round < rounds; round++) {
    pthread_t started[64];
    for (int thread = 0; thread < threads; thread++) started[thread] = start(serve, &servers[thread]);
    for (int thread = 0; thread < threads; thread++) pthread_join(started[thread], NULL);
  }
  return 0;
}
