// SPDX-License-Identifier: Apache-2.0
// Blocks of 5 to 25 MiB, 20 of them live, each written.
#include "shape.h"

int main(int count, char **arguments) {
  enum { live = 20 };
  char *blocks[live] = {0};
  uint64_t state = 42;
  long steps = 4 * percent(count, arguments);
  for (long step = 0; step < steps; step++) {
    size_t place = next_random(&state) % live;
    size_t bytes = between(&state, 5 << 20, 25 << 20);
    // As an owner that is assigned: the old one lives until the new one is there.
    char *block = memset(block_of(bytes), 1, bytes);
    free(opaque(blocks[place]));
    blocks[place] = block;
  }
  for (int place = 0; place < live; place++) free(blocks[place]);
  return 0;
}
