// SPDX-License-Identifier: Apache-2.0
// slabinfo and snapshots, whatever the size of the pieces. Prints the snapshot for others to parse.
#include "check.h"

#include <slab.h>
#include <string.h>

static char text[1 << 20];

typedef slab_error (*open_function)(slab_group *, slab_report **);

static size_t read_all(open_function open, slab_group *group, size_t piece) {
  slab_report *report = NULL;
  size_t size = 0, count;
  CHECK(open(group, &report) == SLAB_OK);
  CHECK(slab_report_read(report, text, 0) == 0);
  while ((count = slab_report_read(report, text + size, piece)) > 0) {
    size += count;
    CHECK(size < sizeof text - piece);
  }
  CHECK(slab_report_read(report, text + size, piece) == 0);
  slab_report_close(report);
  text[size] = 0;
  return size;
}

static int times(const char *wanted) {
  int found = 0;
  for (const char *at = text; (at = strstr(at, wanted)) != NULL; at += strlen(wanted)) found += 1;
  return found;
}

int main(void) {
  slab_group *tenants = NULL, *tenant = NULL, *deep = NULL;
  slab_cache *cache = NULL;
  slab_report *report = NULL;
  char name[256];
  memset(name, 'n', 254);
  name[0] = '"';
  name[1] = '\\';
  name[254] = 0;
  CHECK(slab_group_create(slab_group_root(), "tenants", SLAB_NO_LIMIT, &tenants) == SLAB_OK);
  CHECK(slab_cache_create("quoted\"name", 100, 8, 0, NULL, &cache) == SLAB_OK);
  for (int index = 0; index < 50; index++) {
    CHECK(slab_group_create(tenants, NULL, 1 << 20, &tenant) == SLAB_OK);
    CHECK(slab_cache_allocate(cache, tenant, NULL) != NULL);
    // Held by what is below, and by nobody else.
    CHECK(slab_group_create(tenant, name, SLAB_NO_LIMIT, &deep) == SLAB_OK);
    slab_group_drop(tenant);
  }
  for (size_t piece = 1; piece < 4096; piece = piece * 3 + 1) {
    read_all(slab_slabinfo_open, slab_group_root(), piece);
    CHECK(strncmp(text, "slabinfo - version: 2.1\n", 24) == 0 && times("\nquoted\"name ") == 1);
    CHECK(times("core:mem_cgroup ") == 1 && text[strlen(text) - 1] == '\n');
    read_all(slab_slabinfo_open, tenant, piece);
    CHECK(times("\nquoted\"name ") == 1 && times("core:mem_cgroup") == 0);
    read_all(slab_snapshot_open, tenants, piece);
    CHECK(times("{\"is_online\":") == 101 && times("\"path\":\"/tenants//\\\"\\\\nnn") == 50);
    CHECK(times("\"path\":\"/tenants/\"") == 50 && times("{\"name\":\"quoted\\\"name\"") == 1);
    CHECK(times("\"name\":\"charged_bytes\"") == 1);
  }
  // Groups end while they are read: each that is there all the while is met once.
  CHECK(slab_snapshot_open(tenants, &report) == SLAB_OK);
  size_t size = 0, count;
  while (strstr(text, "\"path\":\"/tenants\"") == NULL || size == 0) {
    count = slab_report_read(report, text + size, 64);
    CHECK(count > 0);
    size += count;
    text[size] = 0;
  }
  CHECK(slab_group_close(tenants) == SLAB_OK);
  slab_wait_until_idle();
  while ((count = slab_report_read(report, text + size, 64)) > 0) size += count;
  text[size] = 0;
  CHECK(strcmp(text + size - 3, "]}\n") == 0);
  slab_report_close(report);
  // One that is left early, and nothing.
  CHECK(slab_snapshot_open(slab_group_root(), &report) == SLAB_OK);
  slab_report_close(report);
  CHECK(slab_slabinfo_open(slab_group_root(), &report) == SLAB_OK);
  slab_report_close(report);
  slab_report_close(NULL);
  read_all(slab_snapshot_open, slab_group_root(), 1000);
  fputs(text, stdout);
  slab_wait_until_idle();
}
