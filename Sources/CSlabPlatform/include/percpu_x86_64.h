// SPDX-License-Identifier: Apache-2.0
// The sequences for x86-64. See percpu.h for the layout and the rules.
//
// The registered area is addressed through the thread's segment: `area` is its offset.
//
// Labels: 1 start, 2 behind the committing store, 3 descriptor, 4 abort, 5 copy loop.

#define SLAB_RSEQ_DESCRIPTOR                                                                     \
  ".pushsection __rseq_cs, \"aw\"\n\t.balign 32\n"                                               \
  "3:\n\t.long 0, 0\n\t.quad 1f, (2f - 1f), 4f\n\t.popsection\n\t"                               \
  "leaq 3b(%%rip), %[scratch]\n\t"                                                               \
  "movq %[scratch], %%fs:8(%[area])\n"                                                                \
  "1:\n\t"

// The kernel demands the signature in the four bytes before the abort label; as the displacement
// of an undefined instruction it cannot be mistaken for code.
#define SLAB_RSEQ_ABORT                                                                          \
  "2:\n\t.pushsection __rseq_failure, \"ax\"\n\t"                                                \
  ".byte 0x0f, 0xb9, 0x3d\n\t.long 0x53053053\n"                                                 \
  "4:\n\tjmp %l[restarted]\n\t.popsection\n\t"

// What addresses an area in the macros above: its distance from the thread's segment.
#define SLAB_RSEQ_AREA(pointer) ((uintptr_t)(pointer) - (uintptr_t)__builtin_thread_pointer())
#define SLAB_RSEQ_SIGNATURE 0x53053053u

// An instruction that makes the kernel send a signal.
#define SLAB_TRAP "ud2\n"
enum { slab_trap_signal = 4 };

// From the sheaf word to the running CPU's sheaf in `sheaf`; jumps to miss if the word is 0.
#define SLAB_RSEQ_SHEAF                                                                          \
  "movl %%fs:4(%[area]), %k[scratch]\n\t"                                                             \
  "movq (%[word]), %[sheaf]\n\t"                                                                 \
  "shlq %[shift], %[scratch]\n\t"                                                                \
  "shrq $16, %[sheaf]\n\t"                                                                       \
  "jz %l[miss]\n\t"                                                                              \
  "addq %[scratch], %[sheaf]\n\t"

// Takes the top object; 0 if the sheaf is empty or closed.
SLAB_INLINE uintptr_t slab_sheaf_try_pop(const void *word, int *restarted) {
  uintptr_t object, sheaf, scratch;
  __asm__ goto volatile(
      SLAB_RSEQ_DESCRIPTOR
      SLAB_RSEQ_SHEAF
      "movq (%[sheaf]), %[scratch]\n\t"
      "testq %[scratch], %[scratch]\n\t"
      "jz %l[miss]\n\t"
      "movq (%[sheaf], %[scratch]), %[object]\n\t"
      "subq $8, %[scratch]\n\t"
      "movq %[scratch], (%[sheaf])\n"
      SLAB_RSEQ_ABORT
      : [object] "=&r"(object), [sheaf] "=&r"(sheaf), [scratch] "=&r"(scratch)
      : [word] "r"(word), [area] "r"(__rseq_offset), [shift] "i"(slab_percpu_stride_shift)
      : "memory", "cc"
      : miss, restarted);
  if (object == 0) __builtin_unreachable();
  return object;
restarted:
  *restarted = 1;
miss:
  return 0;
}

// Puts an object on top. The comparison with the present top needs no test for an empty sheaf: the
// word below the first object is `current`, which is no address.
SLAB_INLINE int slab_sheaf_try_push(const void *word, uintptr_t object, int *restarted) {
  uintptr_t sheaf, scratch, capacity;
  __asm__ goto volatile(
      SLAB_RSEQ_DESCRIPTOR
      SLAB_RSEQ_SHEAF
      "movzwl (%[word]), %k[capacity]\n\t"
      "movq (%[sheaf]), %[scratch]\n\t"
      "cmpq %[object], (%[sheaf], %[scratch])\n\t"
      "je %l[twice]\n\t"
      "cmpq %[capacity], %[scratch]\n\t"
      "jae %l[miss]\n\t"
      "movq %[object], 8(%[sheaf], %[scratch])\n\t"
      "addq $8, %[scratch]\n\t"
      "movq %[scratch], (%[sheaf])\n"
      SLAB_RSEQ_ABORT
      : [sheaf] "=&r"(sheaf), [scratch] "=&r"(scratch), [capacity] "=&r"(capacity)
      : [word] "r"(word), [object] "r"(object), [area] "r"(__rseq_offset),
        [shift] "i"(slab_percpu_stride_shift)
      : "memory", "cc"
      : miss, twice, restarted);
  return slab_push_done;
restarted:
  *restarted = 1;
miss:
  return slab_push_full;
twice:
  return slab_push_double_free;
}

