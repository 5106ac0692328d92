// SPDX-License-Identifier: Apache-2.0
// Prints the file of which malloc is, and has used it.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

int main(void) {
  Dl_info info;
  void *(*allocate)(size_t) = malloc;
  void *block = allocate(100);
  if (block == NULL || dladdr((void *)allocate, &info) == 0) return 1;
  free(block);
  puts(info.dli_fname);
  return 0;
}
