// One function per system call. Each returns the call's result, or -errno: the value travels with
// the return, so that a wrapper in Swift can force an error without touching thread-local state.

#ifndef SLAB_SYSTEM_CALLS_H
#define SLAB_SYSTEM_CALLS_H

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#ifdef __cplusplus
extern "C" {
#endif

// Reserves addresses without memory behind them: PROT_NONE is not charged under strict overcommit.
static inline intptr_t slab_mmap_reserve(size_t size) {
  void *address = mmap(NULL, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  return address == MAP_FAILED ? -(intptr_t)errno : (intptr_t)address;
}

static inline intptr_t slab_munmap(uintptr_t address, size_t size) {
  return munmap((void *)address, size) == 0 ? 0 : -(intptr_t)errno;
}

static inline intptr_t slab_mprotect_read_write(uintptr_t address, size_t size) {
  return mprotect((void *)address, size, PROT_READ | PROT_WRITE) == 0 ? 0 : -(intptr_t)errno;
}

// Not charged under strict overcommit: pages that are only read are the kernel's one page of zeros.
static inline intptr_t slab_mprotect_read(uintptr_t address, size_t size) {
  return mprotect((void *)address, size, PROT_READ) == 0 ? 0 : -(intptr_t)errno;
}

// The pages read as zeros at their next touch.
static inline intptr_t slab_madvise_dontneed(uintptr_t address, size_t size) {
  return madvise((void *)address, size, MADV_DONTNEED) == 0 ? 0 : -(intptr_t)errno;
}

static inline intptr_t slab_membarrier(int command) {
  long result = syscall(SYS_membarrier, command, 0, 0);
  return result >= 0 ? (intptr_t)result : -(intptr_t)errno;
}

// A timeout of zero nanoseconds means no timeout.
static inline intptr_t slab_futex_wait(const void *word, uint32_t expected, uint64_t nanoseconds) {
  struct timespec timeout = {(time_t)(nanoseconds / 1000000000), (long)(nanoseconds % 1000000000)};
  long result = syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, expected,
                        nanoseconds == 0 ? NULL : &timeout, NULL, 0);
  return result >= 0 ? (intptr_t)result : -(intptr_t)errno;
}

static inline intptr_t slab_futex_wake(const void *word, int count) {
  long result = syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, count, NULL, NULL, 0);
  return result >= 0 ? (intptr_t)result : -(intptr_t)errno;
}

static inline intptr_t slab_getcpu(void) {
  unsigned cpu = 0;
  return syscall(SYS_getcpu, &cpu, NULL, NULL) == 0 ? (intptr_t)cpu : -(intptr_t)errno;
}

static inline intptr_t slab_write(int descriptor, const void *bytes, size_t size) {
  ssize_t result = write(descriptor, bytes, size);
  return result >= 0 ? (intptr_t)result : -(intptr_t)errno;
}

// One more than the highest number that a CPU of this machine can have. The count of configured
// CPUs is not enough: the numbers may have gaps, and a CPU may be plugged in later. The kernel's
// list ends with the highest number: "0-3", "0,2-5".
static inline intptr_t slab_possible_processors(void) {
  char list[4096];
  long count = sysconf(_SC_NPROCESSORS_CONF);
  int descriptor = open("/sys/devices/system/cpu/possible", O_RDONLY | O_CLOEXEC);
  if (descriptor >= 0) {
    ssize_t size = read(descriptor, list, sizeof list);
    close(descriptor);
    long last = -1;
    for (ssize_t i = 0; i < size; i++) {
      if (list[i] < '0' || list[i] > '9') continue;
      last = last < 0 || list[i - 1] < '0' || list[i - 1] > '9' ? 0 : last;
      last = last * 10 + (list[i] - '0');
    }
    if (last + 1 > count) count = last + 1;
  }
  return count > 0 ? (intptr_t)count : 1;
}

static inline uint64_t slab_clock_monotonic(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static inline void slab_prefetch(uintptr_t address) { __builtin_prefetch((void *)address); }

static inline _Noreturn void slab_abort(void) { abort(); }

#ifdef __cplusplus
}
#endif

#endif
