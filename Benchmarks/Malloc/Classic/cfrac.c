// SPDX-License-Identifier: Apache-2.0
// Numbers of some words, each result of an operation a block of its own that lives until the next few operations.
#include "shape.h"

struct number {
  int count;
  uint32_t words[];
};

static struct number *make(int count) {
  struct number *number = block_of(sizeof *number + (size_t)count * 4);
  number->count = count;
  return number;
}

static struct number *shrink(struct number *number) {
  while (number->count > 1 && number->words[number->count - 1] == 0) number->count--;
  return number;
}

static struct number *product(const struct number *a, const struct number *b) {
  struct number *result = make(a->count + b->count);
  memset(result->words, 0, (size_t)result->count * 4);
  for (int i = 0; i < a->count; i++) {
    uint64_t carry = 0;
    for (int j = 0; j < b->count; j++) {
      carry += (uint64_t)a->words[i] * b->words[j] + result->words[i + j];
      result->words[i + j] = (uint32_t)carry;
      carry >>= 32;
    }
    result->words[i + b->count] = (uint32_t)carry;
  }
  return shrink(result);
}

static struct number *sum(const struct number *a, const struct number *b) {
  if (a->count < b->count) return sum(b, a);
  struct number *result = make(a->count + 1);
  uint64_t carry = 0;
  for (int i = 0; i < a->count; i++) {
    carry += (uint64_t)a->words[i] + (i < b->count ? b->words[i] : 0);
    result->words[i] = (uint32_t)carry;
    carry >>= 32;
  }
  result->words[a->count] = (uint32_t)carry;
  return shrink(result);
}

// The words from `from` on, at most `count`.
static struct number *part(const struct number *a, int from, int count) {
  int left = a->count - from;
  if (left < count) count = left;
  if (count < 1) {
    struct number *zero = make(1);
    zero->words[0] = 0;
    return zero;
  }
  struct number *result = make(count);
  memcpy(result->words, a->words + from, (size_t)count * 4);
  return shrink(result);
}

// Modulo 2^(32 * words) - 1: the upper half is added to the lower one.
static struct number *reduced(struct number *a, int words) {
  while (a->count > words) {
    struct number *low = part(a, 0, words), *high = part(a, words, words);
    struct number *next = sum(low, high);
    free(a);
    free(low);
    free(high);
    a = next;
  }
  return a;
}

int main(int count, char **arguments) {
  enum { kept = 600 };
  struct number *table[kept] = {0};
  struct number *x = make(1), *one = make(1);
  x->words[0] = 3;
  one->words[0] = 1;
  long steps = 50000 * percent(count, arguments);
  for (long step = 0; step < steps; step++) {
    struct number *square = product(x, x);
    struct number *next = sum(square, one);
    free(square);
    free(x);
    x = reduced(next, 2 + (int)(step >> 12) % 5);
    if (step % 64 == 0) {
      free(table[step / 64 % kept]);
      table[step / 64 % kept] = part(x, 0, x->count);
    }
  }
  printf("%u\n", x->words[0]);
  return 0;
}
