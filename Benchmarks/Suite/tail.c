// SPDX-License-Identifier: Apache-2.0
// How long one tenant's allocations take while something else goes on in the allocator, on the other CPU.
//
//   tail MILLISECONDS GROUPS
//
// The tenant allocates 64 bytes through malloc, in its group: 1,024 that are timed one by one, then samples of 32 pairs. What
// goes on: quiet (the other CPU computes), closing (GROUPS groups with 8 objects each are closed), limit (another tenant is
// refused again and again), reclaim (another one is reclaimed). Prints "SAMPLES/WHAT/PERCENTILE NANOSECONDS".
#include "common.h"
#include "histogram.h"

static void print(const char *samples, const char *what, const struct histogram *histogram) {
  static const struct {
    const char *name;
    double share;
  } wanted[] = {{"p50", 0.5}, {"p99", 0.99}, {"p99.9", 0.999}, {"p99.99", 0.9999}};
  for (size_t index = 0; index < sizeof wanted / sizeof wanted[0]; index++)
    printf("%s/%s/%s %.0f\n", samples, what, wanted[index].name, percentile(histogram, wanted[index].share));
  printf("%s/%s/max %.0f\n", samples, what, (double)histogram->most);
}

// MARK: the tenant

enum { singles = 1024, pairs = 32, objects = 8, kept_bytes = 4 << 20 };

static cpu_set_t allowed;
static struct histogram one, some;
static slab_group *tenant;
static int is_over, has_begun;

static double now(void) { return nanoseconds(CLOCK_MONOTONIC); }

static inline void *make(size_t size) { return opaque(malloc(size)); }

static void *run_tenant(void *unused) {
  void *blocks[singles];
  pin(0, &allowed);
  slab_group_enter(tenant);
  while (!__atomic_load_n(&has_begun, __ATOMIC_ACQUIRE)) {}
  while (!__atomic_load_n(&is_over, __ATOMIC_ACQUIRE)) {
    for (int index = 0; index < singles; index++) {
      double start = now();
      blocks[index] = make(64);
      note(&one, now() - start);
    }
    for (int index = 0; index < singles; index++) free(blocks[index]);
    for (int sample = 0; sample < pairs; sample++) {
      double start = now();
      for (int index = 0; index < pairs; index++) blocks[index] = make(64);
      for (int index = 0; index < pairs; index++) free(blocks[index]);
      note(&some, now() - start);
    }
  }
  slab_group_enter(NULL);
  return unused;
}

// MARK: what goes on meanwhile

static double milliseconds;
static unsigned count_of_groups;
static slab_group **groups;
static void **blocks;
static unsigned count_of_blocks;

static void begin(void) { __atomic_store_n(&has_begun, 1, __ATOMIC_RELEASE); }

static void compute(void) {
  volatile uint64_t state = 1;
  begin();
  for (double end = now() + milliseconds * 1e6; now() < end;)
    for (int step = 0; step < 1000; step++) state = state * 6364136223846793005u + 1;
}

static void close_groups(void) {
  groups = calloc(count_of_groups, sizeof *groups);
  blocks = calloc((size_t)count_of_groups * objects, sizeof *blocks);
  must(groups != NULL && blocks != NULL, "no memory for tables");
  for (unsigned index = 0; index < count_of_groups; index++) {
    groups[index] = new_group(SLAB_NO_LIMIT);
    slab_group_enter(groups[index]);
    for (int object = 0; object < objects; object++) blocks[index * objects + object] = make(64 + 64 * (size_t)object);
  }
  slab_group_enter(NULL);
  begin();
  for (unsigned index = 0; index < count_of_groups; index++) {
    slab_group_close(groups[index]);
    slab_group_drop(groups[index]);
    for (int object = 0; object < objects; object++) free(blocks[index * objects + object]);
  }
  slab_wait_until_idle();
  free(groups);
  free(blocks);
}

// The tenant at its limit goes on trying, and has a block to spare now and then.
static void be_refused(void) {
  slab_group *group = new_group(kept_bytes);
  blocks = calloc(kept_bytes / 256, sizeof *blocks);
  must(blocks != NULL, "no memory for a table");
  slab_group_enter(group);
  unsigned count = 0;
  while (count < kept_bytes / 256 && (blocks[count] = make(256)) != NULL) count++;
  begin();
  for (double end = now() + milliseconds * 1e6; now() < end;) {
    for (int attempt = 0; attempt < 16; attempt++) {
      void *block = make(4096);
      if (block != NULL) free(block);
    }
    free(blocks[count - 1]);
    if ((blocks[count - 1] = make(256)) == NULL) count--;
    must(count > 1, "the tenant has nothing left");
  }
  slab_group_enter(NULL);
  while (count > 0) free(blocks[--count]);
  slab_group_close(group);
  slab_group_drop(group);
  free(blocks);
}

// What the other tenant has is mostly free, and is taken back again and again.
static void be_reclaimed(void) {
  slab_group *group = new_group(SLAB_NO_LIMIT);
  count_of_blocks = kept_bytes / 256;
  blocks = calloc(count_of_blocks, sizeof *blocks);
  must(blocks != NULL, "no memory for a table");
  slab_group_enter(group);
  begin();
  for (double end = now() + milliseconds * 1e6; now() < end;) {
    for (unsigned index = 0; index < count_of_blocks; index++)
      if (blocks[index] == NULL) blocks[index] = make(256);
    for (unsigned index = 0; index < count_of_blocks; index++)
      if (index % 64 != 0) {
        free(blocks[index]);
        blocks[index] = NULL;
      }
    slab_group_reclaim(group, SIZE_MAX);
  }
  slab_group_enter(NULL);
  for (unsigned index = 0; index < count_of_blocks; index++) free(blocks[index]);
  slab_group_close(group);
  slab_group_drop(group);
  free(blocks);
}

int main(int count, char **arguments) {
  if (count != 3) return 64;
  milliseconds = strtod(arguments[1], NULL);
  count_of_groups = (unsigned)strtoul(arguments[2], NULL, 10);
  if (milliseconds <= 0 || count_of_groups == 0) return 64;
  must(slab_group_enter != NULL, "the allocator has no groups");
  must(sched_getaffinity(0, sizeof allowed, &allowed) == 0, "no CPUs");
  pin(1, &allowed);
  tenant = new_group(SLAB_NO_LIMIT);
  static const struct {
    const char *name;
    void (*run)(void);
  } works[] = {{"quiet", compute}, {"closing", close_groups}, {"limit", be_refused}, {"reclaim", be_reclaimed}};
  for (size_t work = 0; work < sizeof works / sizeof works[0]; work++) {
    memset(&one, 0, sizeof one);
    memset(&some, 0, sizeof some);
    is_over = has_begun = 0;
    pthread_t thread;
    must(pthread_create(&thread, NULL, run_tenant, NULL) == 0, "no thread");
    works[work].run();
    __atomic_store_n(&is_over, 1, __ATOMIC_RELEASE);
    pthread_join(thread, NULL);
    print("one", works[work].name, &one);
    print("pairs", works[work].name, &some);
  }
  return 0;
}
