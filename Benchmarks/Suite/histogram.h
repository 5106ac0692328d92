// SPDX-License-Identifier: Apache-2.0
// Durations, within 1.6 %: 64 counters for each power of two.
#include <stdint.h>

enum { parts_bits = 6, parts = 1 << parts_bits, counters = (64 - parts_bits + 1) * parts };

struct histogram {
  uint64_t count, most;
  uint64_t counts[counters];
};

static inline void note(struct histogram *histogram, double duration) {
  uint64_t value = duration > 1 ? (uint64_t)duration : 1;
  int shift = 63 - __builtin_clzll(value) - parts_bits;
  if (shift < 0) shift = 0;
  histogram->counts[((unsigned)shift << parts_bits) + (value >> shift)]++;
  histogram->count++;
  if (value > histogram->most) histogram->most = value;
}

static inline double percentile(const struct histogram *histogram, double share) {
  uint64_t wanted = (uint64_t)(share * (double)histogram->count), passed = 0;
  for (unsigned index = 0; index < counters; index++)
    if ((passed += histogram->counts[index]) > wanted) {
      unsigned shift = index < 2 * parts ? 0 : index / parts - 1;
      return (double)((uint64_t)(index - (shift << parts_bits)) << shift);
    }
  return (double)histogram->most;
}
