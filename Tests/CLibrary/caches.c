// SPDX-License-Identifier: Apache-2.0
// Caches, and memory of any size: allocation, limits, and what is left when a group or a cache ends.
#include "check.h"

#include <signal.h>
#include <slab.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static slab_group *make_group(const char *name, size_t max) {
  slab_group *group = NULL;
  CHECK(slab_group_create(slab_group_root(), name, max, &group) == SLAB_OK);
  return group;
}

static void construct(void *object) { memset(object, 0x5a, 64); }

static void objects(void) {
  slab_group *tenant = make_group("objects", SLAB_NO_LIMIT);
  slab_cache *cache = NULL, *other = NULL;
  void *many[100];
  CHECK(slab_cache_create("", 64, 8, 0, NULL, &cache) == SLAB_INVALID_NAME);
  CHECK(slab_cache_create("core:mine", 64, 8, 0, NULL, &cache) == SLAB_INVALID_NAME);
  CHECK(slab_cache_create("mine", 0, 8, 0, NULL, &cache) == SLAB_INVALID_SIZE);
  CHECK(slab_cache_create("mine", 32769, 8, 0, NULL, &cache) == SLAB_INVALID_SIZE);
  CHECK(slab_cache_create("mine", 64, 12, 0, NULL, &cache) == SLAB_INVALID_ALIGNMENT);
  CHECK(slab_cache_create("mine", 64, 0, 0, NULL, &cache) == SLAB_INVALID_ALIGNMENT);
  CHECK(slab_cache_create("mine", 64, 8, 1u << 30, NULL, &cache) == SLAB_INVALID_OPTIONS);
  CHECK(slab_cache_create("mine", 64, 8, SLAB_POISON | SLAB_TYPE_SAFE, NULL, &cache) == SLAB_INVALID_OPTIONS);
  CHECK(cache == NULL);
  CHECK(slab_cache_create("mine", 64, 64, SLAB_HARDWARE_ALIGNED, construct, &cache) == SLAB_OK);
  CHECK(slab_cache_create("mine", 64, 8, 0, NULL, &other) == SLAB_CACHE_NAME_IN_USE);

  unsigned char *object = slab_cache_allocate(cache, tenant, NULL);
  CHECK(object != NULL && object[0] == 0x5a && object[63] == 0x5a && (uintptr_t)object % 64 == 0);
  CHECK(slab_usable_size(object) == 64 && slab_group_usage(tenant) == 4096);
  CHECK(slab_cache_destroy(cache) == SLAB_CACHE_BUSY);
  slab_cache_free(cache, object);
  CHECK(slab_cache_allocate_bulk(cache, tenant, many, 100) == SLAB_OK);
  for (int index = 0; index < 100; index++)
    for (int before = 0; before < index; before++) CHECK(many[index] != many[before]);
  slab_free_bulk(many, 100);
  slab_cache_shrink(cache);
  CHECK(slab_cache_destroy(cache) == SLAB_OK);

  // A cache that is abandoned goes with its last object, and its name is free at once.
  CHECK(slab_cache_create("mine", 100, 8, 0, NULL, &cache) == SLAB_OK);
  object = slab_cache_allocate(cache, tenant, NULL);
  slab_cache_abandon(cache);
  CHECK(slab_cache_create("mine", 100, 8, SLAB_POISON, NULL, &other) == SLAB_OK);
  slab_free(object);
  CHECK(slab_cache_destroy(other) == SLAB_OK);
  slab_cache_abandon(NULL);
  slab_group_drop(tenant);
}

