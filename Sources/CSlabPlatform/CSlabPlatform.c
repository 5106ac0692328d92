// The package manager wants one source file per C target; all but the variables, and what needs
// declarations of GNU's, is in the headers.
#define _GNU_SOURCE
#include <link.h>

#include "CSlabPlatform.h"

// A map of no address, which is an address that can be one.
struct slab_shared_heap slab_shared_heap = {.words = 8};
uintptr_t slab_current_group_key;
_Thread_local uintptr_t slab_current_group_last __attribute__((tls_model("initial-exec")));
_Thread_local int slab_reclaiming;
_Thread_local int slab_dispensable;
_Thread_local int slab_in_hand;

static int add_thread_locals(struct dl_phdr_info *library, size_t size, void *sum) {
  (void)size;
  for (int index = 0; index < library->dlpi_phnum; index += 1) {
    const ElfW(Phdr) *segment = &library->dlpi_phdr[index];
    if (segment->p_type == PT_TLS) *(size_t *)sum += segment->p_memsz + segment->p_align;
  }
  return 0;
}

size_t slab_thread_local_bytes(void) {
  size_t bytes = 0;
  dl_iterate_phdr(add_thread_locals, &bytes);
  return bytes;
}
