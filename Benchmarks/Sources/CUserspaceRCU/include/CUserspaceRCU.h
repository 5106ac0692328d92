// SPDX-License-Identifier: Apache-2.0
// liburcu beside our reader grace periods: its flavours `memb` (threads register; membarrier on the
// waiting side) and `bp` (threads need not register).
//
// The loops are C's, so that the read side is liburcu's inline one, as in a C program that uses it.
// Without the trait `urcu` these functions are not there, and nothing needs the library.

#ifndef SLAB_USERSPACE_RCU_H
#define SLAB_USERSPACE_RCU_H

// Two words, as ours: what a callback needs in its object.
enum { bench_urcu_head_bytes = 16 };

#define BENCH_URCU_FLAVOUR(flavour)                                                              \
  /* The calling thread will read or call; and will not any more. */                             \
  void bench_##flavour##_register(void);                                                         \
  void bench_##flavour##_unregister(void);                                                       \
  /* Begins and ends `count` read-side sections. */                                              \
  void bench_##flavour##_read(long count);                                                       \
  void bench_##flavour##_synchronize(void);                                                      \
  void bench_##flavour##_barrier(void);                                                          \
  /* Queues a callback that does nothing on each head of an array. */                            \
  void bench_##flavour##_call_empty(void *heads, long count);                                    \
  /* `count` times: malloc of an object, and a callback that frees it. */                        \
  void bench_##flavour##_call_free(long bytes, long count);                                      \
  /* Callbacks that have run. */                                                                 \
  long bench_##flavour##_ran(void);

BENCH_URCU_FLAVOUR(memb)
BENCH_URCU_FLAVOUR(bp)

#endif
