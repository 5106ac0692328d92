// SPDX-License-Identifier: Apache-2.0
// For the programs here. Each has the shape of a well-known benchmark of allocators: the sizes, the lives of blocks
// and the threads, in a loop of our own that does a certain amount of work. The first argument is how many parts of
// the whole amount, in percent; the second, where threads matter, how many.
#ifndef SHAPE_H
#define SHAPE_H

#define _GNU_SOURCE
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// So that the compiler knows nothing of a block: else it leaves out what comes to nothing.
static inline void *opaque(void *block) {
  __asm__ volatile("" : "+r"(block) : : "memory");
  return block;
}

// A block, or the end of the program.
static inline void *block_of(size_t bytes) {
  void *block = opaque(malloc(bytes));
  if (block == NULL) {
    fprintf(stderr, "no memory\n");
    exit(1);
  }
  return block;
}

// Repeatable numbers, a row for each thread: a multiplier of Knuth's, mixed once.
static inline uint32_t next_random(uint64_t *state) {
  *state = *state * 6364136223846793005u + 1442695040888963407u;
  return (uint32_t)((*state ^ (*state >> 22)) >> 29);
}

static inline size_t between(uint64_t *state, size_t low, size_t high) {
  return low + next_random(state) % (high - low + 1);
}

// The size of a block of which small ones are many and large ones few: each doubling half as often.
static inline size_t skewed(uint64_t *state, int low_shift, int high_shift) {
  int shift = low_shift + __builtin_ctz(next_random(state) | 1u << (high_shift - low_shift));
  return ((size_t)1 << shift) + next_random(state) % ((size_t)1 << shift);
}

static inline long percent(int count, char **arguments) { return count > 1 ? strtol(arguments[1], NULL, 10) : 100; }
static inline int thread_count(int count, char **arguments) {
  int threads = count > 2 ? (int)strtol(arguments[2], NULL, 10) : 2;
  return threads < 1 ? 1 : threads > 64 ? 64 : threads;
}

static inline pthread_t start(void *(*body)(void *), void *argument) {
  pthread_t thread;
  if (pthread_create(&thread, NULL, body, argument) != 0) exit(1);
  return thread;
}

#endif
