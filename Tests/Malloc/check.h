// SPDX-License-Identifier: Apache-2.0
// For the programs here.

#ifndef MALLOC_CHECK_H
#define MALLOC_CHECK_H

#include "../CLibrary/check.h"

#include <stdint.h>
#include <string.h>

// So that the compiler knows nothing of a block: else it leaves out what comes to nothing.
static inline void *opaque(void *block) {
  __asm__ volatile("" : "+r"(block) : : "memory");
  return block;
}

// Repeatable numbers, a row for each thread.
static inline uint64_t next_random(uint64_t *state) {
  *state = *state * 6364136223846793005u + 1442695040888963407u;
  return *state >> 33;
}

#endif
