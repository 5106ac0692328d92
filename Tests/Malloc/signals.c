// SPDX-License-Identifier: Apache-2.0
// signals FILE: the report on a signal, at any time, also in a child, whose file has its own number.
// signals deadlock: a handler that allocates while its thread is in the middle of a slow path, which C does not allow.
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>

#include "check.h"

static void *blocks[4096];

static void churn(int turns) {
  for (int turn = 0; turn < turns; turn++) {
    for (int index = 0; index < 4096; index++) blocks[index] = opaque(malloc((size_t)(index % 3000) + 1));
    for (int index = 0; index < 4096; index++) free(blocks[index]);
  }
}

// Waits until the file has so many bytes more, while memory is used.
static off_t wait_for_report(const char *path, off_t before) {
  struct stat now;
  do {
    churn(1);
    now.st_size = 0;
    (void)stat(path, &now);
  } while (now.st_size <= before);
  return now.st_size;
}

// What %p in a path stands for.
static void path_of_this_process(const char *prefix, char path[4096]) {
  snprintf(path, 4096, "%s.%d", prefix, (int)getpid());
  unlink(path);
}

static void report(char **arguments) {
  char path[4096];
  if (getenv("SLAB_MALLOC_REPORT") == NULL) {
    // The settings are read when a program begins.
    snprintf(path, sizeof path, "%s.%%p", arguments[1]);
    setenv("SLAB_MALLOC_REPORT", path, 1);
    setenv("SLAB_MALLOC_REPORT_SIGNAL", "USR2", 1);
    execv(arguments[0], arguments);
    CHECK(0);
  }
  path_of_this_process(arguments[1], path);
  off_t size = 0;
  for (int turn = 0; turn < 20; turn++) {
    raise(SIGUSR2);
    size = wait_for_report(path, size);
  }
  pid_t child = fork();
  if (child == 0) {
    path_of_this_process(arguments[1], path);
    raise(SIGUSR2);
    wait_for_report(path, 0);
    _exit(0);
  }
  int status;
  CHECK(waitpid(child, &status, 0) == child && status == 0);
  FILE *file = fopen(path, "r");
  static char text[1 << 20];
  text[fread(text, 1, sizeof text - 1, file)] = 0;
  CHECK(strstr(text, "used_bytes ") != NULL && strstr(text, "slabinfo - version: 2.1\n") != NULL);
  CHECK(strstr(text, "core:size-16 ") != NULL);
}

static void allocate(int number) {
  (void)number;
  static void *some[1000];
  for (int index = 0; index < 1000; index++) some[index] = opaque(malloc(3000));
  for (int index = 0; index < 1000; index++) free(some[index]);
}

static void meet_deadlock(void) {
  struct sigaction action = {.sa_handler = allocate};
  struct itimerval often = {{0, 200}, {0, 200}};
  sigaction(SIGALRM, &action, NULL);
  setitimer(ITIMER_REAL, &often, NULL);
  for (int turn = 0; turn < 20000; turn++) {
    for (int index = 0; index < 4096; index++) blocks[index] = opaque(malloc(3000));
    for (int index = 0; index < 4096; index++) free(blocks[index]);
  }
}

int main(int count, char **arguments) {
  CHECK(count == 2);
  if (strcmp(arguments[1], "deadlock") == 0) meet_deadlock();
  else report(arguments);
  return 0;
}
