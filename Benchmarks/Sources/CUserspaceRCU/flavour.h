// SPDX-License-Identifier: Apache-2.0
// One flavour's functions: BENCH(name) says their names, and urcu/map/ those of liburcu's.

#include <stdlib.h>

#include "CUserspaceRCU.h"

_Static_assert(sizeof(struct rcu_head) == bench_urcu_head_bytes, "the head is two words");

void BENCH(register)(void) { rcu_register_thread(); }
void BENCH(unregister)(void) { rcu_unregister_thread(); }

void BENCH(read)(long count) {
  for (long i = 0; i < count; i++) {
    rcu_read_lock();
    // Stands for what a section does: the compiler may move nothing over it.
    __asm__ volatile("" : : : "memory");
    rcu_read_unlock();
  }
}

void BENCH(synchronize)(void) { synchronize_rcu(); }
void BENCH(barrier)(void) { rcu_barrier(); }

// Written by the one thread that runs callbacks.
static long ran;

static void note_run(void) {
  __atomic_store_n(&ran, __atomic_load_n(&ran, __ATOMIC_RELAXED) + 1, __ATOMIC_RELEASE);
}

static void run_empty(struct rcu_head *head) {
  (void)head;
  note_run();
}

static void run_free(struct rcu_head *head) {
  free(head);
  note_run();
}

void BENCH(call_empty)(void *heads, long count) {
  for (long i = 0; i < count; i++) call_rcu((struct rcu_head *)heads + i, run_empty);
}

void BENCH(call_free)(long bytes, long count) {
  for (long i = 0; i < count; i++) {
    void *object = malloc(bytes);
    if (!object) abort();
    call_rcu(object, run_free);
  }
}

long BENCH(ran)(void) { return __atomic_load_n(&ran, __ATOMIC_ACQUIRE); }
