// SPDX-License-Identifier: Apache-2.0
// Runs into the limit of addresses, of the allocator's group or of the system, with small blocks, large ones and
// grown ones: each refusal is NULL with ENOMEM, and afterwards there is room again.
#include <errno.h>
#include <malloc.h>

#include "check.h"

struct block {
  struct block *next;
};

static size_t fill_and_free(size_t size) {
  struct block *blocks = NULL;
  size_t count = 0;
  while (1) {
    errno = 0;
    struct block *block = malloc(size);
    if (block == NULL) break;
    memset(block, 0x5a, size);
    block->next = blocks;
    blocks = block;
    count++;
    CHECK(count * size < (size_t)1 << 32);
  }
  CHECK(errno == ENOMEM);
  // One that is in use stays whole when it cannot grow.
  if (blocks != NULL) CHECK(realloc(blocks, (size_t)1 << 60) == NULL && errno == ENOMEM);
  while (blocks != NULL) {
    struct block *next = blocks->next;
    free(blocks);
    blocks = next;
  }
  return count * size;
}

// fewest MOST: how many MiB there must be room for at each time, and at most.
int main(int count, char **arguments) {
  static const size_t sizes[] = {16, 100, 1000, 5000, 40000, 300000, 3 << 20};
  CHECK(count == 3);
  size_t least = strtoul(arguments[1], NULL, 10) << 20;
  size_t most = strtoul(arguments[2], NULL, 10) << 20;
  for (int turn = 0; turn < 2; turn++)
    for (size_t index = 0; index < sizeof sizes / sizeof sizes[0]; index++) {
      size_t bytes = fill_and_free(sizes[index]);
      if (bytes < least || bytes > most) {
        fprintf(stderr, "room for %zu KiB of %zu bytes\n", bytes >> 10, sizes[index]);
        return 1;
      }
    }
  return 0;
}
