// SPDX-License-Identifier: Apache-2.0
#include "slab.h"

SLAB_THREAD_LOCAL slab_group *slab_entered_group;
