// SPDX-License-Identifier: Apache-2.0
// Threads, readers, fork: groups that come and go while others allocate, and what waits for readers.
#define _GNU_SOURCE
#include "check.h"

#include <pthread.h>
#include <slab.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { threads = 4, rounds = 200, blocks_per_round = 50 };

static slab_cache *cache;

static slab_group *make(const char *name) {
  slab_group *group = NULL;
  CHECK(slab_group_create(slab_group_root(), name, SLAB_NO_LIMIT, &group) == SLAB_OK);
  return group;
}

// Each thread has a tenant of its own for each round, and frees what the thread before it has left.
static _Atomic(void *) left[threads][blocks_per_round];

static void *tenants(void *argument) {
  long number = (long)argument;
  for (int round = 0; round < rounds; round++) {
    slab_group *tenant = NULL, *nested = NULL;
    CHECK(slab_group_create(NULL, NULL, SLAB_NO_LIMIT, &tenant) == SLAB_OK);
    CHECK(slab_group_enter(tenant) == NULL);
    CHECK(slab_group_create(NULL, "nested", SLAB_NO_LIMIT, &nested) == SLAB_OK);
    for (int index = 0; index < blocks_per_round; index++) {
      size_t size = 16 + (size_t)(index * 37 % 2000);
      void *block = index % 2 == 0 ? slab_cache_allocate(cache, nested, NULL) : slab_allocate(NULL, size, NULL);
      CHECK(block != NULL);
      memset(block, (int)number, 16);
      block = atomic_exchange(&left[(number + 1) % threads][index], block);
      if (index % 3 == 0) slab_free_deferred(block); else slab_free(block);
    }
    CHECK(slab_group_usage(tenant) >= 4096);
    CHECK(slab_group_enter(NULL) == tenant);
    slab_group_drop(nested);
    slab_group_drop(tenant);
  }
  return NULL;
}

static void storm(void) {
  pthread_t all[threads];
  CHECK(slab_cache_create("storm", 48, 8, 0, NULL, &cache) == SLAB_OK);
  for (long number = 0; number < threads; number++)
    CHECK(pthread_create(&all[number], NULL, tenants, (void *)number) == 0);
  for (int number = 0; number < threads; number++) pthread_join(all[number], NULL);
  for (int number = 0; number < threads; number++)
    for (int index = 0; index < blocks_per_round; index++) slab_free(left[number][index]);
  slab_barrier();
  slab_wait_until_idle();
  CHECK(slab_group_usage(slab_group_root()) == 0);
  CHECK(slab_cache_destroy(cache) == SLAB_OK);
}

static atomic_int is_called, is_over;

static void call(slab_head *head) {
  (void)head;
  atomic_fetch_add(&is_called, 1);
}

static void *wait_for_readers(void *argument) {
  (void)argument;
  slab_synchronize();
  atomic_store(&is_over, 1);
  return NULL;
}

static void readers(void) {
  static slab_head heads[2];
  slab_group *tenant = make("readers");
  pthread_t waiter;
  int *value = slab_allocate(tenant, sizeof *value, NULL);
  *value = 42;
  slab_section section = slab_read_begin(), nested = slab_read_begin();
  slab_free_deferred(value);
  slab_free_deferred(NULL);
  slab_call(&heads[0], call);
  slab_read_end(nested);
  CHECK(pthread_create(&waiter, NULL, wait_for_readers, NULL) == 0);
  // Whatever the others are at by now: the section is open.
  CHECK(*value == 42 && atomic_load(&is_called) == 0 && atomic_load(&is_over) == 0);
  CHECK(slab_group_usage(tenant) > 0);
  slab_read_end(section);
  pthread_join(waiter, NULL);
  CHECK(atomic_load(&is_over) == 1);
  slab_call(&heads[1], call);
  slab_barrier();
  CHECK(atomic_load(&is_called) == 2);
  slab_group_reclaim(tenant, SIZE_MAX);
  CHECK(slab_group_usage(tenant) == 0);
  slab_group_drop(tenant);
}

// A child has what its parent had, and goes on with it.
static void forks(void) {
  slab_group *tenant = make("fork");
  slab_group_enter(tenant);
  char *mine = slab_allocate(NULL, 100, NULL);
  strcpy(mine, "parent");
  int status;
  pid_t child = fork();
  if (child == 0) {
    CHECK(slab_group_current() == tenant && strcmp(mine, "parent") == 0);
    strcpy(mine, "child");
    char *other = slab_allocate(NULL, 5000, NULL);
    CHECK(other != NULL && slab_group_usage(tenant) >= 5100);
    slab_free(other);
    slab_free(mine);
    slab_synchronize();
    slab_barrier();
    slab_group_enter(NULL);
    slab_group_drop(tenant);
    slab_wait_until_idle();
    _exit(7);
  }
  CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 7);
  CHECK(strcmp(mine, "parent") == 0);
  slab_free(mine);
  slab_group_enter(NULL);
  slab_group_drop(tenant);
}

static void *allocate_all_the_time(void *stop) {
  slab_group *tenant = NULL;
  CHECK(slab_group_create(slab_group_root(), NULL, SLAB_NO_LIMIT, &tenant) == SLAB_OK);
  for (size_t size = 16; !atomic_load((atomic_int *)stop); size = size % 3000 + 7) {
    void *block = slab_allocate(tenant, size, NULL);
    CHECK(block != NULL);
    slab_free(block);
  }
  slab_group_drop(tenant);
  return NULL;
}

static void forks_among_threads(void) {
  atomic_int stop = 0;
  pthread_t others[2];
  for (int index = 0; index < 2; index++)
    CHECK(pthread_create(&others[index], NULL, allocate_all_the_time, &stop) == 0);
  for (int index = 0; index < 20; index++) {
    int status;
    pid_t child = fork();
    if (child == 0) {
      slab_group *tenant = make("child");
      void *block = slab_allocate(tenant, 100, NULL);
      CHECK(block != NULL);
      slab_free(block);
      slab_group_drop(tenant);
      slab_wait_until_idle();
      _exit(7);
    }
    CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 7);
  }
  atomic_store(&stop, 1);
  for (int index = 0; index < 2; index++) pthread_join(others[index], NULL);
}

int main(void) {
  storm();
  readers();
  forks();
  forks_among_threads();
  puts("threads: ok");
}
