// SPDX-License-Identifier: Apache-2.0
#include "CAllocations.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

// As slab.h declares them: a library that is used without the allocator, too, refers to them weakly.
typedef struct slab_group slab_group;
__attribute__((weak)) extern slab_group *slab_group_enter(slab_group *group);
__attribute__((weak)) extern int slab_group_find(slab_group *from, const char *path, slab_group **group);
__attribute__((weak)) extern void slab_group_drop(slab_group *group);

static _Thread_local int last_error;

uintptr_t c_allocate(size_t bytes) {
  void *block = malloc(bytes);
  if (block == NULL) {
    last_error = errno;
    return 0;
  }
  return (uintptr_t)memset(block, 1, bytes);
}

void c_free(uintptr_t block) { free((void *)block); }

int c_error(void) { return last_error; }

struct order {
  const char *group;
  size_t bytes;
};

static void *serve(void *argument) {
  struct order *order = argument;
  if (slab_group_enter == NULL) return NULL;
  slab_group *group;
  if (slab_group_find(NULL, order->group, &group) != 0) return NULL;
  slab_group_enter(group);
  uintptr_t block = c_allocate(order->bytes);
  slab_group_enter(NULL);
  slab_group_drop(group);
  return (void *)block;
}

uintptr_t c_allocate_on_thread(const char *group, size_t bytes) {
  struct order order = {group, bytes};
  pthread_t thread;
  void *block = NULL;
  if (pthread_create(&thread, NULL, serve, &order) != 0) return 0;
  pthread_join(thread, &block);
  return (uintptr_t)block;
}
