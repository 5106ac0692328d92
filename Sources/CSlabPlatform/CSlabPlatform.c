// SPDX-License-Identifier: Apache-2.0
// The package manager wants one source file per C target; all but the variables, and what needs
// declarations of GNU's, is in the headers.
#define _GNU_SOURCE
#include "CSlabPlatform.h"

#include <dlfcn.h>
#include <link.h>
#include <sys/auxv.h>

// Found by programs that use this copy of the library, and never replaced by those of another copy in
// the process, which the loader prefers if it came first. Not in the headers: a client reaches them in
// another file.
#define SLAB_OWN __attribute__((visibility("protected")))

// A map of no address, which is an address that can be one.
SLAB_OWN struct slab_shared_heap slab_shared_heap = {.words = 8};
SLAB_OWN SLAB_STATIC_THREAD_LOCAL int slab_reclaiming;
SLAB_OWN SLAB_STATIC_THREAD_LOCAL int slab_dispensable;
SLAB_OWN SLAB_STATIC_THREAD_LOCAL int slab_in_hand;
#ifdef DEBUG
SLAB_OWN SLAB_STATIC_THREAD_LOCAL struct slab_held_locks slab_held_locks;
#endif

static int add_thread_locals(struct dl_phdr_info *library, size_t size, void *sum) {
  (void)size;
  for (int index = 0; index < library->dlpi_phnum; index += 1) {
    const ElfW(Phdr) *segment = &library->dlpi_phdr[index];
    if (segment->p_type == PT_TLS) *(size_t *)sum += segment->p_memsz + segment->p_align;
  }
  return 0;
}

SLAB_OWN size_t slab_thread_local_bytes(void) {
  size_t bytes = 0;
  dl_iterate_phdr(add_thread_locals, &bytes);
  return bytes;
}

// A program that is linked statically has no loader, and loads nothing that could be unloaded.
#pragma weak dladdr
#pragma weak dlopen

int slab_pin_library(void) {
  Dl_info own, program;
  if (dladdr == NULL || dlopen == NULL) return 0;
  if (dladdr((void *)slab_pin_library, &own) == 0 || own.dli_fname == NULL) return 0;
  const void *headers = (const void *)getauxval(AT_PHDR);
  if (dladdr(headers, &program) != 0 && program.dli_fbase == own.dli_fbase) return 0;
  return dlopen(own.dli_fname, RTLD_LAZY | RTLD_NOLOAD | RTLD_NODELETE) != NULL;
}

// MARK: the trial of a sequence

// Linux 6.19 and 7.0 for AArch64 register restartable sequences and abort none of them, whatever interrupts it: a
// signal, a preemption, a migration, a membarrier. Such a kernel looks at a sequence only if the entry from user
// mode was noted, and on that architecture no entry notes it. So one interruption shows all: a trap inside a
// sequence, whose signal must find the thread at the abort label. A preemption would show the same, but takes
// another thread, the same CPU and the scheduler's good will.
//
// No other part of the program learns of the trap: the trial runs in a child that shares the memory alone, as that of
// vfork does. It has its own table of signal handlers, its own registration, and is not traced, so that a
// debugger does not stop. All other signals are blocked in it: the handlers are the parent's.

#if defined(SLAB_TRAP)

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

struct trial {
  // As long as the C library's own can be, and as aligned as the kernel may demand.
  _Alignas(256) unsigned char area[256];
  intptr_t outcome;
  int traps;
};

enum { trial_bytes = 256 << 10 };  // with the stack, which holds the frame of a signal: its vectors may be long

// The child has the thread-locals of the thread that waits for it.
static SLAB_STATIC_THREAD_LOCAL struct trial *current_trial;

// The sequence goes on, if it is the trap that is executed again.
static void on_trap(int number) {
  (void)number;
  if (++current_trial->traps == 2) {
    current_trial->outcome = -ENOTSUP;
    _exit(0);
  }
}

static void run_trapping_sequence(struct trial *trial) {
  uintptr_t scratch;
  __asm__ goto volatile(SLAB_RSEQ_DESCRIPTOR SLAB_TRAP SLAB_RSEQ_ABORT
                        : [scratch] "=&r"(scratch)
                        : [area] "r"(SLAB_RSEQ_AREA(trial->area))
                        : "memory", "cc"
                        : restarted);
  return;
restarted:
  trial->outcome = 0;
}

static int run_trial(void *argument) {
  struct trial *trial = argument;
  struct sigaction action = {.sa_handler = on_trap};
  sigset_t trap;
  // A kernel may treat a longer area in another way than one of the first length.
  size_t length = __rseq_size <= 32 ? 32 : (__rseq_size + 31) & ~(size_t)31;
  sigemptyset(&trap);
  sigaddset(&trap, slab_trap_signal);
  if (length > sizeof trial->area) {
    trial->outcome = -EOVERFLOW;
  } else if (sigaction(slab_trap_signal, &action, NULL) != 0 ||
             sigprocmask(SIG_UNBLOCK, &trap, NULL) != 0 ||
             syscall(SYS_rseq, trial->area, length, 0, SLAB_RSEQ_SIGNATURE) != 0) {
    trial->outcome = -errno;
  } else {
    run_trapping_sequence(trial);
  }
  return 0;
}

SLAB_OWN intptr_t slab_rseq_trial(void) {
  int saved = errno;
  sigset_t all, before;
  char *memory = mmap(NULL, trial_bytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
  if (memory == MAP_FAILED) return -(intptr_t)errno;
  struct trial *trial = (struct trial *)memory;
  // Where the child has memory of its own after all, nothing is learnt.
  trial->outcome = -ECHILD;
  current_trial = trial;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  // No signal at its end: nothing that waits for the program's children sees it.
  pid_t child = clone(run_trial, memory + trial_bytes, CLONE_VM | CLONE_VFORK | CLONE_UNTRACED, trial);
  intptr_t outcome = child < 0 ? -(intptr_t)errno : 0;
  while (child >= 0 && waitpid(child, NULL, __WALL) < 0 && errno == EINTR) continue;
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  if (child >= 0) outcome = trial->outcome;
  current_trial = NULL;
  munmap(memory, trial_bytes);
  errno = saved;
  return outcome;
}

#else

SLAB_OWN intptr_t slab_rseq_trial(void) { return -ENOSYS; }

#endif
