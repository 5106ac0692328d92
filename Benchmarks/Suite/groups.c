// SPDX-License-Identifier: Apache-2.0
// Groups with 8 objects of 3 sizes, 1,792 bytes, while LIVE of them are alive, by what an allocator has for memory that ends
// together.
//
//   groups KIND LIVE
//   groups slab million   a million groups are born, used and buried by two threads, few of them live
//
// KIND is slab (groups), mimalloc (heaps), jemalloc (arenas), talloc (contexts), apr (pools) or malloc (a list of blocks); the
// library is preloaded. Prints "KEY NUMBER" lines: nanoseconds of the process's CPU time for a group, its workers' included, and
// bytes for a group.
#include "common.h"
#include "histogram.h"

// What the libraries have, as far as one is loaded.
#pragma weak mi_heap_new
#pragma weak mi_heap_malloc
#pragma weak mi_heap_delete
#pragma weak mi_heap_destroy
#pragma weak mi_free
#pragma weak mi_collect
#pragma weak mallctl
#pragma weak mallocx
#pragma weak dallocx
#pragma weak talloc_named_const
#pragma weak _talloc_free
#pragma weak apr_initialize
#pragma weak apr_pool_create_ex
#pragma weak apr_palloc
#pragma weak apr_pool_destroy
void *mi_heap_new(void);
void *mi_heap_malloc(void *heap, size_t size);
void mi_heap_delete(void *heap);
void mi_heap_destroy(void *heap);
void mi_free(void *block);
void mi_collect(_Bool force);
int mallctl(const char *name, void *old, size_t *old_size, void *new, size_t new_size);
void *mallocx(size_t size, int flags);
void dallocx(void *block, int flags);
void *talloc_named_const(const void *context, size_t size, const char *name);
int _talloc_free(void *block, const char *place);
int apr_initialize(void);
int apr_pool_create_ex(void **pool, void *parent, void *abort, void *allocator);
void *apr_palloc(void *pool, size_t size);
void apr_pool_destroy(void *pool);

enum { objects = 8 };
static const size_t sizes[objects] = {64, 64, 64, 192, 192, 192, 512, 512};

struct group {
  void *handle;
  void *blocks[objects];
};

struct kind {
  const char *name;
  void (*start)(void);
  void (*make)(struct group *group);
  void *(*allocate)(struct group *group, int index);
  // NULL where single objects are not freed.
  void (*free)(struct group *group, void *block);
  // Ends a group that may be empty; and one together with what is in it.
  void (*close)(struct group *group);
  void (*discard)(struct group *group);
  // Waits until nothing is left to do, and gives back what is not in use.
  void (*settle)(void);
  void (*trim)(void);
};

static void nothing(void) {}

// MARK: slab

static slab_cache *caches[objects];

static void slab_begin(void) {
  must(slab_group_create != NULL, "the allocator has no groups");
  for (int index = 0; index < objects; index++) {
    char name[16];
    snprintf(name, sizeof name, "size-%zu", sizes[index]);
    if (index > 0 && sizes[index] == sizes[index - 1]) caches[index] = caches[index - 1];
    else must(slab_cache_create(name, sizes[index], 8, 0, NULL, &caches[index]) == SLAB_OK, "no cache");
  }
}
static void slab_make(struct group *group) { group->handle = new_group(SLAB_NO_LIMIT); }
static void *slab_one(struct group *group, int index) {
  return slab_cache_allocate(caches[index], group->handle, NULL);
}
static void slab_one_free(struct group *group, void *block) {
  (void)group;
  slab_free(block);
}
static void slab_end(struct group *group) {
  slab_group_close(group->handle);
  slab_group_drop(group->handle);
}
static void slab_end_all(struct group *group) {
  slab_group_discard(group->handle);
  slab_group_drop(group->handle);
}
static void slab_settle(void) { slab_wait_until_idle(); }
static void slab_give_back(void) {
  slab_group_reclaim(slab_group_root(), SIZE_MAX);
  slab_trim();
}

// MARK: mimalloc

static void mimalloc_begin(void) { must(mi_heap_new != NULL, "mimalloc is not loaded"); }
static void mimalloc_make(struct group *group) { group->handle = mi_heap_new(); }
static void *mimalloc_one(struct group *group, int index) { return mi_heap_malloc(group->handle, sizes[index]); }
static void mimalloc_free(struct group *group, void *block) {
  (void)group;
  mi_free(block);
}
static void mimalloc_close(struct group *group) { mi_heap_delete(group->handle); }
static void mimalloc_discard(struct group *group) { mi_heap_destroy(group->handle); }
static void mimalloc_trim(void) { mi_collect(1); }

// MARK: jemalloc

