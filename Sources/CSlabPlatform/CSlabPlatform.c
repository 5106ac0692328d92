// The package manager wants one source file per C target; all but the variables, and what needs
// declarations of GNU's, is in the headers.
#define _GNU_SOURCE
#include "CSlabPlatform.h"

#include <dlfcn.h>
#include <link.h>
#include <sys/auxv.h>

// Found by programs that use this copy of the library, and never replaced by those of another copy in
// the process, which the loader prefers if it came first. Not in the headers: a client reaches them in
// another file.
#define SLAB_OWN __attribute__((visibility("protected")))

// A map of no address, which is an address that can be one.
SLAB_OWN struct slab_shared_heap slab_shared_heap = {.words = 8};
SLAB_OWN uintptr_t slab_current_group_key;
SLAB_OWN _Thread_local uintptr_t slab_current_group_last
    __attribute__((tls_model("initial-exec")));
SLAB_OWN _Thread_local int slab_reclaiming;
SLAB_OWN _Thread_local int slab_dispensable;
SLAB_OWN _Thread_local int slab_in_hand;

static int add_thread_locals(struct dl_phdr_info *library, size_t size, void *sum) {
  (void)size;
  for (int index = 0; index < library->dlpi_phnum; index += 1) {
    const ElfW(Phdr) *segment = &library->dlpi_phdr[index];
    if (segment->p_type == PT_TLS) *(size_t *)sum += segment->p_memsz + segment->p_align;
  }
  return 0;
}

SLAB_OWN size_t slab_thread_local_bytes(void) {
  size_t bytes = 0;
  dl_iterate_phdr(add_thread_locals, &bytes);
  return bytes;
}

// A program that is linked statically has no loader, and loads nothing that could be unloaded.
#pragma weak dladdr
#pragma weak dlopen

int slab_pin_library(void) {
  Dl_info own, program;
  if (dladdr == NULL || dlopen == NULL) return 0;
  if (dladdr((void *)slab_pin_library, &own) == 0 || own.dli_fname == NULL) return 0;
  const void *headers = (const void *)getauxval(AT_PHDR);
  if (dladdr(headers, &program) != 0 && program.dli_fbase == own.dli_fbase) return 0;
  return dlopen(own.dli_fname, RTLD_LAZY | RTLD_NOLOAD | RTLD_NODELETE) != NULL;
}
