// SPDX-License-Identifier: Apache-2.0
// Loads a library that contains the allocator, uses and unloads it, and outlives it by half a second.
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <time.h>

static int (*use)(int);
static volatile int is_over;

struct user {
  pthread_t thread;
  int number, result;
};

// Goes on after the library was unloaded, as a server's threads do.
static void *compute(void *argument) {
  struct user *user = argument;
  user->result = use(user->number);
  while (!is_over) {
  }
  return NULL;
}

int main(int count, char **arguments) {
  if (count != 2) return fprintf(stderr, "usage: host LIBRARY\n"), 2;
  void *library = dlopen(arguments[1], RTLD_NOW | RTLD_LOCAL);
  if (library == NULL) return fprintf(stderr, "%s\n", dlerror()), 1;
  use = (int (*)(int))dlsym(library, "client_use");
  struct user users[4] = {{0}};
  for (int i = 0; i < 4; i++) {
    users[i].number = i;
    pthread_create(&users[i].thread, NULL, compute, &users[i]);
  }
  nanosleep(&(struct timespec){0, 300000000}, NULL);
  // Right ahead of the end, so that the kernel still has an address of the library for this thread.
  int result = use(4);
  dlclose(library);
  nanosleep(&(struct timespec){0, 500000000}, NULL);
  is_over = 1;
  for (int i = 0; i < 4; i++) {
    pthread_join(users[i].thread, NULL);
    if (users[i].result != 42) result = users[i].result;
  }
  if (result != 42) return fprintf(stderr, "%d instead of 42\n", result), 1;
  return 0;
}
