// SPDX-License-Identifier: Apache-2.0
// Blocks of groups that share slabs (docs/shared-groups.md), with neither a lock nor a call of the core: what the slow
// paths do there step by step, as long as a CPU has the bytes in stock and the cache's sheaf has the object or takes it.
// Otherwise nothing has changed, and the slow path begins anew. So it does in a thread that must not enter the core, to which
// bytes may lead that find no place in a stock.
//
// Each step is whole by itself, so a thread may be preempted or go to another CPU between any two of them:
//
//   allocation                                     free
//   bytes out of the stock (compare-and-swap)      the payer's number out of the slab
//   an object from the sheaf (a sequence)          the object is cleared
//   the payer's number into the slab               it goes onto the sheaf (a sequence)
//                                                  bytes into the stock (compare-and-swap)
//
// Bytes that are out of their word keep their payer, as the object does from then on. While an object is the thread's, no
// other thread has its number, which is 0 before and afterwards.
#define _GNU_SOURCE
#include "front.h"

#include <errno.h>
#include <string.h>

struct slab_malloc_shared slab_malloc_shared;

// What is read of the core's descriptors, up to the last field that is: see `slab_malloc_reads_shared`. Of a cache:
struct cache {
  uint64_t words[2];
  uintptr_t root, owner, allocator;
  uint32_t place_bytes, reciprocal;
  uint8_t state, kind;
};
enum { kind_gate = 3, gate_offset = 192 };

// Of a slab of a shared cache.
struct slab {
  uintptr_t owner, next, previous, address;
  uint16_t in_use, object_count;
  uint8_t others[84];
  uint32_t *payers;
};

struct payer {
  uintptr_t group, parent, charged, inherited;
  uint32_t holds, children;
  uint8_t keeping, is_ended;
};

SLAB_INLINE const struct payer *payer_of(uint32_t number) {
  return (const struct payer *)(slab_shared_heap_base() + ((uintptr_t)number << 6));
}

// The word of a payer on the CPU that the thread ran on a moment ago: `StockWord` of Groups/Stocks.swift.
SLAB_INLINE uint64_t *stock_word(uintptr_t stocks, uint32_t payer) {
  uintptr_t line = slab_recent_cpu() & __atomic_load_n(&slab_malloc_shared.line_mask, __ATOMIC_RELAXED);
  return (uint64_t *)(stocks + line * 64 + payer % 8 * 8);
}

// Takes bytes of a payer; 0 if there are not as many.
SLAB_INLINE int take(uint64_t *word, uint32_t payer, uint32_t bytes) {
  uint64_t old = __atomic_load_n(word, __ATOMIC_RELAXED), new;
  do {
    if (old >> 32 != payer || (uint32_t)old < bytes) return 0;
    new = (uint32_t)old == bytes ? 0 : old - bytes;
  } while (!__atomic_compare_exchange_n(word, &old, new, 0, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED));
  return 1;
}

// Adds bytes of a payer; 0 if the word is another payer's, or full.
SLAB_INLINE int put(uint64_t *word, uint32_t payer, uint32_t bytes) {
  uint32_t most = __atomic_load_n(&slab_malloc_shared.most, __ATOMIC_RELAXED);
  uint64_t old = __atomic_load_n(word, __ATOMIC_RELAXED), new;
  do {
    if ((old != 0 && old >> 32 != payer) || (uint64_t)(uint32_t)old + bytes > most) return 0;
    new = ((uint64_t)payer << 32 | (uint32_t)old) + bytes;
  } while (!__atomic_compare_exchange_n(word, &old, new, 0, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED));
  return 1;
}

// What only the core can do. As any slow path of a free, it leaves errno as it was.
static __attribute__((noinline)) void give_back_slow(uint32_t payer, uint32_t bytes) {
  int before = errno;
  slab_malloc_core_give_back(payer, bytes);
  slab_malloc_core_work();
  errno = before;
}

static __attribute__((noinline)) void settle(uint64_t *word) {
  int before = errno;
  slab_malloc_core_settle((uintptr_t)word);
  slab_malloc_core_work();
  errno = before;
}

// As `giveBack` of Endings/Payers.swift, in the same order: of a thread that ends the group and this one at least one
// sees what the other has done.
SLAB_INLINE void give_back(uintptr_t stocks, uint32_t payer, uint32_t bytes) {
  const uint64_t *count = (const uint64_t *)__atomic_load_n(&slab_malloc_shared.ends, __ATOMIC_RELAXED);
  uint64_t ends = __atomic_load_n(count, __ATOMIC_SEQ_CST);
  uint64_t *word = stock_word(stocks, payer);
  if (__atomic_load_n(&payer_of(payer)->is_ended, __ATOMIC_SEQ_CST) || !put(word, payer, bytes))
    return give_back_slow(payer, bytes);
  if (__atomic_load_n(count, __ATOMIC_SEQ_CST) != ends) settle(word);
}

