// SPDX-License-Identifier: Apache-2.0
// Process 1 of the emulated machine (.ci/aarch64): runs each command of the file /commands in turn, says how it ended,
// and switches the machine off. A command is words: settings of the environment, a program's path, its arguments.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/wait.h>
#include <unistd.h>

enum { words_most = 32 };

static void become(char *command) {
  char *words[words_most + 1] = {NULL};
  int count = 0, first = 0;
  for (char *word = strtok(command, " "); word != NULL && count < words_most; word = strtok(NULL, " "))
    words[count++] = word;
  while (words[first] != NULL && strchr(words[first], '=') != NULL) putenv(words[first++]);
  if (words[first] != NULL) execv(words[first], words + first);
  perror("execv");
  _exit(127);
}

int main(void) {
  char line[512];
  mount("proc", "/proc", "proc", 0, NULL);
  mount("sysfs", "/sys", "sysfs", 0, NULL);
  FILE *commands = fopen("/commands", "re");
  while (commands != NULL && fgets(line, sizeof line, commands) != NULL) {
    int status = -1;
    line[strcspn(line, "\n")] = 0;
    printf("machine: begins: %s\n", line);
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) become(line);
    waitpid(child, &status, 0);
    // The command's words were cut in the child alone.
    printf("machine: ended with %d: %s\n", status, line);
    fflush(stdout);
  }
  sync();
  reboot(RB_POWER_OFF);
}
