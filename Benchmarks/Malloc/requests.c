// SPDX-License-Identifier: Apache-2.0
// Requests of 1,000 tenants that take turns: each enters the tenant's group, allocates about 50 blocks of mixed
// sizes, writes them, reads what there is, and leaves the group.
//
//   requests KEPT KIND GROUPS [THOUSANDS]
//
// KEPT is 1 if a tenant's blocks live until its next request, as a session does, and 0 if they are freed at the end
// of the request. KIND is "isolated" or "shared" for groups of slab.h, "heaps" for mimalloc's heaps, "none" for neither.
// There are GROUPS of them, by turns. Prints the nanoseconds of user and system time for a request.
#define _GNU_SOURCE
#include <slab.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#pragma weak slab_group_create
#pragma weak slab_group_enter
#pragma weak slab_group_share
#pragma weak mi_heap_new
#pragma weak mi_heap_malloc
void *mi_heap_new(void);
void *mi_heap_malloc(void *heap, size_t size);

enum { tenants = 1000, most_blocks = 64 };

struct tenant {
  slab_group *group;
  void *heap;
  unsigned count;
  unsigned char *blocks[most_blocks];
  size_t sizes[most_blocks];
};
static struct tenant all[tenants];

static double nanoseconds(void) {
  struct rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1e9 +
         (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1e3;
}

static unsigned next(unsigned *state) { return *state = *state * 1664525u + 1013904223u, *state >> 8; }

static unsigned forget(struct tenant *tenant) {
  unsigned sum = 0;
  for (unsigned block = 0; block < tenant->count; block++)
    for (size_t byte = 0; byte < tenant->sizes[block]; byte += 8) sum += tenant->blocks[block][byte];
  for (unsigned block = 0; block < tenant->count; block++) free(tenant->blocks[block]);
  tenant->count = 0;
  return sum;
}

// Headers, fields of a document, a few buffers.
static void remember(struct tenant *tenant, void *heap, unsigned state) {
  tenant->count = 40 + next(&state) % 21;
  for (unsigned block = 0; block < tenant->count; block++) {
    size_t size = block % 16 == 0 ? 512 + next(&state) % 3584 : 16 + next(&state) % 240;
    if ((tenant->blocks[block] = heap != NULL ? mi_heap_malloc(heap, size) : malloc(size)) == NULL) exit(1);
    tenant->sizes[block] = size;
    memset(tenant->blocks[block], (int)block, size);
  }
}

// Whether there are tenants of this kind with the allocator that is loaded.
static int make_tenants(const char *kind, long groups) {
  int is_shared = strcmp(kind, "shared") == 0;
  if (strcmp(kind, "none") == 0) return groups == 0;
  if (groups < 1 || groups > tenants) return 0;
  if (strcmp(kind, "heaps") == 0) {
    if (mi_heap_new == NULL) return 0;
    for (long group = 0; group < groups; group++)
      if ((all[group].heap = mi_heap_new()) == NULL) exit(1);
    return 1;
  }
  if (slab_group_enter == NULL || (!is_shared && strcmp(kind, "isolated") != 0)) return 0;
  for (long group = 0; group < groups; group++) {
    if (slab_group_create(NULL, NULL, SLAB_NO_LIMIT, &all[group].group) != SLAB_OK) exit(1);
    if (is_shared && slab_group_share(all[group].group) != SLAB_OK) exit(1);
  }
  return 1;
}

int main(int count, char **arguments) {
  if (count < 4) return 64;
  int is_kept = arguments[1][0] == '1';
  long groups = strtol(arguments[3], NULL, 10);
  long requests = (count > 4 ? strtol(arguments[4], NULL, 10) : 300) * 1000;
  if (!make_tenants(arguments[2], groups)) return 64;
  unsigned sum = 0;
  double start = 0;
  // The first rounds of all make the groups' caches, and are not measured.
  for (long request = 0; request < requests + 5 * tenants; request++) {
    struct tenant *tenant = &all[request % tenants];
    struct tenant *owner = groups > 0 ? &all[request % groups] : tenant;
    if (request == 5 * tenants) start = nanoseconds();
    if (owner->group != NULL) slab_group_enter(owner->group);
    if (is_kept) sum += forget(tenant);
    remember(tenant, owner->heap, (unsigned)request * 2654435761u);
    if (!is_kept) sum += forget(tenant);
    if (owner->group != NULL) slab_group_enter(NULL);
  }
  printf("ns_per_request %.1f\n", (nanoseconds() - start) / (double)requests);
  return sum == 1;
}
