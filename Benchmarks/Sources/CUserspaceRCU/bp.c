// SPDX-License-Identifier: Apache-2.0
#ifdef SLAB_BENCH_URCU
#define _LGPL_SOURCE
#define URCU_API_MAP
#include <urcu/urcu-bp.h>
#define BENCH(name) bench_bp_##name
#include "flavour.h"
#endif
