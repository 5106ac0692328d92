// SPDX-License-Identifier: Apache-2.0
// What the environment asks for. A value that says nothing ends the process before its program begins: without the
// limit it would run as if there was one.
#define _GNU_SOURCE
#include "front.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

// Of the tools that start other programs: the command could not be begun.
enum { exit_status = 125 };

static void put(const char *text) { (void)!write(2, text, strlen(text)); }

void slab_malloc_fail(const char *what, const char *value) {
  put("slab: ");
  put(what);
  if (value != NULL) {
    put(": ");
    put(value);
  }
  put("\n");
  _exit(exit_status);
}

// A number of bytes with an optional suffix K, M, G or T, each 1,024 times the one before; 0 if it is none.
static size_t parse_bytes(const char *text) {
  static const char suffixes[] = "KMGT";
  size_t bytes = 0;
  if (*text < '0' || *text > '9') return 0;
  for (; *text >= '0' && *text <= '9'; text++)
    if (__builtin_mul_overflow(bytes, 10, &bytes) ||
        __builtin_add_overflow(bytes, (size_t)(*text - '0'), &bytes))
      return 0;
  if (*text != 0) {
    const char *suffix = strchr(suffixes, *text & ~0x20);
    if (suffix == NULL) return 0;
    for (long steps = suffix - suffixes; steps >= 0; steps--)
      if (__builtin_mul_overflow(bytes, 1024, &bytes)) return 0;
    text++;
    if (*text == 'i' && text[1] == 'B') text += 2;
    else if (*text == 'B') text++;
  }
  return *text == 0 && bytes <= SLAB_MALLOC_MOST ? bytes : 0;
}

size_t slab_malloc_read_max(void) {
  const char *text = getenv("SLAB_MALLOC_MAX");
  if (text == NULL || *text == 0) return 0;
  size_t max = parse_bytes(text);
  if (max == 0) slab_malloc_fail("SLAB_MALLOC_MAX is not a number of bytes", text);
  return max;
}
