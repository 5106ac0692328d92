// SPDX-License-Identifier: Apache-2.0
// Groups that share slabs, whose blocks malloc and free mostly give and take without the core: to the byte, whichever
// thread frees a block, and whatever becomes of its group meanwhile.
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <slab.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

#pragma weak slab_group_create
#pragma weak slab_group_enter
#pragma weak slab_group_usage
#pragma weak slab_group_drop
#pragma weak slab_group_share
#pragma weak slab_group_close
#pragma weak slab_group_is_drained
#pragma weak slab_wait_until_idle

// Enough that sheaves are open, and that most blocks come from there.
enum { most = 2000, size = 64, rounds = 30, threads = 4, tenants = 3, slots = 4000, operations = 200000, endings = 300 };

static void *some[most];

static slab_group *make_group(size_t max) {
  slab_group *group;
  CHECK(slab_group_create(NULL, NULL, max, &group) == SLAB_OK);
  CHECK(slab_group_share(group) == SLAB_OK);
  return group;
}

static void *free_all(void *unused) {
  for (int index = 0; index < most; index++) free(some[index]);
  return unused;
}

static void free_elsewhere(void) {
  pthread_t thread;
  CHECK(pthread_create(&thread, NULL, free_all, NULL) == 0);
  pthread_join(thread, NULL);
}

// As many blocks as the limit has room for, and not one more or less.
static void fill_to_the_byte(slab_group *group) {
  slab_group_enter(group);
  for (int index = 0; index < most; index++) {
    CHECK((some[index] = opaque(malloc(size))) != NULL);
    for (int byte = 0; byte < size; byte++) CHECK(((char *)some[index])[byte] == 0);
    memset(some[index], 1, size);
  }
  errno = 0;
  CHECK(opaque(malloc(16)) == NULL && errno == ENOMEM);
  CHECK(slab_group_usage(group) == (size_t)most * size);
  slab_group_enter(NULL);
}

static void end(slab_group *group) {
  CHECK(slab_group_close(group) == SLAB_OK);
  slab_wait_until_idle();
  CHECK(slab_group_is_drained(group) && slab_group_usage(group) == 0);
  slab_group_drop(group);
}

// What one group has freed the next one finds cleared, and what is in stock of it is not the next one's: a CPU has a
// stock for eight of them.
static void to_the_byte(void) {
  enum { count = 16 };
  slab_group *groups[count];
  for (int index = 0; index < count; index++) groups[index] = make_group((size_t)most * size);
  for (int round = 0; round < 2 * rounds; round++) {
    fill_to_the_byte(groups[round % count]);
    if (round % 3 == 0) {
      free_elsewhere();
    } else {
      free_all(NULL);
    }
  }
  for (int index = 0; index < count; index++) end(groups[index]);
}

// Blocks that outlive their group are uncharged as they are freed.
static void after_the_end(void) {
  for (int round = 0; round < rounds; round++) {
    slab_group *group = make_group((size_t)most * size);
    fill_to_the_byte(group);
    CHECK(slab_group_close(group) == SLAB_OK);
    slab_group_enter(group);
    errno = 0;
    CHECK(opaque(malloc(size)) == NULL && errno == ENOMEM);
    slab_group_enter(NULL);
    CHECK(slab_group_usage(group) == (size_t)most * size);
    errno = 5;
    free_all(NULL);
    CHECK(errno == 5);
    CHECK(slab_group_usage(group) == 0 && slab_group_is_drained(group));
    slab_group_drop(group);
  }
  slab_wait_until_idle();
}

static slab_group *shared[tenants];
static void *exchanged[slots];

static void *allocate_and_free(void *argument) {
  uint64_t state = (uintptr_t)argument + 1;
  for (int operation = 0; operation < operations; operation++) {
    if (operation % 16 == 0) slab_group_enter(shared[next_random(&state) % tenants]);
    size_t bytes = 1 + next_random(&state) % (operation % 8 == 0 ? 4000 : 300);
    char *block = opaque(malloc(bytes));
    // The limit may be reached.
    if (block != NULL) {
      for (size_t byte = 0; byte < bytes; byte++) CHECK(block[byte] == 0);
      memset(block, 7, bytes);
    }
    void **slot = &exchanged[next_random(&state) % slots];
    free(__atomic_exchange_n(slot, block, __ATOMIC_ACQ_REL));
  }
  slab_group_enter(NULL);
  return NULL;
}

// Each group has neither more nor less room afterwards.
static void storm(void) {
  for (int index = 0; index < tenants; index++) shared[index] = make_group((size_t)most * size);
  pthread_t all[threads];
  for (uintptr_t index = 0; index < threads; index++)
    CHECK(pthread_create(&all[index], NULL, allocate_and_free, (void *)index) == 0);
  for (int index = 0; index < threads; index++) pthread_join(all[index], NULL);
  for (int slot = 0; slot < slots; slot++) free(exchanged[slot]);
  for (int index = 0; index < tenants; index++) {
    fill_to_the_byte(shared[index]);
    free_all(NULL);
    end(shared[index]);
  }
}

static int may_free, is_freed;

static void *free_while_it_ends(void *unused) {
  for (int ending = 1; ending <= endings; ending++) {
    while (__atomic_load_n(&may_free, __ATOMIC_ACQUIRE) < ending) {}
    free_all(NULL);
    __atomic_store_n(&is_freed, ending, __ATOMIC_RELEASE);
  }
  return unused;
}

// A group ends while another thread frees its blocks: what that has put into stock is not left there.
static void while_it_ends(void) {
  pthread_t thread;
  CHECK(pthread_create(&thread, NULL, free_while_it_ends, NULL) == 0);
  for (int ending = 1; ending <= endings; ending++) {
    slab_group *group = make_group((size_t)most * size);
    fill_to_the_byte(group);
    __atomic_store_n(&may_free, ending, __ATOMIC_RELEASE);
    CHECK(slab_group_close(group) == SLAB_OK);
    while (__atomic_load_n(&is_freed, __ATOMIC_ACQUIRE) < ending) {}
    CHECK(slab_group_usage(group) == 0 && slab_group_is_drained(group));
    slab_group_drop(group);
  }
  pthread_join(thread, NULL);
  slab_wait_until_idle();
}

// A broken contract ends the process: a block that is freed twice, whether or not another one was freed meanwhile, and
// an address inside one.
static void broken(int how) {
  slab_group *group = make_group(SLAB_NO_LIMIT);
  slab_group_enter(group);
  for (int index = 0; index < most; index++) CHECK((some[index] = opaque(malloc(size))) != NULL);
  for (int index = 0; index < most / 2; index++) free(some[index]);
  pid_t child = fork();
  CHECK(child >= 0);
  if (child == 0) {
    close(2);
    if (how == 0) free(opaque(some[most / 2 - 1]));
    if (how == 1) free(opaque(some[most / 2 - 10]));
    if (how == 2) free(opaque((char *)some[most - 1] + 16));
    _exit(0);
  }
  int status;
  CHECK(waitpid(child, &status, 0) == child && WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
  for (int index = most / 2; index < most; index++) free(some[index]);
  slab_group_enter(NULL);
  end(group);
}

int main(void) {
  CHECK(slab_group_enter != NULL);
  to_the_byte();
  after_the_end();
  storm();
  while_it_ends();
  for (int how = 0; how < 3; how++) broken(how);
  return 0;
}
