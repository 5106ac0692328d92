// SPDX-License-Identifier: Apache-2.0
// What caches and groups cost where there can be many CPUs: SLAB_CPUS in the environment says how many. Prints "KEY NUMBER"
// lines: bytes, and nanoseconds of the process's CPU time.
#include "common.h"

enum { caches = 1000, groups = 1000, kinds = 3, objects = 8, calls = 100 };
static const size_t sizes[kinds] = {64, 192, 512};

static double before_bytes, before_time;

static double now(void) { return nanoseconds(CLOCK_PROCESS_CPUTIME_ID); }

static void begin(void) {
  before_bytes = resident_bytes();
  before_time = now();
}

static void report_bytes(const char *key, double count) {
  printf("%s %.1f\n", key, (resident_bytes() - before_bytes) / count);
}

static void report_time(const char *key, double count) { printf("%s %.1f\n", key, (now() - before_time) / count); }

static slab_cache *new_cache(const char *kind, unsigned number, size_t size) {
  char name[32];
  slab_cache *cache;
  snprintf(name, sizeof name, "%s-%u", kind, number);
  must(slab_cache_create(name, size, 8, 0, NULL, &cache) == SLAB_OK, "no cache");
  return cache;
}

static void use(slab_cache *cache, slab_group *group) {
  void *blocks[100];
  for (unsigned turn = 0; turn < 100; turn++) {
    for (unsigned object = 0; object < 100; object++) {
      blocks[object] = slab_cache_allocate(cache, group, NULL);
      must(blocks[object] != NULL, "no object");
      memset(blocks[object], 1, sizes[0]);
    }
    for (unsigned object = 0; object < 100; object++) slab_free(blocks[object]);
  }
}

int main(void) {
  static slab_group *all[groups];
  static void *blocks[groups][objects];
  slab_cache *shared[kinds];
  must(slab_cache_create != NULL, "the allocator has no caches");
  must(slab_start() == SLAB_OK, "no allocator");
  printf("addresses %.0f\n", kibibytes("/proc/self/status", "VmSize:") * 1024);
  printf("resident %.0f\n", resident_bytes());
  begin();
  for (unsigned number = 0; number < caches; number++)
    must(slab_cache_allocate(new_cache("cache", number, 64), slab_group_root(), NULL) != NULL, "no object");
  report_bytes("cache", caches);
  report_time("cache-time", caches);
  for (unsigned kind = 0; kind < kinds; kind++) shared[kind] = new_cache("kind", kind, sizes[kind]);
  begin();
  for (unsigned group = 0; group < groups; group++) {
    all[group] = new_group(SLAB_NO_LIMIT);
    for (unsigned object = 0; object < objects; object++) {
      blocks[group][object] = slab_cache_allocate(shared[object * kinds / objects], all[group], NULL);
      must(blocks[group][object] != NULL, "no object");
      memset(blocks[group][object], 1, sizes[object * kinds / objects]);
    }
  }
  report_bytes("group", groups);
  report_time("group-time", groups);
  begin();
  for (unsigned call = 0; call < calls; call++) must(slab_group_statistics(all[call]).current > 0, "nothing is charged");
  report_time("statistics", calls);
  begin();
  for (unsigned call = 0; call < calls; call++) slab_synchronize();
  report_time("synchronize", calls);
  begin();
  for (unsigned call = 0; call < calls; call++) slab_cache_shrink(shared[0]);
  report_time("shrink", calls);
  begin();
  for (unsigned group = 0; group < groups; group++) {
    for (unsigned object = 0; object < objects; object++) slab_free(blocks[group][object]);
    slab_group_close(all[group]);
    slab_group_drop(all[group]);
  }
  slab_wait_until_idle();
  report_time("close", groups);
  // Groups that were used enough to have objects at hand on a CPU.
  begin();
  for (unsigned group = 0; group < calls; group++) {
    all[group] = new_group(SLAB_NO_LIMIT);
    use(shared[0], all[group]);
  }
  report_bytes("busy", calls);
  begin();
  for (unsigned group = 0; group < calls; group++) {
    slab_group_close(all[group]);
    slab_group_drop(all[group]);
  }
  slab_wait_until_idle();
  report_time("busy-close", calls);
  return 0;
}