static void limits(void) {
  slab_group *outer = make_group("limited", 1 << 20), *inner = NULL;
  slab_error error = SLAB_OK;
  void *blocks[300];
  int count = 0;
  CHECK(slab_group_create(outer, "inner", SLAB_NO_LIMIT, &inner) == SLAB_OK);
  CHECK(slab_group_max(outer) == 1 << 20 && slab_group_max(inner) == SLAB_NO_LIMIT);
  CHECK(slab_group_high(outer) == SLAB_NO_LIMIT && slab_group_low(outer) == 0);
  while ((blocks[count] = slab_allocate(inner, 8192, &error)) != NULL) count++;
  CHECK(error == SLAB_LIMIT_REACHED && count == 128);
  CHECK(slab_group_usage(outer) == 1 << 20 && slab_group_peak(inner) == 1 << 20);
  CHECK(slab_group_events(outer).oom >= 1 && slab_group_events(outer).max >= 1);
  CHECK(slab_group_local_events(outer).max >= 1);
  // A higher limit makes room; a lower one keeps what there is and refuses more.
  CHECK(slab_group_set_max(outer, 2 << 20) == SLAB_OK);
  CHECK((blocks[count] = slab_allocate(inner, 8192, &error)) != NULL);
  slab_free(blocks[count]);
  CHECK(slab_group_set_max(outer, 0) == SLAB_OK && slab_group_usage(outer) >= (size_t)count * 8192);
  CHECK(slab_group_set_high(inner, 1 << 20) == SLAB_OK && slab_group_high(inner) == 1 << 20);
  CHECK(slab_group_set_low(inner, 4096) == SLAB_OK && slab_group_low(inner) == 4096);
  CHECK(slab_group_set_max(slab_group_root(), 1) == SLAB_ROOT_GROUP);

  slab_usage figures = slab_group_statistics(inner);
  CHECK(figures.current == slab_group_usage(inner) && figures.objects == (size_t)count * 8192);
  CHECK(figures.current == figures.objects + figures.free_in_slabs + figures.inherited + figures.unused + figures.below);
  CHECK(slab_group_statistics(outer).below == figures.current);
  while (count > 0) slab_free(blocks[--count]);
  slab_group_reclaim(outer, SIZE_MAX);
  CHECK(slab_group_usage(outer) == 0 && slab_group_usage(inner) == 0);
  slab_group_drop(inner);
  slab_group_drop(outer);
}

// Memory outlives its group: it is charged to the parent from then on, to the byte, and uncharged there.
static void endings(void) {
  slab_group *parent = make_group("parent", SLAB_NO_LIMIT), *child = NULL;
  slab_error error = SLAB_OK;
  CHECK(slab_group_create(parent, "child", SLAB_NO_LIMIT, &child) == SLAB_OK);
  char *small = slab_allocate(child, 100, NULL);
  char *large = slab_allocate(child, 100000, NULL);
  memset(small, 1, 100);
  memset(large, 2, 100000);
  size_t charged = slab_group_usage(child);
  CHECK(charged >= 100100 && slab_group_usage(parent) == charged);
  CHECK(slab_group_close(child) == SLAB_OK && slab_group_close(child) == SLAB_OK);
  CHECK(!slab_group_is_online(child) && !slab_group_is_drained(child));
  CHECK(slab_allocate(child, 1, &error) == NULL && error == SLAB_GROUP_OFFLINE);
  slab_wait_until_idle();
  CHECK(slab_group_usage(child) == slab_group_usage(parent));
  charged = slab_group_usage(child);
  slab_group_drop(child);
  slab_wait_until_idle();
  CHECK(slab_group_usage(parent) == charged);
  CHECK(slab_group_statistics(parent).inherited + slab_group_statistics(parent).unused == charged);
  CHECK(small[99] == 1 && large[99999] == 2);
  slab_free(small);
  slab_free(large);
  slab_wait_until_idle();
  CHECK(slab_group_usage(parent) == 0);

  // All at once, without a look.
  CHECK(slab_group_create(parent, "child", SLAB_NO_LIMIT, &child) == SLAB_OK);
  for (int index = 0; index < 1000; index++) CHECK(slab_allocate(child, 1000, NULL) != NULL);
  CHECK(slab_group_discard(child) == SLAB_OK);
  slab_wait_until_idle();
  CHECK(slab_group_usage(parent) == 0 && slab_group_is_drained(child));
  slab_group_drop(child);
  CHECK(slab_group_close(slab_group_root()) == SLAB_ROOT_GROUP);
  CHECK(slab_group_discard(slab_group_root()) == SLAB_ROOT_GROUP);
  slab_group_drop(parent);
}

