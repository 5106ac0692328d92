// SPDX-License-Identifier: Apache-2.0
// A program that uses groups if a library is loaded that has them.
#define SLAB_WEAK
#include "check.h"

#include <slab.h>

int main(void) {
  if (slab_group_enter == NULL) {
    CHECK(slab_group_save() == NULL);
    slab_group_restore(NULL);
    puts("weak: no library");
    return 0;
  }
  slab_group *tenant = NULL;
  CHECK(slab_group_create(NULL, "weak", SLAB_NO_LIMIT, &tenant) == SLAB_OK);
  slab_group *saved = slab_group_save();
  slab_group_restore(tenant);
  CHECK(saved == NULL && slab_group_save() == tenant && slab_group_current() == tenant);
  void *block = slab_allocate(NULL, 100, NULL);
  CHECK(slab_group_usage(tenant) > 0);
  slab_free(block);
  slab_group_restore(saved);
  CHECK(slab_group_current() == slab_group_root());
  slab_group_drop(tenant);
  puts("weak: charged");
}
