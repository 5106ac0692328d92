// SPDX-License-Identifier: Apache-2.0
// What the GNU C library's malloc tells about itself, and what it lets be set.
#define _GNU_SOURCE
#include "front.h"

#include <errno.h>
#include <limits.h>
#include <malloc.h>
#include <stdio.h>

static struct slab_malloc_figures figures(void) {
  struct slab_malloc_figures figures = {0};
  if (slab_malloc_is_ready || slab_malloc_start()) slab_malloc_core_figures(&figures);
  return figures;
}

// The heap is one arena; nothing is mapped by itself, and there are no fast bins.
SLAB_EXPORT struct mallinfo2 mallinfo2(void) {
  struct slab_malloc_figures now = figures();
  struct mallinfo2 info = {0};
  info.arena = now.system;
  info.ordblks = now.blocks;
  info.uordblks = now.used;
  info.fordblks = now.free;
  info.keepcost = now.free;
  return info;
}

static int narrow(size_t number) { return number > INT_MAX ? INT_MAX : (int)number; }

// The same where the numbers fit.
SLAB_EXPORT struct mallinfo mallinfo(void) {
  struct mallinfo2 wide = mallinfo2();
  struct mallinfo info = {0};
  info.arena = narrow(wide.arena);
  info.ordblks = narrow(wide.ordblks);
  info.uordblks = narrow(wide.uordblks);
  info.fordblks = narrow(wide.fordblks);
  info.keepcost = narrow(wide.keepcost);
  return info;
}

// XML, as the GNU C library's, of which the readers that there are look at the totals.
SLAB_EXPORT int malloc_info(int options, FILE *stream) {
  if (options != 0) return EINVAL;
  struct slab_malloc_figures now = figures();
  fprintf(stream,
          "<malloc version=\"1\">\n"
          "<total type=\"rest\" count=\"%zu\" size=\"%zu\"/>\n"
          "<system type=\"current\" size=\"%zu\"/>\n"
          "<inuse type=\"current\" size=\"%zu\"/>\n"
          "</malloc>\n",
          now.blocks, now.free, now.system, now.used);
  return ferror(stream) ? -1 : 0;
}

SLAB_EXPORT void malloc_stats(void) {
  struct slab_malloc_figures now = figures();
  fprintf(stderr, "system bytes     = %10zu\nin use bytes     = %10zu\n", now.system, now.used);
}

// 1: memory was given back to the system. How much is to be left over does not matter: nothing that is needed goes.
SLAB_EXPORT int malloc_trim(size_t pad) {
  (void)pad;
  if (!slab_malloc_is_ready) return 0;
  int before = errno;
  size_t bytes = slab_malloc_core_trim();
  errno = before;
  return bytes > 0;
}

// 1 for what the GNU C library knows: programs ask for it and end if they do not get it, and each of these is
// about how memory is found, not about what is found. 0 for anything else.
SLAB_EXPORT int mallopt(int parameter, int value) {
  (void)value;
  switch (parameter) {
    case M_MXFAST:
    case M_TRIM_THRESHOLD:
    case M_TOP_PAD:
    case M_MMAP_THRESHOLD:
    case M_MMAP_MAX:
    case M_CHECK_ACTION:
    case M_PERTURB:
    case M_ARENA_TEST:
    case M_ARENA_MAX:
      return 1;
    default:
      return 0;
  }
}