// Takes up to `most` (at least 1) objects from the top; the number taken.
SLAB_INLINE size_t slab_sheaf_try_pop_batch(const void *word, uintptr_t *objects, size_t most,
                                            int *restarted) {
  uintptr_t sheaf, scratch, count, taken, value;
  __asm__ goto volatile(
      SLAB_RSEQ_DESCRIPTOR
      SLAB_RSEQ_SHEAF
      "movq (%[sheaf]), %[count]\n\t"
      "shrq $3, %[count]\n\t"
      "jz %l[miss]\n\t"
      "movq %[most], %[taken]\n\t"
      "cmpq %[taken], %[count]\n\t"
      "cmovbq %[count], %[taken]\n\t"
      "xorl %k[scratch], %k[scratch]\n"
      "5:\n\t"
      "movq (%[sheaf], %[count], 8), %[value]\n\t"
      "movq %[value], (%[objects], %[scratch], 8)\n\t"
      "decq %[count]\n\t"
      "incq %[scratch]\n\t"
      "cmpq %[taken], %[scratch]\n\t"
      "jb 5b\n\t"
      "shlq $3, %[count]\n\t"
      "movq %[count], (%[sheaf])\n"
      SLAB_RSEQ_ABORT
      : [sheaf] "=&r"(sheaf), [scratch] "=&r"(scratch), [count] "=&r"(count),
        [taken] "=&r"(taken), [value] "=&r"(value)
      : [word] "r"(word), [objects] "r"(objects), [most] "r"(most),
        [area] "r"(__rseq_offset), [shift] "i"(slab_percpu_stride_shift)
      : "memory", "cc"
      : miss, restarted);
  return taken;
restarted:
  *restarted = 1;
miss:
  return 0;
}

// Puts up to `offered` (at least 1) objects on top; the number put, less if the sheaf fills.
SLAB_INLINE size_t slab_sheaf_try_push_batch(const void *word, const uintptr_t *objects,
                                             size_t offered, int *restarted) {
  uintptr_t sheaf, scratch, count, room, value;
  __asm__ goto volatile(
      SLAB_RSEQ_DESCRIPTOR
      SLAB_RSEQ_SHEAF
      "movzwl (%[word]), %k[room]\n\t"
      "movq (%[sheaf]), %[count]\n\t"
      "shrq $3, %[room]\n\t"
      "shrq $3, %[count]\n\t"
      "subq %[count], %[room]\n\t"
      "jbe %l[miss]\n\t"
      "cmpq %[offered], %[room]\n\t"
      "cmovaq %[offered], %[room]\n\t"
      "xorl %k[scratch], %k[scratch]\n"
      "5:\n\t"
      "movq (%[objects], %[scratch], 8), %[value]\n\t"
      "movq %[value], 8(%[sheaf], %[count], 8)\n\t"
      "incq %[count]\n\t"
      "incq %[scratch]\n\t"
      "cmpq %[room], %[scratch]\n\t"
      "jb 5b\n\t"
      "shlq $3, %[count]\n\t"
      "movq %[count], (%[sheaf])\n"
      SLAB_RSEQ_ABORT
      : [sheaf] "=&r"(sheaf), [scratch] "=&r"(scratch), [count] "=&r"(count),
        [room] "=&r"(room), [value] "=&r"(value)
      : [word] "r"(word), [objects] "r"(objects), [offered] "r"(offered),
        [area] "r"(__rseq_offset), [shift] "i"(slab_percpu_stride_shift)
      : "memory", "cc"
      : miss, restarted);
  return room;
restarted:
  *restarted = 1;
miss:
  return 0;
}

// Adds to the running CPU's copy of the counter whose copy for CPU 0 is at `first`. Releasing: a thread
// that sees the sum sees what the caller did before.
SLAB_INLINE void slab_counter_add(uintptr_t first, int64_t delta) {
  uintptr_t scratch;
  __asm__ goto volatile(
      SLAB_RSEQ_DESCRIPTOR
      "movl %%fs:4(%[area]), %k[scratch]\n\t"
      "shlq %[shift], %[scratch]\n\t"
      "addq %[delta], (%[first], %[scratch])\n"
      SLAB_RSEQ_ABORT
      : [scratch] "=&r"(scratch)
      : [first] "r"(first), [delta] "er"(delta), [area] "r"(__rseq_offset),
        [shift] "i"(slab_percpu_stride_shift)
      : "memory", "cc"
      : restarted);
  return;
restarted:
  slab_counter_add_shared(first, delta);
}

// Adds one to the running CPU's copy of the counter whose address for CPU 0 stands in `word`; that
// address, or 0 if the sequence was restarted and nothing is added. The word is read in the sequence: after
// a fence no thread adds by an older one. What the caller reads later, it reads later than the word.
SLAB_INLINE uintptr_t slab_counter_begin(const void *word) {
  uintptr_t first, scratch;
  __asm__ goto volatile(
      SLAB_RSEQ_DESCRIPTOR
      "movl %%fs:4(%[area]), %k[scratch]\n\t"
      "movq (%[word]), %[first]\n\t"
      "shlq %[shift], %[scratch]\n\t"
      "incq (%[first], %[scratch])\n"
      SLAB_RSEQ_ABORT
      : [first] "=&r"(first), [scratch] "=&r"(scratch)
      : [word] "r"(word), [area] "r"(__rseq_offset), [shift] "i"(slab_percpu_stride_shift)
      : "memory", "cc"
      : restarted);
  if (first == 0) __builtin_unreachable();
  return first;
restarted:
  return 0;
}
