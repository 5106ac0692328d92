// SPDX-License-Identifier: Apache-2.0
// Children that run in their parent's memory, and allocate there: of vfork, while other threads allocate on all CPUs.
// They move between CPUs, which the parent's thread-local variables would not show them without a registration of
// their own. The parent goes on with what they did.
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <spawn.h>
#include <stdatomic.h>
#include <sys/wait.h>

#include "check.h"

enum { threads = 4, children = 60, blocks = 200 };

static atomic_int is_over;
static unsigned char *volatile made[blocks];

static void *work(void *argument) {
  unsigned char value = (unsigned char)(uintptr_t)argument;
  while (!atomic_load(&is_over)) {
    unsigned char *some[blocks];
    for (int index = 0; index < blocks; index++) memset(some[index] = opaque(malloc(64)), value, 64);
    for (int index = 0; index < blocks; index++) {
      for (int at = 0; at < 64; at++) CHECK(some[index][at] == value);
      free(some[index]);
    }
  }
  return NULL;
}

static void allocate_everywhere(long cpus) {
  for (int index = 0; index < blocks; index++) {
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(index / 8 % cpus, &one);
    if (index % 8 == 0) sched_setaffinity(0, sizeof one, &one);
    made[index] = opaque(malloc(64));
    memset(made[index], 0xee, 64);
  }
}

// The frame of the function that calls vfork stays for both.
static void run_child(long cpus, const cpu_set_t *all) {
  pid_t child = vfork();
  if (child == 0) {
    allocate_everywhere(cpus);
    for (int index = 0; index < blocks; index += 2) free(made[index]);
    sched_setaffinity(0, sizeof *all, all);
    _exit(9);
  }
  int status;
  CHECK(child > 0 && waitpid(child, &status, 0) == child && WEXITSTATUS(status) == 9);
  for (int index = 1; index < blocks; index += 2) {
    for (int at = 0; at < 64; at++) CHECK(made[index][at] == 0xee);
    free(made[index]);
  }
}

int main(void) {
  long cpus = sysconf(_SC_NPROCESSORS_ONLN);
  pthread_t all[threads];
  cpu_set_t before;
  sched_getaffinity(0, sizeof before, &before);
  for (uintptr_t index = 0; index < threads; index++)
    CHECK(pthread_create(&all[index], NULL, work, (void *)(index + 1)) == 0);
  for (int turn = 0; turn < children; turn++) run_child(cpus, &before);
  atomic_store(&is_over, 1);
  for (int index = 0; index < threads; index++) pthread_join(all[index], NULL);
  // Those that begin another program at once.
  char *arguments[] = {"true", NULL};
  for (int turn = 0; turn < 50; turn++) {
    int status;
    pid_t child = vfork();
    if (child == 0) {
      execv("/bin/true", arguments);
      _exit(1);
    }
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    CHECK(posix_spawn(&child, "/bin/true", NULL, NULL, arguments, NULL) == 0);
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    CHECK(system("exit 4") == 4 << 8);
  }
  return 0;
}
