// Layer 0: what Swift cannot say. Header-only, so that every function is inlined into its caller.
//
//   system_calls.h  one function per system call, returning -errno instead of setting errno
//   thread.h        starting a detached worker thread, fork handlers, the environment
//   percpu.h        restartable sequences on per-CPU memory (x86-64 and AArch64)

#ifndef CSLABPLATFORM_H
#define CSLABPLATFORM_H

#include "percpu.h"
#include "system_calls.h"
#include "thread.h"

#endif
