// SPDX-License-Identifier: Apache-2.0
// What of the memory that an allocator has from the system is used: resident bytes to the bytes that were asked for.
//
//   fragmentation mix MEBIBYTES       sizes of 16 to 4,096 bytes come, change and go, each by itself
//   fragmentation sessions MEBIBYTES  the same, but those that were made together go together
//   fragmentation size SIZE           as many blocks of one size as make 16 MiB
//   fragmentation recording FILE      lines "a NUMBER SIZE" and "f NUMBER" of a recording
//
// Prints "KEY RATIO" lines, of what is resident to what is live at that moment, or at last to what was. A second passes in which
// nobody calls the allocator, and another with a call each 10 ms.
#include "common.h"

struct block {
  char *bytes;
  size_t size;
};

static struct block *blocks;
static size_t count_of_blocks, live;
static double before;

static void make(struct block *block, size_t size) {
  block->bytes = opaque(malloc(size));
  block->size = size;
  must(block->bytes != NULL, "no memory");
  memset(block->bytes, 1, size);
  live += size;
}

static void drop(struct block *block) {
  free(block->bytes);
  block->bytes = NULL;
  live -= block->size;
}

static double used(void) { return (resident_bytes() - before) / (double)live; }

static void begin(size_t count) {
  blocks = calloc(count, sizeof *blocks);
  must(blocks != NULL, "no memory for the table");
  memset(blocks, 0, count * sizeof *blocks);
  for (size_t index = 0; index < count; index += 256) *(volatile size_t *)&blocks[index].size = 0;
  count_of_blocks = count;
  before = resident_bytes();
}

// Small ones are more frequent; the second distribution has larger ones.
static size_t some_size(uint64_t *state, int shift) {
  uint64_t power = (next_random(state) % 8 + next_random(state) % (unsigned)(1 + shift)) % 8;
  size_t least = (size_t)16 << power;
  return least + next_random(state) % least;
}

static void wait_a_second(int calls) {
  struct timespec pause = {0, 10000000};
  for (int step = 0; step < 100; step++) {
    nanosleep(&pause, NULL);
    if (calls) free(opaque(malloc(64)));
  }
}

static void run_mix(size_t bytes, int together) {
  // 650 bytes are the mean of the sizes.
  begin(bytes / 650);
  uint64_t state = 7;
  for (size_t index = 0; index < count_of_blocks; index++) make(&blocks[index], some_size(&state, 0));
  printf("grown %.3f\n", used());
  for (int turn = 1; turn <= 4 && !together; turn++) {
    for (size_t step = 0; step < count_of_blocks; step++) {
      struct block *block = &blocks[next_random(&state) % count_of_blocks];
      drop(block);
      make(block, some_size(&state, turn));
    }
    printf("changed-%d %.3f\n", turn, used());
  }
  for (size_t index = 0; index < count_of_blocks; index++)
    if (together ? index % 1000 >= 100 : next_random(&state) % 10 != 0) drop(&blocks[index]);
  printf("tenth %.3f\n", used());
  wait_a_second(0);
  printf("tenth-second %.3f\n", used());
  wait_a_second(1);
  printf("tenth-calls %.3f\n", used());
  // One more distribution in the holes.
  for (size_t index = 0; index < count_of_blocks; index++)
    if (blocks[index].bytes == NULL) make(&blocks[index], some_size(&state, 7));
  printf("regrown %.3f\n", used());
  double full = (double)live;
  for (size_t index = 0; index < count_of_blocks; index++) drop(&blocks[index]);
  printf("gone %.3f\n", (resident_bytes() - before) / full);
  wait_a_second(0);
  printf("gone-second %.3f\n", (resident_bytes() - before) / full);
}

static void run_size(size_t size) {
  begin(((size_t)16 << 20) / size);
  for (size_t index = 0; index < count_of_blocks; index++) make(&blocks[index], size);
  printf("%zu %.3f\n", size, used());
}

static void run_recording(const char *path) {
  char kind;
  size_t number, size, most = 0, peak = 0;
  FILE *file = fopen(path, "r");
  must(file != NULL, path);
  while (fscanf(file, " %c %zu", &kind, &number) == 2) {
    if (kind == 'a' && fscanf(file, "%zu", &size) != 1) fail("an allocation without a size");
    if (number >= most) most = number + 1;
  }
  begin(most);
  rewind(file);
  before = resident_bytes();
  double highest = 0;
  for (size_t line = 1; fscanf(file, " %c %zu", &kind, &number) == 2; line++) {
    if (kind == 'f') drop(&blocks[number]);
    else if (fscanf(file, "%zu", &size) == 1) make(&blocks[number], size);
    if (live > peak) peak = live;
    if (line % 20000 == 0) {
      double now = resident_bytes() - before;
      if (now > highest) highest = now;
    }
  }
  fclose(file);
  printf("peak %.3f\n", highest / (double)peak);
  printf("end %.3f\n", used());
}

int main(int count, char **arguments) {
  if (count != 3) return 64;
  if (strcmp(arguments[1], "mix") == 0) run_mix(strtoul(arguments[2], NULL, 10) << 20, 0);
  else if (strcmp(arguments[1], "sessions") == 0) run_mix(strtoul(arguments[2], NULL, 10) << 20, 1);
  else if (strcmp(arguments[1], "size") == 0) run_size(strtoul(arguments[2], NULL, 10));
  else if (strcmp(arguments[1], "recording") == 0) run_recording(arguments[2]);
  else return 64;
  return 0;
}
