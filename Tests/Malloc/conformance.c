// SPDX-License-Identifier: Apache-2.0
// Each function, by what C, POSIX and the GNU C library say of it.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <malloc.h>
#include <stdalign.h>

#include "check.h"

// Of C23: not in every C library yet.
static void (*sized_free)(void *block, size_t bytes);
static void (*aligned_sized_free)(void *block, size_t alignment, size_t bytes);

static size_t volatile huge = SIZE_MAX;
// The compiler knows that posix_memalign leaves errno alone, and would not look.
static int (*volatile aligned_block)(void **result, size_t alignment, size_t bytes) = posix_memalign;

static int is_filled(const unsigned char *bytes, size_t count, unsigned char value) {
  for (size_t index = 0; index < count; index++)
    if (bytes[index] != value) return 0;
  return 1;
}

static const size_t sizes[] = {0,    1,    15,    16,    17,     100,     304,     1000,     1024,
                               1025, 4095, 32767, 32768, 32769,  65536,   100000,  1 << 20,  (4 << 20) - 1,
                               4 << 20, (4 << 20) + 1, 10 << 20, 100 << 20};
enum { size_count = sizeof sizes / sizeof sizes[0] };

static void blocks_of_all_sizes(void) {
  unsigned char *blocks[size_count];
  for (size_t index = 0; index < size_count; index++) {
    blocks[index] = opaque(malloc(sizes[index]));
    CHECK(blocks[index] != NULL);
    CHECK((uintptr_t)blocks[index] % alignof(max_align_t) == 0);
    CHECK(malloc_usable_size(blocks[index]) >= sizes[index]);
    // All that is usable may be used.
    memset(blocks[index], (int)index + 1, malloc_usable_size(blocks[index]));
  }
  for (size_t index = 0; index < size_count; index++)
    CHECK(is_filled(blocks[index], sizes[index], (unsigned char)(index + 1)));
  errno = 77;
  for (size_t index = 0; index < size_count; index++) free(blocks[index]);
  free(NULL);
  CHECK(errno == 77);
  CHECK(malloc_usable_size(NULL) == 0);
  // Two blocks of no size are two blocks.
  void *first = opaque(malloc(0)), *second = opaque(malloc(0));
  CHECK(first != NULL && second != NULL && first != second);
  free(first);
  free(second);
}

static void refusals(void) {
  void *block = NULL;
  errno = 0;
  CHECK(opaque(malloc(huge)) == NULL && errno == ENOMEM);
  errno = 0;
  CHECK(opaque(malloc(huge - 8)) == NULL && errno == ENOMEM);
  errno = 0;
  CHECK(opaque(malloc((size_t)PTRDIFF_MAX + huge / huge)) == NULL && errno == ENOMEM);
  errno = 0;
  CHECK(opaque(malloc((size_t)PTRDIFF_MAX * (huge / huge))) == NULL && errno == ENOMEM);
  errno = 0;
  CHECK(opaque(calloc(huge / 2, 3)) == NULL && errno == ENOMEM);
  errno = 0;
  CHECK(opaque(calloc(huge, huge)) == NULL && errno == ENOMEM);
  errno = 0;
  CHECK(opaque(reallocarray(NULL, huge / 2, 3)) == NULL && errno == ENOMEM);
  errno = 0;
  CHECK(opaque(valloc(huge)) == NULL && errno == ENOMEM);
  errno = 0;
  CHECK(opaque(pvalloc(huge)) == NULL && errno == ENOMEM);
  errno = 0;
  CHECK(opaque(aligned_alloc(64, huge - 100)) == NULL && errno == ENOMEM);
  errno = 77;
  block = &block;
  CHECK(aligned_block(&block, 64, huge - 100) == ENOMEM && errno == 77 && block == &block);
  CHECK(aligned_block(&block, 3 * sizeof(void *), 10) == EINVAL && errno == 77 && block == &block);
  CHECK(aligned_block(&block, 2, 10) == EINVAL && aligned_block(&block, 0, 10) == EINVAL && errno == 77);
  errno = 0;
  CHECK(opaque(aligned_alloc(48, 96)) == NULL && errno == EINVAL);
  errno = 0;
  CHECK(opaque(aligned_alloc(12, 24)) == NULL && errno == EINVAL);
  errno = 0;
  CHECK(opaque(memalign(huge / 2 + 2, 1)) == NULL && errno == EINVAL);
  // A block that cannot grow stays as it was.
  char *kept = opaque(malloc(100));
  memset(kept, 'k', 100);
  errno = 0;
  CHECK(opaque(realloc(kept, huge - 4096)) == NULL && errno == ENOMEM);
  CHECK(is_filled((unsigned char *)kept, 100, 'k'));
  free(kept);
}

static void zeroed_blocks(void) {
  for (size_t index = 0; index < size_count; index++) {
    if (sizes[index] > 10 << 20) continue;
    for (int turn = 0; turn < 3; turn++) {
      unsigned char *block = opaque(calloc(1, sizes[index]));
      CHECK(block != NULL && is_filled(block, sizes[index], 0));
      memset(block, 0xff, sizes[index]);
      free(block);
    }
  }
  unsigned char *row = opaque(calloc(7, 11));
  CHECK(is_filled(row, 77, 0));
  free(row);
}