// An arena's number above that of the first, and no cache of the thread's: MALLOCX_ARENA and MALLOCX_TCACHE_NONE.
static int flags_of(struct group *group) {
  return (int)(((unsigned)(uintptr_t)group->handle + 1) << 20 | 1u << 8);
}
static void jemalloc_begin(void) { must(mallctl != NULL && mallocx != NULL, "jemalloc is not loaded"); }
static void jemalloc_make(struct group *group) {
  unsigned arena;
  size_t size = sizeof arena;
  must(mallctl("arenas.create", &arena, &size, NULL, 0) == 0, "no arena");
  group->handle = (void *)(uintptr_t)arena;
}
static void *jemalloc_one(struct group *group, int index) { return mallocx(sizes[index], flags_of(group)); }
static void jemalloc_free(struct group *group, void *block) { dallocx(block, flags_of(group)); }
static void jemalloc_close(struct group *group) {
  char name[32];
  snprintf(name, sizeof name, "arena.%u.destroy", (unsigned)(uintptr_t)group->handle);
  must(mallctl(name, NULL, NULL, NULL, 0) == 0, "an arena cannot be destroyed");
}
static void jemalloc_trim(void) { mallctl("arena.4096.purge", NULL, NULL, NULL, 0); }

// MARK: talloc

static void talloc_begin(void) { must(talloc_named_const != NULL, "talloc is not loaded"); }
static void talloc_make(struct group *group) { group->handle = talloc_named_const(NULL, 0, "group"); }
static void *talloc_one(struct group *group, int index) {
  return talloc_named_const(group->handle, sizes[index], "object");
}
static void talloc_one_free(struct group *group, void *block) {
  (void)group;
  _talloc_free(block, "groups");
}
static void talloc_end(struct group *group) { _talloc_free(group->handle, "groups"); }

// MARK: APR

static void apr_begin(void) { must(apr_initialize != NULL && apr_initialize() == 0, "APR is not loaded"); }
static void apr_make(struct group *group) {
  must(apr_pool_create_ex(&group->handle, NULL, NULL, NULL) == 0, "no pool");
}
static void *apr_one(struct group *group, int index) { return apr_palloc(group->handle, sizes[index]); }
static void apr_end(struct group *group) { apr_pool_destroy(group->handle); }

// MARK: malloc

// A block's first words are its neighbours in the group's list.
struct node {
  struct node *next, *before;
};
static void list_make(struct group *group) {
  struct node *list = malloc(sizeof *list);
  must(list != NULL, "no memory");
  list->next = list->before = list;
  group->handle = list;
}
static void *list_one(struct group *group, int index) {
  struct node *list = group->handle, *node = malloc(sizes[index]);
  if (node == NULL) return NULL;
  node->next = list->next;
  node->before = list;
  list->next->before = node;
  list->next = node;
  return node;
}
static void list_free(struct group *group, void *block) {
  struct node *node = block;
  (void)group;
  node->before->next = node->next;
  node->next->before = node->before;
  free(node);
}
static void list_discard(struct group *group) {
  struct node *list = group->handle;
  for (struct node *node = list->next, *next; node != list; node = next) {
    next = node->next;
    free(node);
  }
  free(list);
}

#pragma weak malloc_trim
int malloc_trim(size_t pad);
static void malloc_give_back(void) {
  if (malloc_trim != NULL) malloc_trim(0);
}

static const struct kind kinds[] = {
    {"slab", slab_begin, slab_make, slab_one, slab_one_free, slab_end, slab_end_all, slab_settle, slab_give_back},
    {"mimalloc", mimalloc_begin, mimalloc_make, mimalloc_one, mimalloc_free, mimalloc_close, mimalloc_discard, nothing,
     mimalloc_trim},
    {"jemalloc", jemalloc_begin, jemalloc_make, jemalloc_one, jemalloc_free, jemalloc_close, jemalloc_close, nothing,
     jemalloc_trim},
    {"talloc", talloc_begin, talloc_make, talloc_one, talloc_one_free, talloc_end, talloc_end, nothing, malloc_give_back},
    {"apr", apr_begin, apr_make, apr_one, NULL, apr_end, apr_end, nothing, malloc_give_back},
    {"malloc", nothing, list_make, list_one, list_free, list_discard, list_discard, nothing, malloc_give_back},
};

static const struct kind *kind;
static struct group *groups;
static unsigned live;
static const unsigned *order;

static void fill(struct group *group) {
  kind->make(group);
  for (int index = 0; index < objects; index++) {
    group->blocks[index] = opaque(kind->allocate(group, index));
    must(group->blocks[index] != NULL, "no memory for an object");
    ((char *)group->blocks[index])[sizes[index] - 1] = 1;
  }
}

static void empty(struct group *group) {
  if (kind->free != NULL)
    for (int index = 0; index < objects; index++) kind->free(group, group->blocks[index]);
}

static void bury(struct group *group) {
  empty(group);
  kind->close(group);
}

static double now(void) { return nanoseconds(CLOCK_PROCESS_CPUTIME_ID); }

