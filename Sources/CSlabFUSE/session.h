// SPDX-License-Identifier: Apache-2.0
// What the files of this target share of libfuse.
#pragma once

#include "include/CSlabFUSE.h"

#define FUSE_USE_VERSION 314
#define _FILE_OFFSET_BITS 64
#include <fuse3/fuse_lowlevel.h>
#include <stdatomic.h>

/// The process's, to whom all files belong; asked for with each mount, since a call for each entry of a directory is dear.
/// Relaxed: numbers that guard nothing. A mount stores them while the workers of another one read them.
extern _Atomic uid_t slab_fuse_user;
extern _Atomic gid_t slab_fuse_group;

/// With the calls as their user data.
extern const struct fuse_lowlevel_ops slab_fuse_operations;