static void reallocations(void) {
  CHECK(opaque(realloc(opaque(malloc(10)), 0)) == NULL);
  unsigned char *block = opaque(realloc(NULL, 1));
  uint64_t random = 1;
  size_t size = 1;
  block[0] = 7;
  for (int turn = 0; turn < 2000; turn++) {
    size_t next = 1 + next_random(&random) % (turn % 50 == 0 ? 20u << 20 : 40000u);
    block = opaque(realloc(block, next));
    CHECK(block != NULL && (uintptr_t)block % 16 == 0 && malloc_usable_size(block) >= next);
    size_t kept = size < next ? size : next;
    CHECK(block[0] == 7 && block[kept / 2] == 7 && block[kept - 1] == 7);
    memset(block, 7, next);
    size = next;
  }
  block = opaque(reallocarray(block, 10, 20));
  CHECK(block != NULL && is_filled(block, size < 200 ? size : 200, 7));
  free(block);
}

static void alignments(void) {
  for (size_t alignment = 1; alignment <= 64 << 20; alignment *= 2)
    for (size_t bytes = 0; bytes < 100000; bytes = bytes * 3 + 1) {
      void *block = opaque(aligned_alloc(alignment, bytes));
      CHECK(block != NULL && (uintptr_t)block % alignment == 0);
      memset(block, 1, bytes);
      aligned_sized_free(block, alignment, bytes);
      if (alignment < sizeof(void *)) continue;
      CHECK(posix_memalign(&block, alignment, bytes) == 0 && (uintptr_t)block % alignment == 0);
      CHECK(malloc_usable_size(block) >= bytes);
      memset(block, 2, bytes);
      block = opaque(realloc(block, bytes + 100));
      CHECK(block != NULL);
      free(block);
      block = opaque(memalign(alignment, bytes));
      CHECK(block != NULL && (uintptr_t)block % alignment == 0);
      sized_free(block, bytes);
    }
  size_t page = (size_t)sysconf(_SC_PAGESIZE);
  // Rounded up; of so many blocks no chance makes each fit the power below.
  for (size_t alignment = 3; alignment < 100000; alignment = alignment * 2 + 3) {
    void *rounded[20];
    for (int index = 0; index < 20; index++) {
      rounded[index] = opaque(memalign(alignment, 10));
      CHECK(rounded[index] != NULL);
      for (size_t power = 1; power < 2 * alignment; power *= 2) CHECK((uintptr_t)rounded[index] % power == 0);
    }
    for (int index = 0; index < 20; index++) free(rounded[index]);
  }
  for (size_t bytes = 0; bytes < 100000; bytes = bytes * 3 + 10) {
    void *first = opaque(valloc(bytes)), *second = opaque(valloc(bytes)), *whole = opaque(pvalloc(bytes));
    CHECK(first != NULL && (uintptr_t)first % page == 0);
    CHECK(second != NULL && (uintptr_t)second % page == 0);
    CHECK(whole != NULL && (uintptr_t)whole % page == 0 && malloc_usable_size(whole) % page == 0);
    CHECK(malloc_usable_size(whole) >= page && malloc_usable_size(whole) >= bytes);
    free(first);
    free(second);
    free(whole);
  }
}

static void what_it_tells(void) {
  char *text = NULL;
  size_t length = 0;
  struct mallinfo2 before = mallinfo2();
  char *block = opaque(malloc(1 << 20));
  memset(block, 1, 1 << 20);
  struct mallinfo2 after = mallinfo2();
  CHECK(after.uordblks >= before.uordblks + (1 << 20));
  CHECK(after.arena >= after.uordblks);
  CHECK((size_t)mallinfo().uordblks >= 1 << 20);
  FILE *stream = open_memstream(&text, &length);
  CHECK(malloc_info(1, stream) == EINVAL);
  CHECK(malloc_info(0, stream) == 0);
  fclose(stream);
  CHECK(strncmp(text, "<malloc version", 15) == 0 && strstr(text, "</malloc>\n") != NULL);
  free(text);
  free(block);
  CHECK(mallopt(M_MMAP_THRESHOLD, 1 << 20) == 1 && mallopt(M_ARENA_MAX, 1) == 1);
  CHECK(mallopt(4711, 1) == 0);
  // Much that was in use and is not any more goes back.
  enum { count = 20000 };
  static void *blocks[count];
  for (int index = 0; index < count; index++) memset(blocks[index] = malloc(2000), 1, 2000);
  for (int index = 0; index < count; index++) free(blocks[index]);
  CHECK(malloc_trim(0) == 1);
  CHECK(mallinfo2().arena < before.arena + (8 << 20));
  CHECK(malloc_trim(0) == 0);
}

int main(void) {
  *(void **)&sized_free = dlsym(RTLD_DEFAULT, "free_sized");
  *(void **)&aligned_sized_free = dlsym(RTLD_DEFAULT, "free_aligned_sized");
  CHECK(sized_free != NULL && aligned_sized_free != NULL);
  blocks_of_all_sizes();
  refusals();
  zeroed_blocks();
  reallocations();
  alignments();
  what_it_tells();
  return 0;
}
