// SPDX-License-Identifier: Apache-2.0
// operator new and delete of C++, under the names that the compilers of this system give them. This library needs no
// C++ of its own: what is thrown, and the handler that a program may have set, are those of the C++ library that the
// program has.
//
// That one is found by weak references if it was there from the beginning. A program in C may load it later, with a
// plug-in whose names no other library sees: then it is looked for among the libraries of the caller.
#define _GNU_SOURCE
#include "front.h"

#include <dlfcn.h>

typedef void handler(void);
typedef void *nothrow_new(size_t bytes, const void *tag);
typedef void *aligned_nothrow_new(size_t bytes, size_t alignment, const void *tag);

// std::get_new_handler() and std::__throw_bad_alloc(): of libstdc++, and of libc++.
__attribute__((weak)) extern handler *_ZSt15get_new_handlerv(void);
__attribute__((weak)) extern _Noreturn void _ZSt17__throw_bad_allocv(void);

// A function of the C++ library that the caller's code uses; NULL if there is none.
static void *find(const char *name, const void *caller) {
  void *found = dlsym(RTLD_NEXT, name);
  Dl_info info;
  if (found != NULL || dladdr(caller, &info) == 0 || info.dli_fname == NULL) return found;
  void *library = dlopen(info.dli_fname, RTLD_LAZY | RTLD_NOLOAD);
  if (library == NULL) return NULL;
  found = dlsym(library, name);
  dlclose(library);
  return found;
}

static handler *new_handler(const void *caller) {
  handler *(*get)(void) = _ZSt15get_new_handlerv;
  if (get == NULL) get = (handler * (*)(void)) find("_ZSt15get_new_handlerv", caller);
  return get == NULL ? NULL : get();
}

// As [new.delete.single] says: the handler is called until there is room, or it throws, or there is none.
static __attribute__((noinline)) void *try_again(size_t bytes, size_t alignment,
                                                 const void *caller) {
  while (1) {
    handler *handle = new_handler(caller);
    if (handle == NULL) break;
    handle();
    void *block = slab_malloc_aligned(bytes, alignment);
    if (block != NULL) return block;
  }
  void (*throw_bad_alloc)(void) = _ZSt17__throw_bad_allocv;
  if (throw_bad_alloc == NULL)
    throw_bad_alloc = (void (*)(void))find("_ZSt17__throw_bad_allocv", caller);
  if (throw_bad_alloc != NULL) throw_bad_alloc();
  slab_malloc_fail("operator new: out of memory, and no C++ library that could throw", NULL);
}

// Without an exception. A handler may throw one, which C cannot catch: so with a handler it is the C++ library's own
// operator that catches, and it calls ours.
static __attribute__((noinline)) void *try_quietly(const char *name, size_t bytes,
                                                   size_t alignment, const void *tag,
                                                   const void *caller) {
  if (new_handler(caller) == NULL) return NULL;
  void *own = find(name, caller);
  if (own == NULL) return NULL;
  if (alignment == 0) return ((nothrow_new *)own)(bytes, tag);
  return ((aligned_nothrow_new *)own)(bytes, alignment, tag);
}

#define SLAB_CALLER __builtin_return_address(0)

SLAB_EXPORT void *_Znwm(size_t bytes) {
  void *block = slab_malloc_fast(bytes);
  return SLAB_LIKELY(block != NULL) ? block : try_again(bytes, 0, SLAB_CALLER);
}

SLAB_EXPORT void *_Znam(size_t bytes) {
  void *block = slab_malloc_fast(bytes);
  return SLAB_LIKELY(block != NULL) ? block : try_again(bytes, 0, SLAB_CALLER);
}

SLAB_EXPORT void *_ZnwmRKSt9nothrow_t(size_t bytes, const void *tag) {
  void *block = slab_malloc_fast(bytes);
  if (SLAB_LIKELY(block != NULL)) return block;
  return try_quietly("_ZnwmRKSt9nothrow_t", bytes, 0, tag, SLAB_CALLER);
}

SLAB_EXPORT void *_ZnamRKSt9nothrow_t(size_t bytes, const void *tag) {
  void *block = slab_malloc_fast(bytes);
  if (SLAB_LIKELY(block != NULL)) return block;
  return try_quietly("_ZnamRKSt9nothrow_t", bytes, 0, tag, SLAB_CALLER);
}

SLAB_EXPORT void *_ZnwmSt11align_val_t(size_t bytes, size_t alignment) {
  void *block = slab_malloc_aligned(bytes, alignment);
  return SLAB_LIKELY(block != NULL) ? block : try_again(bytes, alignment, SLAB_CALLER);
}

SLAB_EXPORT void *_ZnamSt11align_val_t(size_t bytes, size_t alignment) {
  void *block = slab_malloc_aligned(bytes, alignment);
  return SLAB_LIKELY(block != NULL) ? block : try_again(bytes, alignment, SLAB_CALLER);
}

SLAB_EXPORT void *_ZnwmSt11align_val_tRKSt9nothrow_t(size_t bytes, size_t alignment,
                                                     const void *tag) {
  void *block = slab_malloc_aligned(bytes, alignment);
  if (SLAB_LIKELY(block != NULL)) return block;
  return try_quietly("_ZnwmSt11align_val_tRKSt9nothrow_t", bytes, alignment, tag, SLAB_CALLER);
}

SLAB_EXPORT void *_ZnamSt11align_val_tRKSt9nothrow_t(size_t bytes, size_t alignment,
                                                     const void *tag) {
  void *block = slab_malloc_aligned(bytes, alignment);
  if (SLAB_LIKELY(block != NULL)) return block;
  return try_quietly("_ZnamSt11align_val_tRKSt9nothrow_t", bytes, alignment, tag, SLAB_CALLER);
}

// The block alone says where it goes; size, alignment and tag are not needed.
#define SLAB_DELETE(name, ...) \
  SLAB_EXPORT void name(void *block, ##__VA_ARGS__) { slab_malloc_free_fast(block); }
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-parameter"
SLAB_DELETE(_ZdlPv)
SLAB_DELETE(_ZdaPv)
SLAB_DELETE(_ZdlPvm, size_t bytes)
SLAB_DELETE(_ZdaPvm, size_t bytes)
SLAB_DELETE(_ZdlPvRKSt9nothrow_t, const void *tag)
SLAB_DELETE(_ZdaPvRKSt9nothrow_t, const void *tag)
SLAB_DELETE(_ZdlPvSt11align_val_t, size_t alignment)
SLAB_DELETE(_ZdaPvSt11align_val_t, size_t alignment)
SLAB_DELETE(_ZdlPvmSt11align_val_t, size_t bytes, size_t alignment)
SLAB_DELETE(_ZdaPvmSt11align_val_t, size_t bytes, size_t alignment)
SLAB_DELETE(_ZdlPvSt11align_val_tRKSt9nothrow_t, size_t alignment, const void *tag)
SLAB_DELETE(_ZdaPvSt11align_val_tRKSt9nothrow_t, size_t alignment, const void *tag)
#pragma GCC diagnostic pop
