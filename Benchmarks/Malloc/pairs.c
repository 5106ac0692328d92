// SPDX-License-Identifier: Apache-2.0
// Pairs of malloc and free by whatever allocator the program runs with: nanoseconds of user and system time for each,
// by size. A row of blocks is live meanwhile, so that the pair is not always of the same block. docs/malloc.md has
// the figures and the command.
#define _GNU_SOURCE
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

static double seconds(void) {
  struct rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
         (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

static inline void *opaque(void *block) {
  __asm__ volatile("" : "+r"(block) : : "memory");
  return block;
}

enum { live = 64 };

// pairs [MILLIONS]
int main(int count, char **arguments) {
  static const size_t sizes[] = {16, 32, 64, 128, 256, 512, 1024};
  long pairs = (count > 1 ? strtol(arguments[1], NULL, 10) : 20) * 1000000;
  char *blocks[live];
  for (size_t index = 0; index < sizeof sizes / sizeof sizes[0]; index++) {
    size_t size = sizes[index];
    for (int at = 0; at < live; at++) blocks[at] = opaque(malloc(size));
    double start = seconds();
    for (long pair = 0; pair < pairs; pair++) {
      free(blocks[pair % live]);
      blocks[pair % live] = opaque(malloc(size));
      blocks[pair % live][0] = 1;
    }
    double end = seconds();
    for (int at = 0; at < live; at++) free(blocks[at]);
    printf("%zu %.2f\n", size, (end - start) / (double)pairs * 1e9);
  }
  return 0;
}
