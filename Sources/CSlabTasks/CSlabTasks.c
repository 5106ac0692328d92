// SPDX-License-Identifier: Apache-2.0
#include "CSlabTasks.h"

// As in CSlabPlatform.c: found by programs that use this copy of the library, and never replaced by those of
// another one.
#define SLAB_OWN __attribute__((visibility("protected")))

SLAB_OWN uintptr_t slab_current_group_key;
SLAB_OWN _Thread_local uintptr_t slab_current_group_last
    __attribute__((tls_model("initial-exec")));
