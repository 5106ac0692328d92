// SPDX-License-Identifier: Apache-2.0
// Forks while other threads allocate, with handlers of other libraries on either side of the allocator's, which
// allocate and free, and children that do both and fork again.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <malloc.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/wait.h>

#include "check.h"

enum { threads = 3, forks = 150, blocks = 64, given = 400, given_bytes = 40000 };

static atomic_int is_over;

// Of all sizes, so that the slow paths are met as well.
static void use_memory(uint64_t *random) {
  void *some[blocks];
  for (int index = 0; index < blocks; index++) {
    size_t size = 1 + next_random(random) % (index % 16 == 0 ? 200000u : 3000u);
    CHECK((some[index] = opaque(malloc(size))) != NULL);
    memset(some[index], index, size);
  }
  for (int index = 0; index < blocks; index++) free(some[index]);
}

static void *work(void *argument) {
  uint64_t random = (uint64_t)(uintptr_t)argument;
  while (!atomic_load(&is_over)) use_memory(&random);
  return NULL;
}

// Of a library that came before the allocator: its first part runs when the allocator has its locks, and its second
// part before it has given them back. This one is in the list of functions that run before all constructors.
static uint64_t early_random = 11, late_random = 12;
static void *over_the_fork[blocks];

// Blocks from before the fork, which are freed where the allocator has its locks: each of them takes one of these.
static void *given_to_handlers[given];
static int given_count;

static void give(void) {
  for (int index = 0; index < given; index++)
    CHECK((given_to_handlers[index] = opaque(malloc(given_bytes))) != NULL);
  given_count = given;
}
static void free_given(int count) {
  for (; count > 0 && given_count > 0; count--) free(given_to_handlers[--given_count]);
}

// Whether a block is in memory of the library itself: one of those that are at hand when the allocator cannot be asked.
static int is_of_the_row(void *block) {
  Dl_info found;
  return dladdr(block, &found) != 0 && strstr(found.dli_fname, "libslabmalloc") != NULL;
}

// Two blocks of the row have nothing in common.
static void use_the_row(void) {
  enum { most = 2000, bytes = 2600 };
  static unsigned char *all[most];
  int count = 0;
  while (count < most - 1 && !is_of_the_row(all[count++] = opaque(malloc(bytes)))) {}
  unsigned char *last = all[count - 1];
  memset(last, 0xff, bytes);
  CHECK((all[count++] = opaque(malloc(bytes))) != NULL);
  memset(all[count - 1], 0, bytes);
  opaque(last);
  for (int index = 0; index < bytes; index++) CHECK(last[index] == 0xff);
  // pvalloc gives whole pages there, too. Once: what alignment leaves over in the row stays.
  static int is_done;
  for (size_t size = 0; size < 4000 && !is_done; size += 1999) {
    void *whole = opaque(pvalloc(size));
    CHECK(whole != NULL && malloc_usable_size(whole) >= (size_t)sysconf(_SC_PAGESIZE));
    free(whole);
  }
  is_done = 1;
  while (count > 0) free(all[--count]);
}

static void early_prepare(void) {
  use_the_row();
  free_given(given / 2);
  for (int index = 0; index < blocks; index++) CHECK((over_the_fork[index] = malloc(4096)) != NULL);
  use_memory(&early_random);
}
static void early_end(void) {
  free_given(given);
  use_memory(&early_random);
  for (int index = 0; index < blocks; index++) free(over_the_fork[index]);
}
static void late_prepare(void) { use_memory(&late_random); }
static void late_end(void) { use_memory(&late_random); }

static void register_early(void) { pthread_atfork(early_prepare, early_end, early_end); }
__attribute__((section(".preinit_array"), used)) static void (*const first_of_all)(void) = register_early;

int main(void) {
  pthread_t all[threads];
  CHECK(pthread_atfork(late_prepare, late_end, late_end) == 0);
  // What handlers free is free in both processes. A fork alone, before other threads take and give.
  for (int turn = 0; turn < 20; turn++) {
    size_t before = mallinfo2().uordblks;
    give();
    pid_t child = fork();
    CHECK(child >= 0 && given_count == 0);
    CHECK(mallinfo2().uordblks < before + given * (size_t)given_bytes / 4);
    if (child == 0) _exit(4);
    int status;
    CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 4);
  }
  for (uintptr_t index = 0; index < threads; index++)
    CHECK(pthread_create(&all[index], NULL, work, (void *)(index + 1)) == 0);
  for (int turn = 0; turn < forks; turn++) {
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
      uint64_t random = (uint64_t)turn;
      use_memory(&random);
      if (turn % 10 == 0) {
        pid_t grandchild = fork();
        if (grandchild == 0) {
          use_memory(&random);
          _exit(3);
        }
        int status;
        CHECK(waitpid(grandchild, &status, 0) == grandchild && WEXITSTATUS(status) == 3);
        pthread_t thread;
        atomic_store(&is_over, 1);
        CHECK(pthread_create(&thread, NULL, work, (void *)7) == 0);
        CHECK(pthread_join(thread, NULL) == 0);
      }
      _exit(2);
    }
    int status;
    CHECK(waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 2);
  }
  atomic_store(&is_over, 1);
  for (int index = 0; index < threads; index++) pthread_join(all[index], NULL);
  return 0;
}
