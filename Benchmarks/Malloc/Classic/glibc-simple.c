// SPDX-License-Identifier: Apache-2.0
// One thread: rows of blocks of one size, written, one half freed in the order of their allocation, the other in
// the opposite one.
#include "shape.h"

int main(int count, char **arguments) {
  static char *blocks[1600];
  static const int rows[] = {25, 100, 400, 1600};
  long blocks_each = 40000 * percent(count, arguments);
  for (size_t bytes = 16; bytes <= 64; bytes *= 2) {
    for (int kind = 0; kind < 4; kind++) {
      int row = rows[kind];
      for (long round = 0; round < blocks_each / row; round++) {
        for (int i = 0; i < row; i++) {
          blocks[i] = block_of(bytes);
          for (size_t byte = 0; byte < bytes; byte += 8) blocks[i][byte] = (char)byte;
        }
        for (int i = 0; i < row / 2; i++) free(blocks[i]);
        for (int i = row - 1; i >= row / 2; i--) free(blocks[i]);
      }
    }
  }
  return 0;
}
