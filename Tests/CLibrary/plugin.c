// SPDX-License-Identifier: Apache-2.0
// Loaded by loader.c; linked with libslab.so.
#include <slab.h>
#include <stdlib.h>

void *plugin_allocate(slab_group **charged);

void *plugin_allocate(slab_group **charged) {
  if (*charged == NULL && slab_group_create(slab_group_root(), "plugin", 1 << 20, charged) != SLAB_OK) abort();
  slab_group *former = slab_group_enter(*charged);
  void *block = slab_allocate(NULL, 100, NULL);
  slab_group_restore(former);
  return block;
}
