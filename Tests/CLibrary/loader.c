// SPDX-License-Identifier: Apache-2.0
// Loads a plug-in that uses libslab.so into a program that does not, again and again, with threads that were there
// before: the library stays where it is, with its groups and its thread-locals.
#define _GNU_SOURCE
#include "check.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stddef.h>

struct slab_group;
typedef void *(*allocate_function)(struct slab_group **);

static pthread_barrier_t loaded, used;
static allocate_function allocate;
static struct slab_group *charged;
static void *theirs;

static void *older_thread(void *argument) {
  (void)argument;
  pthread_barrier_wait(&loaded);
  theirs = allocate(&charged);
  pthread_barrier_wait(&used);
  return NULL;
}

int main(int count, char **arguments) {
  pthread_t older;
  void (*free_block)(void *) = NULL;
  CHECK(count == 2);
  CHECK(pthread_barrier_init(&loaded, NULL, 2) == 0 && pthread_barrier_init(&used, NULL, 2) == 0);
  CHECK(pthread_create(&older, NULL, older_thread, NULL) == 0);
  for (int round = 0; round < 3; round++) {
    void *plugin = dlopen(arguments[1], RTLD_NOW | RTLD_LOCAL);
    if (plugin == NULL) fprintf(stderr, "%s\n", dlerror());
    CHECK(plugin != NULL);
    // What POSIX asks of a pointer to a function.
    *(void **)&allocate = dlsym(plugin, "plugin_allocate");
    *(void **)&free_block = dlsym(plugin, "slab_free");
    CHECK(allocate != NULL && free_block != NULL);
    void *mine = allocate(&charged);
    CHECK(mine != NULL);
    if (round == 0) {
      pthread_barrier_wait(&loaded);
      pthread_barrier_wait(&used);
      CHECK(theirs != NULL && theirs != mine);
      free_block(theirs);
      pthread_join(older, NULL);
    }
    // After the plug-in has gone: the library has not.
    CHECK(dlclose(plugin) == 0);
    free_block(mine);
  }
  puts("loader: ok");
}
