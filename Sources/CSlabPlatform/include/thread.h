// SPDX-License-Identifier: Apache-2.0
// Threads of the allocator's own, the process's life, and the environment.

#ifndef SLAB_THREAD_H
#define SLAB_THREAD_H

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

// Bytes of thread-local variables of the libraries that are loaded: the C library takes them out of each
// thread's stack.
size_t slab_thread_local_bytes(void);

// What a thread of the process has for its own use, and at least 8 MiB: users' code runs there. Addresses
// only; memory is touched page by page.
static inline size_t slab_thread_stack_bytes(const pthread_attr_t *attributes) {
  size_t bytes = 0;
  size_t least = (size_t)8 << 20;
  if (pthread_attr_getstacksize(attributes, &bytes) != 0 || bytes < least) bytes = least;
  return bytes + ((slab_thread_local_bytes() + 0xffff) & ~(size_t)0xffff);
}

// Starts a detached thread that gets none of the signals that are sent to the process: their handlers may
// allocate, and it may hold the allocator's locks. Those that its own code causes arrive, so that a trap
// ends the process with whatever report there is.
static inline intptr_t slab_thread_start(void *(*entry)(void *), void *argument) {
  static const int synchronous[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT, SIGSYS};
  pthread_attr_t attributes;
  pthread_t thread;
  sigset_t all, before;
  int error = pthread_attr_init(&attributes);
  if (error != 0) return -(intptr_t)error;
  pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  pthread_attr_setstacksize(&attributes, slab_thread_stack_bytes(&attributes));
  sigfillset(&all);
  for (size_t index = 0; index < sizeof(synchronous) / sizeof(synchronous[0]); index += 1)
    sigdelset(&all, synchronous[index]);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  error = pthread_create(&thread, &attributes, entry, argument);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  pthread_attr_destroy(&attributes);
  return -(intptr_t)error;
}

// Sees to it that the shared library that this is linked into stays loaded, whatever is closed: a
// thread's registration keeps the address of its last sequence's descriptor, which the kernel reads at
// the thread's next preemption. 1: it will stay. 0: this is the program itself, or there is no loader.
// The library is the one that calls, though another copy may be loaded: hence hidden.
__attribute__((visibility("hidden"))) int slab_pin_library(void);

static inline intptr_t slab_at_fork(void (*prepare)(void), void (*parent)(void),
                                    void (*child)(void)) {
  return -(intptr_t)pthread_atfork(prepare, parent, child);
}

// 1: the variable is set to this value. 0: it is set to something else. -1: it is not set.
static inline int slab_environment_equals(const char *name, const char *value) {
  const char *found = getenv(name);
  return found == NULL ? -1 : strcmp(found, value) == 0;
}

// The number above 0 and up to a bound that the variable is set to. 0: it is not set. -1: it is set to something else.
static inline intptr_t slab_environment_number(const char *name, intptr_t most) {
  const char *digit = getenv(name);
  if (digit == NULL) return 0;
  intptr_t number = 0;
  for (; *digit >= '0' && *digit <= '9' && number <= most; digit++) number = 10 * number + (*digit - '0');
  return *digit == 0 && number > 0 && number <= most ? number : -1;
}

// Differs between threads that live at the same time; costs no system call and no thread-local.
static inline uintptr_t slab_thread_identity(void) { return (uintptr_t)__builtin_thread_pointer(); }

static inline void slab_yield(void) { sched_yield(); }

static inline void slab_pause(void) {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

#ifdef __cplusplus
}
#endif

#endif
