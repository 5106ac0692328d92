// SPDX-License-Identifier: Apache-2.0
// A program that enters groups where the allocator is there, and knows nothing of it where it is not: what malloc gives
// a thread is charged to the group that the thread has entered, within its limit, whichever thread frees it.
#define _GNU_SOURCE
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <slab.h>

#include "check.h"

#pragma weak slab_group_create
#pragma weak slab_group_enter
#pragma weak slab_group_usage
#pragma weak slab_group_drop
#pragma weak slab_group_share
#pragma weak slab_group_close
#pragma weak slab_group_local_events
#pragma weak slab_group_is_drained
#pragma weak slab_wait_until_idle

enum { blocks = 3000, tenants = 1000, rounds = 20 };

static void *some[blocks];

static slab_group *make_group(size_t max) {
  slab_group *group;
  CHECK(slab_group_create(NULL, NULL, max, &group) == SLAB_OK);
  return group;
}

static void fill(size_t size) {
  for (int index = 0; index < blocks; index++) {
    CHECK((some[index] = opaque(malloc(size))) != NULL);
    memset(some[index], 1, size);
  }
}

static void *free_all(void *unused) {
  for (int index = 0; index < blocks; index++) free(some[index]);
  return unused;
}

static void charged_to_the_group(void) {
  slab_group *group = make_group(SLAB_NO_LIMIT);
  fill(1000);
  free_all(NULL);
  CHECK(slab_group_usage(group) == 0);
  CHECK(slab_group_enter(group) == NULL);
  fill(1000);
  size_t usage = slab_group_usage(group);
  CHECK(usage >= blocks * 1000 && usage < blocks * 1200);
  // Blocks that grow and aligned ones as well.
  void *large = opaque(realloc(malloc(10), 1 << 20));
  void *aligned = opaque(aligned_alloc(4096, 100000));
  CHECK(slab_group_usage(group) >= usage + (1 << 20) + 100000);
  CHECK(slab_group_enter(NULL) == group);
  // Another thread, in no group, gives back what it was charged for.
  pthread_t thread;
  CHECK(pthread_create(&thread, NULL, free_all, NULL) == 0);
  pthread_join(thread, NULL);
  free(large);
  free(aligned);
  CHECK(slab_group_close(group) == SLAB_OK);
  slab_wait_until_idle();
  CHECK(slab_group_is_drained(group) && slab_group_usage(group) == 0);
  slab_group_drop(group);
}

// A group that shares slabs with others pays for its blocks by the byte.
static void charged_by_the_byte(void) {
  slab_group *group = make_group(100 * 64);
  CHECK(slab_group_share(group) == SLAB_OK);
  slab_group_enter(group);
  for (int index = 0; index < 100; index++) CHECK((some[index] = opaque(malloc(64))) != NULL);
  CHECK(slab_group_usage(group) == 100 * 64);
  errno = 0;
  CHECK(opaque(malloc(16)) == NULL && errno == ENOMEM);
  free(some[0]);
  CHECK((some[0] = opaque(calloc(1, 50))) != NULL);
  slab_group_enter(NULL);
  slab_group_drop(group);
  for (int index = 0; index < 100; index++) free(some[index]);
  slab_wait_until_idle();
}

// A block that grows is charged for what it grows by: a second one beside it would have no room.
static void grows_within_the_limit(void) {
  slab_group *group = make_group(9 << 20);
  slab_group_enter(group);
  char *block = opaque(malloc(5 << 20));
  CHECK(block != NULL);
  memset(block, 7, 5 << 20);
  CHECK((block = opaque(realloc(block, 8 << 20))) != NULL);
  CHECK(block[0] == 7 && block[(5 << 20) - 1] == 7 && block[5 << 20] == 0);
  CHECK(slab_group_usage(group) < 9 << 20);
  free(block);
  slab_group_enter(NULL);
  CHECK(slab_group_close(group) == SLAB_OK);
  slab_group_drop(group);
}

static void within_its_limit(void) {
  slab_group *group = make_group(1 << 20), *other = make_group(SLAB_NO_LIMIT);
  size_t count = 0;
  slab_group_enter(group);
  errno = 0;
  while (count < blocks && (some[count] = opaque(malloc(1000))) != NULL) count++;
  CHECK(count > 700 && count < 1100 && errno == ENOMEM);
  CHECK(opaque(malloc(100000)) == NULL && opaque(calloc(1, 200000)) == NULL);
  CHECK(slab_group_local_events(group).oom > 0);
  // Its neighbours do not notice, and those that have entered no group neither.
  slab_group_enter(other);
  void *block = opaque(malloc(3 << 20));
  CHECK(block != NULL);
  free(block);
  slab_group_enter(NULL);
  CHECK((block = opaque(malloc(3 << 20))) != NULL);
  free(block);
  while (count > 0) free(some[--count]);
  slab_group_enter(group);
  CHECK((block = opaque(malloc(1000))) != NULL);
  free(block);
  // A group that has ended gives nothing.
  slab_group_close(group);
  errno = 0;
  CHECK(opaque(malloc(1000)) == NULL && errno == ENOMEM);
  slab_group_enter(NULL);
  slab_group_drop(group);
  slab_group_drop(other);
}

static void *switch_groups(void *argument) {
  slab_group **groups = argument;
  char *kept[tenants];
  for (int round = 0; round < rounds; round++) {
    for (int index = 0; index < tenants; index++) {
      slab_group_enter(groups[index]);
      kept[index] = opaque(malloc((size_t)(16 + index % 500)));
      CHECK(kept[index] != NULL);
      free(opaque(malloc(64)));
      memset(kept[index], index, (size_t)(16 + index % 500));
    }
    slab_group_enter(NULL);
    for (int index = 0; index < tenants; index++) {
      CHECK(kept[index][15] == (char)index);
      free(kept[index]);
    }
  }
  return NULL;
}

// Groups that come and go at the addresses of others.
static void many_groups(void) {
  static slab_group *groups[tenants];
  for (int turn = 0; turn < 3; turn++) {
    pthread_t threads[3];
    for (int index = 0; index < tenants; index++) groups[index] = make_group(SLAB_NO_LIMIT);
    for (int index = 0; index < 3; index++)
      CHECK(pthread_create(&threads[index], NULL, switch_groups, groups) == 0);
    for (int index = 0; index < 3; index++) pthread_join(threads[index], NULL);
    for (int index = 0; index < tenants; index++) slab_group_drop(groups[index]);
    slab_wait_until_idle();
  }
}

int main(int count, char **arguments) {
  (void)arguments;
  if (slab_group_enter == NULL) {
    CHECK(count > 1);
    free(opaque(malloc(100)));
    return 0;
  }
  CHECK(count == 1);
  charged_to_the_group();
  charged_by_the_byte();
  grows_within_the_limit();
  within_its_limit();
  many_groups();
  return 0;
}
