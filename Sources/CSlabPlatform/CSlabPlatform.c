// The package manager wants one source file per C target; all but the variables is in the headers.
#include "CSlabPlatform.h"

// A map of no address, which is an address that can be one.
struct slab_shared_heap slab_shared_heap = {.words = 8};
uintptr_t slab_current_group_key;
_Thread_local uintptr_t slab_current_group_last __attribute__((tls_model("initial-exec")));
_Thread_local int slab_reclaiming;
_Thread_local int slab_dispensable;
