// SPDX-License-Identifier: Apache-2.0
// Sets of bits in lists that are copied, split by a variable and put together again: blocks of a few sizes, with
// lives as deep as the recursion, and lists that grow by realloc.
#include "shape.h"

enum { variables = 14, words = 3 };

// Two bits a variable: may be 0, may be 1.
struct cube {
  uint64_t bits[words];
};
struct cover {
  int count, room;
  struct cube **cubes;
};

static struct cover *new_cover(void) {
  struct cover *cover = block_of(sizeof *cover);
  *cover = (struct cover){0};
  return cover;
}

static void add(struct cover *cover, struct cube *cube) {
  if (cover->count == cover->room) {
    cover->room = cover->room * 3 / 2 + 4;
    cover->cubes = opaque(realloc(cover->cubes, (size_t)cover->room * sizeof cube));
    if (cover->cubes == NULL) exit(1);
  }
  cover->cubes[cover->count++] = cube;
}

static struct cube *copy(const struct cube *cube) { return memcpy(block_of(sizeof *cube), cube, sizeof *cube); }

static void free_cover(struct cover *cover) {
  for (int i = 0; i < cover->count; i++) free(cover->cubes[i]);
  free(cover->cubes);
  free(cover);
}

static int literal(const struct cube *cube, int variable) {
  return (int)(cube->bits[variable / 32] >> (variable % 32 * 2)) & 3;
}
static void set_literal(struct cube *cube, int variable, int value) {
  int shift = variable % 32 * 2;
  cube->bits[variable / 32] = (cube->bits[variable / 32] & ~((uint64_t)3 << shift)) | (uint64_t)value << shift;
}

// What is left of a cover where a variable has a value.
static struct cover *cofactor(const struct cover *cover, int variable, int value) {
  struct cover *result = new_cover();
  for (int i = 0; i < cover->count; i++) {
    if ((literal(cover->cubes[i], variable) & value) == 0) continue;
    struct cube *cube = copy(cover->cubes[i]);
    set_literal(cube, variable, 3);
    add(result, cube);
  }
  return result;
}

// What the cover does not cover, from a variable on.
static struct cover *complement(const struct cover *cover, int variable) {
  struct cover *result = new_cover();
  if (variable == variables || cover->count == 0) {
    if (cover->count == 0) {
      struct cube full;
      memset(&full, 0xff, sizeof full);
      add(result, copy(&full));
    }
    return result;
  }
  for (int value = 1; value <= 2; value++) {
    struct cover *half = cofactor(cover, variable, value);
    struct cover *rest = complement(half, variable + 1);
    for (int i = 0; i < rest->count; i++) {
      struct cube *cube = copy(rest->cubes[i]);
      set_literal(cube, variable, value);
      add(result, cube);
    }
    free_cover(half);
    free_cover(rest);
  }
  return result;
}

int main(int count, char **arguments) {
  uint64_t state = 7;
  long total = 0;
  long rounds = percent(count, arguments);
  for (long round = 0; round < rounds; round++) {
    struct cover *cover = new_cover();
    for (int i = 0; i < 40; i++) {
      struct cube cube;
      memset(&cube, 0xff, sizeof cube);
      for (int k = 0; k < 6; k++) {
        int variable = (int)(next_random(&state) % variables);
        set_literal(&cube, variable, 1 + (int)(next_random(&state) % 2));
      }
      add(cover, copy(&cube));
    }
    struct cover *other = complement(cover, 0);
    total += other->count;
    free_cover(other);
    free_cover(cover);
  }
  printf("%ld\n", total);
  return 0;
}
