// SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE
#include "CBenchmark.h"

#include <sched.h>
#include <unistd.h>

long bench_callbacks_ran;

int bench_allowed_cpus(int *cpus, int most) {
  cpu_set_t set;
  int count = 0;
  if (sched_getaffinity(0, sizeof set, &set) != 0) return -1;
  for (int cpu = 0; cpu < CPU_SETSIZE && count < most; cpu++) {
    if (CPU_ISSET(cpu, &set)) cpus[count++] = cpu;
  }
  return count;
}

int bench_pin(int cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(cpu, &set);
  return sched_setaffinity(0, sizeof set, &set);
}

int bench_fork(void) {
  pid_t child = fork();
  if (child == 0) _exit(0);
  return (int)child;
}
