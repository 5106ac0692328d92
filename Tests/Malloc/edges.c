// SPDX-License-Identifier: Apache-2.0
// The first and the last calls of a process: before constructors, in them, at the end of everything.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <malloc.h>

#include "check.h"

static void *before_all, *in_constructor;

static void allocate_first(void) {
  free(NULL);
  before_all = malloc(100);
  memset(before_all, 1, 100);
  before_all = realloc(before_all, 5000);
  free(calloc(3, 300000));
}
__attribute__((section(".preinit_array"), used)) static void (*const first_of_all)(void) = allocate_first;

__attribute__((constructor(101))) static void construct(void) {
  in_constructor = calloc(10, 10);
  // It allocates the message of an error.
  CHECK(dlsym(RTLD_DEFAULT, "there is no such name") == NULL && dlerror() != NULL);
}

__attribute__((destructor(101))) static void destruct(void) {
  CHECK(malloc_usable_size(in_constructor) >= 100);
  free(in_constructor);
  free(before_all);
  free(opaque(malloc(70000)));
}

static void at_exit(void) { free(opaque(malloc(123))); }

int main(void) {
  CHECK(((char *)before_all)[99] == 1 && malloc_usable_size(before_all) >= 5000);
  CHECK(((char *)in_constructor)[99] == 0);
  atexit(at_exit);
  // Buffers of streams, which the C library frees after the program's own functions.
  printf("edges\n");
  setenv("SLAB_TEST_VARIABLE", "a value", 1);
  return 0;
}
