// SPDX-License-Identifier: Apache-2.0
// Slabinfo or the snapshot while so many caches or groups exist, read in one piece and in pieces of 4 KiB.
//
//   texts slabinfo CACHES
//   texts snapshot GROUPS
//
// Each group has a child of one cache. Prints "PIECES NANOSECONDS" lines, the time of this thread for a line of slabinfo, or
// for a group of the snapshot and its cache.
#include "common.h"

static char *buffer;
static int is_slabinfo;

// Reads all of a text: its bytes, and the lines that it has.
static size_t read_all(size_t piece, size_t *lines) {
  slab_report *report;
  size_t bytes = 0, count;
  slab_error error =
      is_slabinfo ? slab_slabinfo_open(slab_group_root(), &report) : slab_snapshot_open(slab_group_root(), &report);
  must(error == SLAB_OK, "no report");
  while ((count = slab_report_read(report, buffer, piece)) > 0) {
    bytes += count;
    if (lines != NULL)
      for (size_t index = 0; index < count; index++) *lines += buffer[index] == '\n';
  }
  slab_report_close(report);
  return bytes;
}

static slab_cache *new_cache(unsigned number) {
  char name[32];
  slab_cache *cache;
  snprintf(name, sizeof name, "cache-%u", number);
  slab_error error = slab_cache_create(name, 64, 8, 0, NULL, &cache);
  must(error == SLAB_OK, slab_error_text(error));
  return cache;
}

int main(int count, char **arguments) {
  if (count != 3) return 64;
  is_slabinfo = strcmp(arguments[1], "slabinfo") == 0;
  unsigned wanted = (unsigned)strtoul(arguments[2], NULL, 10);
  must(slab_cache_create != NULL, "the allocator has no caches");
  if (is_slabinfo)
    for (unsigned number = 0; number < wanted; number++) new_cache(number);
  else {
    slab_cache *cache = new_cache(0);
    for (unsigned number = 0; number < wanted; number++)
      must(slab_cache_allocate(cache, new_group(SLAB_NO_LIMIT), NULL) != NULL, "no object");
  }
  // Room for all of it, and touched.
  size_t room = ((size_t)wanted + 1000) * 1024, lines = 0;
  buffer = malloc(room);
  must(buffer != NULL, "no memory for the text");
  memset(buffer, 1, room);
  read_all(room, &lines);
  double divisor = is_slabinfo ? (double)lines : (double)wanted;
  double start = nanoseconds(CLOCK_THREAD_CPUTIME_ID);
  read_all(room, NULL);
  double whole = nanoseconds(CLOCK_THREAD_CPUTIME_ID);
  size_t bytes = read_all(4096, NULL);
  double pieces = nanoseconds(CLOCK_THREAD_CPUTIME_ID);
  printf("whole %.1f\npieces %.1f\nbytes %.1f\n", (whole - start) / divisor, (pieces - whole) / divisor,
         (double)bytes / divisor);
  return 0;
}
