// SPDX-License-Identifier: Apache-2.0
// Groups, and the current one: what is charged, limited and left behind.
#include "check.h"

#include <slab.h>
#include <string.h>

static slab_group *make(slab_group *parent, const char *name, size_t max) {
  slab_group *group = NULL;
  CHECK(slab_group_create(parent, name, max, &group) == SLAB_OK);
  return group;
}

static void names_and_paths(void) {
  slab_group *tenants = make(slab_group_root(), "tenants", SLAB_NO_LIMIT);
  slab_group *a = make(tenants, "a", 1 << 20);
  slab_group *nameless = make(a, NULL, SLAB_NO_LIMIT);
  slab_group *found = NULL;
  char path[32], part[5];
  CHECK(slab_group_create(tenants, "a", 1, &found) == SLAB_GROUP_NAME_IN_USE);
  CHECK(slab_group_create(tenants, "a b", 1, &found) == SLAB_INVALID_NAME);
  CHECK(slab_group_create(tenants, "\xc3(", 1, &found) == SLAB_INVALID_NAME);
  CHECK(slab_group_create(tenants, "\xed\xa0\x80", 1, &found) == SLAB_INVALID_NAME);
  CHECK(slab_group_create(tenants, "..", 1, &found) == SLAB_INVALID_NAME);
  CHECK(found == NULL);
  CHECK(slab_group_path(a, path, sizeof path) == 10 && strcmp(path, "/tenants/a") == 0);
  CHECK(slab_group_path(a, part, sizeof part) == 10 && strcmp(part, "/ten") == 0);
  CHECK(slab_group_path(a, NULL, 0) == 10);
  CHECK(slab_group_path(slab_group_root(), path, sizeof path) == 1 && strcmp(path, "/") == 0);
  CHECK(slab_group_find(NULL, "/tenants/a", &found) == SLAB_OK && found == a);
  slab_group_drop(found);
  CHECK(slab_group_find(tenants, "a", &found) == SLAB_OK && found == a);
  CHECK(slab_group_find(tenants, "b", &found) == SLAB_NO_SUCH_GROUP);
  CHECK(slab_group_find(NULL, "/tenants/a/b/c", &found) == SLAB_NO_SUCH_GROUP);
  CHECK(slab_group_parent(a) == tenants && slab_group_parent(slab_group_root()) == NULL);
  // Holds on a group keep those above it online, in whatever order they are given back.
  slab_group_drop(tenants);
  CHECK(slab_group_is_online(tenants));
  slab_group_drop(a);
  CHECK(slab_group_is_online(a));
  slab_group_drop(nameless);
  slab_group_drop(a);
  CHECK(slab_group_find(NULL, "/tenants", &found) == SLAB_NO_SUCH_GROUP);
  slab_wait_until_idle();
}

// Charged by the byte, and exact at the limit; not to be discarded.
static void shared_group(void) {
  slab_group *parent = make(slab_group_root(), "sharing", SLAB_NO_LIMIT);
  slab_group *group = make(parent, "tiny", 10 * 64);
  CHECK(!slab_group_is_shared(group) && slab_group_share(group) == SLAB_OK && slab_group_is_shared(group));
  CHECK(slab_group_share(slab_group_root()) == SLAB_ROOT_GROUP);
  void *blocks[10];
  for (int i = 0; i < 10; i++) {
    blocks[i] = slab_allocate(group, 64, NULL);
    CHECK(blocks[i] != NULL);
  }
  slab_error error = SLAB_OK;
  CHECK(slab_allocate(group, 16, &error) == NULL && error == SLAB_LIMIT_REACHED);
  CHECK(slab_group_usage(group) == 640 && slab_group_statistics(group).objects == 640);
  CHECK(slab_group_discard(group) == SLAB_GROUP_SHARED && slab_group_discard(parent) == SLAB_GROUP_SHARED);
  CHECK(slab_group_is_online(group));
  slab_free_bulk(blocks, 9);
  slab_group_drop(group);
  CHECK(slab_group_usage(parent) == 64);
  slab_free(blocks[9]);
  CHECK(slab_group_usage(parent) == 0);
  void *block = slab_allocate(parent, 64, NULL);
  CHECK(slab_group_share(parent) == SLAB_GROUP_IN_USE);
  slab_free(block);
  slab_group_drop(parent);
  slab_wait_until_idle();
}

static void current_group(void) {
  slab_group *outer = make(slab_group_root(), "outer", SLAB_NO_LIMIT);
  slab_group *inner = make(outer, "inner", SLAB_NO_LIMIT);
  CHECK(slab_group_save() == NULL && slab_group_current() == slab_group_root());
  CHECK(slab_group_enter(outer) == NULL && slab_group_current() == outer);
  CHECK(slab_group_enter(inner) == outer);
  void *block = slab_allocate(NULL, 100, NULL);
  CHECK(block != NULL && slab_group_usage(inner) > 0);
  CHECK(slab_group_usage(NULL) == slab_group_usage(inner));
  slab_group *saved = slab_group_save();
  slab_group_restore(NULL);
  CHECK(slab_group_current() == slab_group_root());
  slab_group_restore(saved);
  slab_free(block);
  slab_group_restore(outer);
  CHECK(slab_group_enter(NULL) == outer);
  slab_group_drop(inner);
  slab_group_drop(outer);
}

// A group that overcharges is refused nothing up to its stop; one that does not is, at its max.
static void policies(void) {
  slab_group *group = make(slab_group_root(), "policies", 64 << 10);
  CHECK(slab_group_policy(group) == SLAB_FAIL && slab_group_stop(group) == SLAB_NO_LIMIT);
  CHECK(slab_group_set_policy(slab_group_root(), SLAB_OVERCHARGE) == SLAB_ROOT_GROUP);
  CHECK(slab_group_set_stop(slab_group_root(), 1) == SLAB_ROOT_GROUP);
  slab_error error;
  CHECK(slab_allocate(group, 200000, &error) == NULL && error == SLAB_LIMIT_REACHED);
  CHECK(slab_group_local_events(group).oom == 1 && slab_group_local_events(group).overcharge == 0);
  CHECK(slab_group_set_policy(group, SLAB_OVERCHARGE) == SLAB_OK);
  CHECK(slab_group_policy(group) == SLAB_OVERCHARGE);
  void *block = slab_allocate(group, 200000, &error);
  CHECK(block != NULL && slab_group_usage(group) > 64 << 10);
  CHECK(slab_group_events(group).overcharge == 1 && slab_group_local_events(group).oom == 1);
  CHECK(slab_group_set_stop(group, 256 << 10) == SLAB_OK && slab_group_stop(group) == 256 << 10);
  CHECK(slab_allocate(group, 200000, &error) == NULL && error == SLAB_LIMIT_REACHED);
  slab_free(block);
  CHECK(slab_group_close(group) == SLAB_OK);
  slab_group_drop(group);
}

int main(void) {
  CHECK(slab_start() == SLAB_OK);
  names_and_paths();
  shared_group();
  current_group();
  policies();
  puts("groups: ok");
}
