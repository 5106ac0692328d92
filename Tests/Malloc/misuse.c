// SPDX-License-Identifier: Apache-2.0
// Broken contracts, each of which ends the process with a line: misuse twice|inside|outside.
#include "check.h"

int main(int count, char **arguments) {
  enum { bytes = 1 << 20 };
  static char of_the_program[64] __attribute__((aligned(64)));
  CHECK(count == 2);
  // Its neighbours stay, so that what is freed first is a run of its own.
  char *before = opaque(malloc(bytes)), *block = opaque(malloc(bytes)), *behind = opaque(malloc(bytes));
  CHECK(before != NULL && block != NULL && behind != NULL);
  if (strcmp(arguments[1], "twice") == 0) {
    free(block);
    free(opaque(block));
  } else if (strcmp(arguments[1], "inside") == 0) {
    free(opaque(block + 65536));
  } else if (strcmp(arguments[1], "outside") == 0) {
    free(opaque(of_the_program));
  }
  return 0;
}