static void blocks(void) {
  slab_group *first = make_group("first", 1 << 20), *second = make_group("second", 1 << 20);
  slab_error error = SLAB_OK;
  slab_free(NULL);
  void *nothing = slab_allocate(first, 0, NULL);
  CHECK(nothing != NULL);
  slab_free(nothing);
  CHECK(slab_allocate(first, SIZE_MAX, &error) == NULL && error == SLAB_INVALID_SIZE);
  CHECK(slab_allocate_aligned(first, 1, 3, &error) == NULL && error == SLAB_INVALID_ALIGNMENT);
  CHECK(slab_allocate_aligned(first, 1, (size_t)2 << 30, &error) == NULL && error == SLAB_INVALID_ALIGNMENT);
  for (size_t alignment = 1; alignment <= 1 << 20; alignment *= 2) {
    void *block = slab_allocate_aligned(first, 100, alignment, NULL);
    CHECK(block != NULL && (uintptr_t)block % alignment == 0);
    slab_free(block);
  }
  // A block grows in its place as far as it can be used; where it moves, it is charged to the group that asks.
  char *block = slab_reallocate(first, NULL, 100, NULL);
  for (int index = 0; index < 100; index++) block[index] = (char)index;
  size_t room = slab_usable_size(block);
  CHECK(room >= 100 && slab_reallocate(second, block, room, NULL) == block && slab_group_usage(second) == 0);
  block = slab_reallocate(second, block, 20000, NULL);
  CHECK(block != NULL && slab_group_usage(second) >= 20000);
  for (int index = 0; index < 100; index++) CHECK(block[index] == (char)index);
  CHECK(slab_reallocate(second, block, 2 << 20, &error) == NULL && error == SLAB_LIMIT_REACHED);
  CHECK(block[99] == 99);
  block = slab_reallocate(second, block, 10, NULL);
  CHECK(block != NULL && block[9] == 9 && slab_usable_size(block) < 20000);
  slab_free(block);
  slab_group_drop(first);
  slab_group_drop(second);
  slab_trim();
}

static void errors(void) {
  for (int error = SLAB_OK; error <= SLAB_GROUP_IN_USE; error++) {
    CHECK(strlen(slab_error_text((slab_error)error)) > 5);
    for (int before = SLAB_OK; before < error; before++)
      CHECK(strcmp(slab_error_text((slab_error)before), slab_error_text((slab_error)error)) != 0);
  }
  CHECK(strcmp(slab_error_text((slab_error)1000), "unknown error") == 0);
}

// A broken contract: one line on standard error, and the process aborts.
static void ends(void (*body)(void), const char *expected) {
  char line[256];
  int status, ends[2];
  CHECK(pipe(ends) == 0);
  pid_t child = fork();
  if (child == 0) {
    dup2(ends[1], 2);
    body();
    _exit(0);
  }
  close(ends[1]);
  ssize_t size = read(ends[0], line, sizeof line - 1);
  line[size < 0 ? 0 : size] = 0;
  close(ends[0]);
  CHECK(waitpid(child, &status, 0) == child && WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
  if (strstr(line, expected) == NULL) fprintf(stderr, "found: %s\n", line);
  CHECK(strncmp(line, "slab: ", 6) == 0 && strstr(line, expected) != NULL);
}

static void free_twice(void) {
  void *block = slab_allocate(NULL, 100, NULL);
  slab_free(block);
  slab_free(block);
}

static void free_foreign(void) {
  static char mine[64];
  slab_free(mine);
}

static void free_to_another(void) {
  slab_cache *one, *two;
  if (slab_cache_create("one", 64, 8, 0, NULL, &one) != SLAB_OK) return;
  if (slab_cache_create("two", 64, 8, 0, NULL, &two) != SLAB_OK) return;
  slab_cache_free(two, slab_cache_allocate(one, NULL, NULL));
}

static void drop_twice(void) {
  slab_group *parent = make_group("twice", SLAB_NO_LIMIT), *child = NULL;
  if (slab_group_create(parent, "child", SLAB_NO_LIMIT, &child) != SLAB_OK) return;
  slab_group_drop(parent);
  slab_group_drop(parent);
}

int main(void) {
  objects();
  limits();
  endings();
  blocks();
  errors();
  ends(free_twice, "double free");
  ends(free_foreign, "not an object");
  ends(free_to_another, "another cache");
  ends(drop_twice, "release:");
  puts("caches: ok");
}
