// SPDX-License-Identifier: Apache-2.0
// What a C library does in the process: it knows nothing of Swift, and allocates with malloc.

#ifndef CALLOCATIONS_H
#define CALLOCATIONS_H

#include <stddef.h>
#include <stdint.h>

// The address of a block with every byte written; or 0, and c_error is what malloc left in errno.
uintptr_t c_allocate(size_t bytes);
void c_free(uintptr_t block);
int c_error(void);

// On a new thread that has entered the group at a path by slab_group_enter: a block.
uintptr_t c_allocate_on_thread(const char *group, size_t bytes);

#endif
