// SPDX-License-Identifier: Apache-2.0
// SLAB_MALLOC_REPORT=stderr or a path: a report when the process ends; and on the signal of
// SLAB_MALLOC_REPORT_SIGNAL, a name without SIG or a number. In a path, %p stands for the process's number.
//
// A report takes locks of the allocator, one of which the interrupted thread may hold. So the handler only wakes a
// thread that does nothing else, which is started for a process that asks for the signal: there is no other thread of
// ours. A child of fork has none until it has one of its own: it starts it with its next report.
#define _GNU_SOURCE
#include "front.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { longest_path = 4096 };

// A copy: the program may change its environment.
static char report_path[longest_path];
static int report_signal;
static sem_t wanted;

// The path with the process's number in it: a child of fork has its own.
static void fill_in(char *path) {
  size_t length = 0;
  for (const char *next = report_path; *next != 0 && length + 12 < longest_path; next++) {
    if (next[0] != '%' || next[1] != 'p') {
      path[length++] = *next;
      continue;
    }
    char digits[12];
    int count = 0;
    for (pid_t rest = getpid(); rest > 0; rest /= 10) digits[count++] = (char)('0' + rest % 10);
    while (count > 0) path[length++] = digits[--count];
    next++;
  }
  path[length] = 0;
}

static int open_report(void) {
  char path[longest_path];
  if (strcmp(report_path, "stderr") == 0) return fcntl(2, F_DUPFD_CLOEXEC, 3);
  fill_in(path);
  return open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY, 0644);
}

static void write_report(void) {
  int before = errno;
  int descriptor = open_report();
  if (descriptor >= 0) {
    slab_malloc_core_report(descriptor);
    close(descriptor);
  }
  errno = before;
}

static void *serve(void *unused) {
  (void)unused;
  while (1)
    if (sem_wait(&wanted) == 0) write_report();
  return NULL;
}

static void start_server(void) {
  sigset_t all, before;
  pthread_t thread;
  pthread_attr_t attributes;
  sigfillset(&all);
  if (pthread_attr_init(&attributes) != 0) return;
  pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  (void)pthread_create(&thread, &attributes, serve, NULL);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  pthread_attr_destroy(&attributes);
}

static void handle(int number) {
  (void)number;
  int before = errno;
  sem_post(&wanted);
  errno = before;
}

static int signal_number(const char *name) {
  char *end;
  long number = strtol(name, &end, 10);
  if (end != name && *end == 0) return number > 0 && number < NSIG ? (int)number : 0;
  if (strncmp(name, "SIG", 3) == 0) name += 3;
  for (int candidate = 1; candidate < NSIG; candidate++) {
    const char *known = sigabbrev_np(candidate);
    if (known != NULL && strcmp(known, name) == 0) return candidate;
  }
  return 0;
}

void slab_malloc_prepare_report(void) {
  const char *path = secure_getenv("SLAB_MALLOC_REPORT");
  const char *name = secure_getenv("SLAB_MALLOC_REPORT_SIGNAL");
  if (path == NULL || *path == 0) return;
  size_t length = strlen(path);
  if (length >= longest_path) slab_malloc_fail("SLAB_MALLOC_REPORT is too long", path);
  memcpy(report_path, path, length + 1);
  if (name == NULL || *name == 0) return;
  report_signal = signal_number(name);
  if (report_signal == 0)
    slab_malloc_fail("SLAB_MALLOC_REPORT_SIGNAL is not a signal", name);
  sem_init(&wanted, 0, 0);
  struct sigaction action = {.sa_handler = handle, .sa_flags = SA_RESTART};
  if (sigaction(report_signal, &action, NULL) != 0)
    slab_malloc_fail("SLAB_MALLOC_REPORT_SIGNAL cannot be caught", name);
  start_server();
  pthread_atfork(NULL, NULL, start_server);
}

// After the program's own functions at exit.
__attribute__((destructor)) static void report_at_exit(void) {
  if (report_path[0] != 0 && slab_malloc_is_ready) write_report();
}
