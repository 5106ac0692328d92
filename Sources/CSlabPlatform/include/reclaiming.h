// Whether the running thread is in the middle of a reclaim (the kernel's PF_MEMALLOC): what it allocates
// there must not reclaim again.

#ifndef SLAB_RECLAIMING_H
#define SLAB_RECLAIMING_H

extern _Thread_local int slab_reclaiming;

static inline int slab_is_reclaiming(void) { return slab_reclaiming; }
static inline void slab_set_reclaiming(int is_reclaiming) { slab_reclaiming = is_reclaiming; }

#endif
