// SPDX-License-Identifier: Apache-2.0
// One thread, many live blocks, of which small ones are many and large ones few; a random one is replaced, written
// and read.
#include "shape.h"

enum { live = 1 << 17 };

int main(int count, char **arguments) {
  static struct {
    char *block;
    size_t bytes;
  } blocks[live];
  uint64_t state = 11, sum = 0;
  long steps = 80000 * percent(count, arguments);
  for (long step = 0; step < steps; step++) {
    size_t place = next_random(&state) % live;
    if (blocks[place].block != NULL) {
      sum += (uint64_t)blocks[place].block[blocks[place].bytes / 2];
      free(blocks[place].block);
      blocks[place].block = NULL;
    } else {
      size_t bytes = skewed(&state, 4, 10);
      blocks[place].block = memset(block_of(bytes), (int)step, bytes);
      blocks[place].bytes = bytes;
    }
  }
  for (size_t place = 0; place < live; place++) free(blocks[place].block);
  printf("%lu\n", sum);
  return 0;
}
