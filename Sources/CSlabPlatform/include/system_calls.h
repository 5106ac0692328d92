// SPDX-License-Identifier: Apache-2.0
// One function per system call. Each returns the call's result, or -errno: the value travels with
// the return, so that a wrapper in Swift can force an error without touching thread-local state.

#ifndef SLAB_SYSTEM_CALLS_H
#define SLAB_SYSTEM_CALLS_H

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <linux/magic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#ifdef __cplusplus
extern "C" {
#endif

// Of linux/mman.h, which C libraries show with their own extensions alone, or not at all.
enum { slab_mremap_maymove = 1, slab_mremap_fixed = 2, slab_mremap_dontunmap = 4 };

static inline size_t slab_page_bytes(void) { return (size_t)sysconf(_SC_PAGESIZE); }

// Reserves addresses without memory behind them: PROT_NONE is not charged under strict overcommit.
static inline intptr_t slab_mmap_reserve(size_t size) {
  void *address = mmap(NULL, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (address == MAP_FAILED) return -(intptr_t)errno;
  // No huge pages: where they are on for everything, the kernel would make memory resident again that
  // was given back. For the whole reservation, so that no mapping is split; a kernel without huge pages
  // refuses, which changes nothing.
  (void)madvise(address, size, MADV_NOHUGEPAGE);
  return (intptr_t)address;
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

// The pages stand at the other address afterwards, and the old one reads as zeros. The mapping there stays: a hole
// could become another mapping's before it is filled.
static inline intptr_t slab_move_pages(uintptr_t from, uintptr_t to, size_t size) {
  long result = syscall(SYS_mremap, from, size, size,
                        slab_mremap_maymove | slab_mremap_fixed | slab_mremap_dontunmap, to);
  return result == (long)to ? 0 : -(intptr_t)errno;
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

// The rest of the file at a path in a buffer, zero-terminated, if the kernel's own file system of a kind
// answers: what a container puts in its place is not the kernel's word.
static inline intptr_t slab_read_kernel_file(const char *path, long magic, char *text, size_t size) {
  struct statfs system;
  int descriptor = open(path, O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) return -(intptr_t)errno;
  intptr_t result = -EXDEV;
  if (fstatfs(descriptor, &system) == 0 && system.f_type == magic) {
    result = read(descriptor, text, size - 1);
    if (result < 0) result = -(intptr_t)errno;
    text[result < 0 ? 0 : result] = 0;
  }
  close(descriptor);
  return result;
}

// One more than the highest number that a CPU can have, as sysfs lists it: "0-3", "0,2-5". The count of
// CPUs is not enough: numbers may have gaps, and a CPU may be plugged in later.
static inline intptr_t slab_listed_processors(void) {
  char list[4096];
  intptr_t size = slab_read_kernel_file("/sys/devices/system/cpu/possible", SYSFS_MAGIC, list,
                                        sizeof list);
  if (size < 0) return size;
  const char *last = list;
  for (const char *next = list; *next != 0; next++)
    if (*next == '-' || *next == ',') last = next + 1;
  if (*last < '0' || *last > '9') return -EINVAL;
  return (intptr_t)strtol(last, NULL, 10) + 1;
}

// The same rounded up to a multiple of 4: procfs prints a mask of CPUs with as many digits.
static inline intptr_t slab_shown_processors(void) {
  char text[4096];
  intptr_t digits = 0;
  intptr_t size = slab_read_kernel_file("/proc/self/status", PROC_SUPER_MAGIC, text, sizeof text);
  if (size < 0) return size;
  const char *mask = strstr(text, "\nCpus_allowed:\t");
  if (mask == NULL) return -EINVAL;
  for (mask += strlen("\nCpus_allowed:\t"); *mask != '\n'; mask++) {
    if (*mask == 0) return -EINVAL;
    if (*mask != ',') digits += 4;
  }
  return digits;
}

// The same rounded up to whole words: the size of the kernel's mask of CPUs. It also answers the highest
// CPU that the calling thread may run on.
static inline intptr_t slab_processors_of_mask(intptr_t *highest) {
  unsigned char mask[4096];
  long size = syscall(SYS_sched_getaffinity, 0, sizeof mask, mask);
  if (size < 0) return -(intptr_t)errno;
  *highest = 8 * size - 1;
  while (*highest > 0 && (mask[*highest / 8] >> *highest % 8 & 1) == 0) --*highest;
  return 8 * size;
}

// How many CPUs the C library thinks that there are: a guess, where no memory depends on it.
static inline intptr_t slab_guessed_processors(void) {
  long count = sysconf(_SC_NPROCESSORS_CONF);
  return count > 0 ? (intptr_t)count : 1;
}

static inline uint64_t slab_clock_monotonic(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

// The same clock, as of the last tick: some milliseconds late, and a few nanoseconds to read.
static inline uint64_t slab_clock_coarse(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
  return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static inline void slab_prefetch(uintptr_t address) { __builtin_prefetch((void *)address); }

static inline _Noreturn void slab_abort(void) { abort(); }

#ifdef __cplusplus
}
#endif

#endif