static void report(const char *key, double start, double count) { printf("%s %.1f\n", key, (now() - start) / count); }

static void fill_all(void) {
  for (unsigned index = 0; index < live; index++) fill(&groups[index]);
}

// Which group is at a place of an order: as they were made, the other way round, or by chance.
static struct group *at(unsigned place, char by) {
  return &groups[by == 'c' ? place : by == 'r' ? live - 1 - place : order[place]];
}

static void end_all(const char *key, void (*end)(struct group *group), char by) {
  double start = now();
  for (unsigned place = 0; place < live; place++) end(at(place, by));
  kind->settle();
  report(key, start, live);
}

// Each close by itself, by the clock on the wall.
static struct histogram closes;

static void close_timed(struct group *group) {
  double begun = nanoseconds(CLOCK_MONOTONIC);
  kind->close(group);
  note(&closes, nanoseconds(CLOCK_MONOTONIC) - begun);
}

enum { million = 1000000, threads = 2, warm = 10000 };
static cpu_set_t allowed;

static void *run_lives(void *number) {
  struct group group;
  pin((unsigned)(uintptr_t)number, &allowed);
  for (unsigned turn = 0; turn < million / threads; turn++) {
    fill(&group);
    bury(&group);
  }
  return NULL;
}

static void run_million(void) {
  pthread_t all[threads];
  struct group group;
  for (unsigned turn = 0; turn < warm; turn++) {
    fill(&group);
    bury(&group);
  }
  kind->settle();
  kind->trim();
  double resident = resident_bytes(), start = nanoseconds(CLOCK_MONOTONIC), used = now();
  for (uintptr_t number = 0; number < threads; number++)
    must(pthread_create(&all[number], NULL, run_lives, (void *)number) == 0, "no thread");
  for (unsigned number = 0; number < threads; number++) pthread_join(all[number], NULL);
  kind->settle();
  printf("seconds %.3f\n", (nanoseconds(CLOCK_MONOTONIC) - start) / 1e9);
  printf("cpu-seconds %.3f\n", (now() - used) / 1e9);
  kind->trim();
  printf("after %.4f\n", resident_bytes() / resident);
}

int main(int count, char **arguments) {
  if (count != 3) return 64;
  for (size_t index = 0; index < sizeof kinds / sizeof kinds[0]; index++)
    if (strcmp(kinds[index].name, arguments[1]) == 0) kind = &kinds[index];
  int is_million = strcmp(arguments[2], "million") == 0;
  live = is_million ? 1 : (unsigned)strtoul(arguments[2], NULL, 10);
  if (kind == NULL || live == 0) return 64;
  must(sched_getaffinity(0, sizeof allowed, &allowed) == 0, "no CPUs");
  pin(0, &allowed);
  kind->start();
  if (is_million) {
    run_million();
    return 0;
  }
  groups = calloc(live, sizeof *groups);
  must(groups != NULL, "no memory for the table");
  for (unsigned index = 0; index < live; index++) groups[index].handle = &groups[index];
  order = shuffled(live);
  double resident = resident_bytes(), addresses = kibibytes("/proc/self/status", "VmSize:") * 1024,
         tables = kibibytes("/proc/self/status", "VmPTE:") * 1024;

  double start = now();
  fill_all();
  report("birth", start, live);
  printf("resident %.0f\n", (resident_bytes() - resident) / live);
  printf("addresses %.0f\n", (kibibytes("/proc/self/status", "VmSize:") * 1024 - addresses) / live);
  printf("tables %.1f\n", (kibibytes("/proc/self/status", "VmPTE:") * 1024 - tables) / live);
  fflush(stdout);

  // First in, first out; and by chance.
  unsigned turns = live > 200000 ? 200000 : live < 20000 ? 20000 : live;
  start = now();
  for (unsigned turn = 0; turn < turns; turn++) {
    bury(at(turn % live, 'c'));
    fill(at(turn % live, 'c'));
  }
  kind->settle();
  report("life", start, turns);
  start = now();
  for (unsigned turn = 0; turn < turns; turn++) {
    bury(at(turn % live, 'x'));
    fill(at(turn % live, 'x'));
  }
  kind->settle();
  report("churn", start, turns);

  if (kind->free != NULL) {
    end_all("free-created", bury, 'c');
    fill_all();
    end_all("free-reversed", bury, 'r');
    fill_all();
    end_all("free-random", bury, 'x');
    fill_all();
    for (unsigned place = 0; place < live; place++) empty(at(place, 'c'));
    end_all("close", close_timed, 'c');
    printf("close-p99 %.0f\nclose-p99.9 %.0f\n", percentile(&closes, 0.99), percentile(&closes, 0.999));
    fill_all();
  }
  end_all("discard", kind->discard, 'c');
  fill_all();
  end_all("discard-random", kind->discard, 'x');
  kind->trim();
  printf("left %.1f\n", (resident_bytes() - resident) / live);
  return 0;
}
