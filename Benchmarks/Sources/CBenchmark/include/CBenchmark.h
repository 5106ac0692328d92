// SPDX-License-Identifier: Apache-2.0
// What Swift cannot say: an opaque sink, and the macros of sched.h.

#ifndef SLAB_BENCHMARK_H
#define SLAB_BENCHMARK_H

// Takes a pointer out of the optimiser's sight. Without it LLVM removes pairs of malloc and free,
// even when the memory is written.
static inline __attribute__((always_inline)) void bench_sink(const void *pointer) {
  __asm__ volatile("" : : "r"(pointer) : "memory");
}

// The compiler moves nothing over this.
static inline __attribute__((always_inline)) void bench_order(void) {
  __asm__ volatile("" : : : "memory");
}

// Callbacks that have run, counted by the one thread that runs them.
extern long bench_callbacks_ran;

static inline __attribute__((always_inline)) void bench_note_callback(void) {
  long ran = __atomic_load_n(&bench_callbacks_ran, __ATOMIC_RELAXED);
  __atomic_store_n(&bench_callbacks_ran, ran + 1, __ATOMIC_RELEASE);
}

static inline long bench_callbacks(void) {
  return __atomic_load_n(&bench_callbacks_ran, __ATOMIC_ACQUIRE);
}

// The CPUs that this thread may use, at most `most` of them; their number, or -1.
int bench_allowed_cpus(int *cpus, int most);

// Forks a child that ends at once: its id in the parent, or -1. Swift's overlay of the C library hides fork.
int bench_fork(void);

// Lets the calling thread run on one CPU only; -1 if the system refuses.
int bench_pin(int cpu);

#endif