SLAB_INLINE const struct slab *slab_of(uintptr_t object) {
  uintptr_t base = slab_shared_heap_base();
  uint64_t word = ((const uint64_t *)slab_shared_heap_words())[(object - base) >> 10];
  return (const struct slab *)(base + (word >> 32 << 6));
}

// Where the payer of an object stands; NULL if none begins at the address. The reciprocal is exact: see `SlabGeometry`.
SLAB_INLINE uint32_t *payer_entry(const struct cache *cache, uintptr_t object) {
  const struct slab *slab = slab_of(object);
  uint64_t offset = object - slab->address;
  uint64_t place = offset * cache->reciprocal >> 32;
  if (place * cache->place_bytes != offset || place >= slab->object_count) return NULL;
  return &slab->payers[place];
}

static void *allocate(const struct cache *cache, uint32_t payer) {
  // Acquiring: pairs with the releasing store in `slab_malloc_put_shared`.
  uintptr_t stocks = __atomic_load_n(&slab_malloc_shared.stocks, __ATOMIC_ACQUIRE);
  // Without a sheaf, as in the fallback, nothing is taken in vain.
  if (__atomic_load_n(&cache->words[0], __ATOMIC_RELAXED) == 0) return NULL;
  if (!take(stock_word(stocks, payer), payer, cache->place_bytes)) return NULL;
  uintptr_t object = slab_sheaf_pop(cache);
  if (SLAB_LIKELY(object != 0)) {
    __atomic_store_n(payer_entry(cache, object), payer, __ATOMIC_RELAXED);
    return (void *)object;
  }
  give_back(stocks, payer, cache->place_bytes);
  return NULL;
}

void *slab_malloc_missed(size_t bytes, const struct slab_malloc_children *children, size_t index) {
  uint32_t payer = (uint32_t)__atomic_load_n(&children->payer, __ATOMIC_RELAXED);
  if (payer != 0 && !slab_malloc_is_barred()) {
    // Acquiring: pairs with the releasing store in `slab_malloc_put_shared`.
    const struct cache *cache = __atomic_load_n(&slab_malloc_shared.caches[index], __ATOMIC_ACQUIRE);
    void *block = cache != NULL ? allocate(cache, payer) : NULL;
    if (SLAB_LIKELY(block != NULL)) return block;
  }
  return slab_malloc_slow(bytes);
}

// 0 if that is for the slow path, which finds what is wrong with the block, if anything is.
static int free_shared(const struct cache *gate, uintptr_t object) {
  const struct cache *cache = (const struct cache *)((uintptr_t)gate - gate_offset);
  // Acquiring: as above.
  uintptr_t stocks = __atomic_load_n(&slab_malloc_shared.stocks, __ATOMIC_ACQUIRE);
  if (stocks == 0 || __atomic_load_n(&cache->words[0], __ATOMIC_RELAXED) == 0) return 0;
  uint32_t *entry = payer_entry(gate, object);
  if (entry == NULL) return 0;
  // Once: of two threads that free one block at the same moment another may have put 0 there since.
  uint32_t payer = __atomic_load_n(entry, __ATOMIC_RELAXED), bytes = gate->place_bytes;
  if (payer == 0) return 0;
  __atomic_store_n(entry, 0, __ATOMIC_RELAXED);
  memset((void *)object, 0, bytes);
  if (!SLAB_LIKELY(slab_sheaf_push(cache, object) == slab_push_done)) {
    __atomic_store_n(entry, payer, __ATOMIC_RELAXED);
    return 0;
  }
  give_back(stocks, payer, bytes);
  return 1;
}

void slab_malloc_free_missed(void *block, const void *cache) {
  const struct cache *gate = cache;
  if (gate->kind == kind_gate && !slab_malloc_is_barred() && SLAB_LIKELY(free_shared(gate, (uintptr_t)block))) return;
  slab_malloc_free_slow(block);
}

int slab_malloc_reads_shared(uintptr_t object, uintptr_t cache, uint32_t payer, uintptr_t ended) {
  const struct cache *shared = (const struct cache *)cache, *gate = (const struct cache *)(cache + gate_offset);
  uint32_t *entry = payer_entry(gate, object);
  return gate->kind == kind_gate && gate->place_bytes == shared->place_bytes && entry != NULL && *entry == payer &&
         (uintptr_t)&payer_of(payer)->is_ended == ended;
}
