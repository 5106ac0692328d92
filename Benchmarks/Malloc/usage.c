// SPDX-License-Identifier: Apache-2.0
// usage TIMES LIBRARY OUTPUT COMMAND ...: runs a command so often, one after the other, with a library preloaded
// (none if it is empty) and its output in a file, and prints what one took: milliseconds of user and system time,
// and the most memory that one process had, in KiB. This program itself is not measured.
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static double milliseconds(struct timeval time) {
  return (double)time.tv_sec * 1000 + (double)time.tv_usec / 1000;
}

int main(int count, char **arguments) {
  if (count < 5) return 64;
  long times = strtol(arguments[1], NULL, 10);
  for (long run = 0; run < times; run++) {
    pid_t child = fork();
    if (child == 0) {
      if (arguments[2][0] != 0) setenv("LD_PRELOAD", arguments[2], 1);
      int output = open(arguments[3], O_WRONLY | O_CREAT | O_TRUNC, 0666);
      dup2(output, 1);
      execvp(arguments[4], arguments + 4);
      _exit(127);
    }
    int status;
    if (child < 0 || waitpid(child, &status, 0) != child || status != 0) return 1;
  }
  struct rusage usage;
  getrusage(RUSAGE_CHILDREN, &usage);
  printf("ms %.3f\n", (milliseconds(usage.ru_utime) + milliseconds(usage.ru_stime)) / (double)times);
  printf("KiB %ld\n", usage.ru_maxrss);
  return 0;
}
