// SPDX-License-Identifier: Apache-2.0
// A program in C with a plug-in in C++: an exception of operator new is that of the plug-in's C++ library.
#include <dlfcn.h>

#include "check.h"

int main(int count, char **arguments) {
  CHECK(count == 2);
  void *plugin = dlopen(arguments[1], RTLD_NOW | RTLD_LOCAL);
  if (plugin == NULL) fprintf(stderr, "%s\n", dlerror());
  CHECK(plugin != NULL);
  int (*use_memory)(size_t) = (int (*)(size_t))dlsym(plugin, "use_memory");
  int (*use_quietly)(size_t) = (int (*)(size_t))dlsym(plugin, "use_quietly");
  CHECK(use_memory(100000) == 1 && use_quietly(100) == 1);
  CHECK(use_memory((size_t)1 << 60) == 2 && use_quietly((size_t)1 << 60) == 0);
  return 0;
}
