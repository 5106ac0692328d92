// SPDX-License-Identifier: Apache-2.0
// The sequences for AArch64. See percpu.h for the layout and the rules, percpu_x86_64.h for the
// same sequences with more words.
//
// Labels: 1 start, 2 behind the committing store, 3 descriptor, 4 abort, 5 copy loop.

#define SLAB_RSEQ_DESCRIPTOR                                                                     \
  ".pushsection __rseq_cs, \"aw\"\n\t.balign 32\n"                                               \
  "3:\n\t.long 0, 0\n\t.quad 1f, (2f - 1f), 4f\n\t.popsection\n\t"                               \
  "adrp %[scratch], 3b\n\t"                                                                      \
  "add %[scratch], %[scratch], :lo12:3b\n\t"                                                     \
  "str %[scratch], [%[area], #8]\n"                                                              \
  "1:\n\t"

// The signature is the kernel's: brk #0x45e0.
#define SLAB_RSEQ_ABORT                                                                          \
  "2:\n\t.pushsection __rseq_failure, \"ax\"\n\t.inst 0xd428bc00\n"                              \
  "4:\n\tb %l[restarted]\n\t.popsection\n\t"

// What addresses an area in the macros above.
#define SLAB_RSEQ_AREA(pointer) (pointer)
#define SLAB_RSEQ_SIGNATURE 0xd428bc00u

// An instruction that makes the kernel send a signal.
#define SLAB_TRAP "brk #0\n"
enum { slab_trap_signal = 5 };

#define SLAB_RSEQ_SHEAF                                                                          \
  "ldr %w[scratch], [%[area], #4]\n\t"                                                           \
  "ldr %[sheaf], [%[word]]\n\t"                                                                  \
  "lsr %[sheaf], %[sheaf], #16\n\t"                                                              \
  "cbz %[sheaf], %l[miss]\n\t"                                                                   \
  "add %[sheaf], %[sheaf], %[scratch], lsl %[shift]\n\t"

SLAB_INLINE uintptr_t slab_sheaf_try_pop(const void *word, int *restarted) {
  uintptr_t object, sheaf, scratch;
  __asm__ goto volatile(
      SLAB_RSEQ_DESCRIPTOR
      SLAB_RSEQ_SHEAF
      "ldr %[scratch], [%[sheaf]]\n\t"
      "cbz %[scratch], %l[miss]\n\t"
      "ldr %[object], [%[sheaf], %[scratch]]\n\t"
      "sub %[scratch], %[scratch], #8\n\t"
      "str %[scratch], [%[sheaf]]\n"
      SLAB_RSEQ_ABORT
      : [object] "=&r"(object), [sheaf] "=&r"(sheaf), [scratch] "=&r"(scratch)
      : [word] "r"(word), [area] "r"(slab_rseq_area()), [shift] "i"(slab_percpu_stride_shift)
      : "memory", "cc"
      : miss, restarted);
  if (object == 0) __builtin_unreachable();
  return object;
restarted:
  *restarted = 1;
miss:
  return 0;
}

SLAB_INLINE int slab_sheaf_try_push(const void *word, uintptr_t object, int *restarted) {
  uintptr_t sheaf, scratch, capacity, top;
  __asm__ goto volatile(
      SLAB_RSEQ_DESCRIPTOR
      SLAB_RSEQ_SHEAF
      "ldrh %w[capacity], [%[word]]\n\t"
      "ldr %[scratch], [%[sheaf]]\n\t"
      "ldr %[top], [%[sheaf], %[scratch]]\n\t"
      "cmp %[top], %[object]\n\t"
      "b.eq %l[twice]\n\t"
      "cmp %[scratch], %[capacity]\n\t"
      "b.hs %l[miss]\n\t"
      "add %[scratch], %[scratch], #8\n\t"
      "str %[object], [%[sheaf], %[scratch]]\n\t"
      "str %[scratch], [%[sheaf]]\n"
      SLAB_RSEQ_ABORT
      : [sheaf] "=&r"(sheaf), [scratch] "=&r"(scratch), [capacity] "=&r"(capacity),
        [top] "=&r"(top)
      : [word] "r"(word), [object] "r"(object), [area] "r"(slab_rseq_area()),
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

SLAB_INLINE size_t slab_sheaf_try_pop_batch(const void *word, uintptr_t *objects, size_t most,
                                            int *restarted) {
  uintptr_t sheaf, scratch, count, taken, value;
  __asm__ goto volatile(
      SLAB_RSEQ_DESCRIPTOR
      SLAB_RSEQ_SHEAF
      "ldr %[count], [%[sheaf]]\n\t"
      "cbz %[count], %l[miss]\n\t"
      "lsr %[count], %[count], #3\n\t"
      "cmp %[count], %[most]\n\t"
      "csel %[taken], %[count], %[most], lo\n\t"
      "mov %[scratch], #0\n"
      "5:\n\t"
      "ldr %[value], [%[sheaf], %[count], lsl #3]\n\t"
      "str %[value], [%[objects], %[scratch], lsl #3]\n\t"
      "sub %[count], %[count], #1\n\t"
      "add %[scratch], %[scratch], #1\n\t"
      "cmp %[scratch], %[taken]\n\t"
      "b.lo 5b\n\t"
      "lsl %[count], %[count], #3\n\t"
      "str %[count], [%[sheaf]]\n"
      SLAB_RSEQ_ABORT
      : [sheaf] "=&r"(sheaf), [scratch] "=&r"(scratch), [count] "=&r"(count),
        [taken] "=&r"(taken), [value] "=&r"(value)
      : [word] "r"(word), [objects] "r"(objects), [most] "r"(most),
        [area] "r"(slab_rseq_area()), [shift] "i"(slab_percpu_stride_shift)
      : "memory", "cc"
      : miss, restarted);
  return taken;
restarted:
  *restarted = 1;
miss:
  return 0;
}

SLAB_INLINE size_t slab_sheaf_try_push_batch(const void *word, const uintptr_t *objects,
                                             size_t offered, int *restarted) {
  uintptr_t sheaf, scratch, count, room, value;
  __asm__ goto volatile(
      SLAB_RSEQ_DESCRIPTOR
      SLAB_RSEQ_SHEAF
      "ldrh %w[room], [%[word]]\n\t"
      "ldr %[count], [%[sheaf]]\n\t"
      "lsr %[room], %[room], #3\n\t"
      "lsr %[count], %[count], #3\n\t"
      "subs %[room], %[room], %[count]\n\t"
      "b.ls %l[miss]\n\t"
      "cmp %[room], %[offered]\n\t"
      "csel %[room], %[room], %[offered], lo\n\t"
      "mov %[scratch], #0\n"
      "5:\n\t"
      "ldr %[value], [%[objects], %[scratch], lsl #3]\n\t"
      "add %[count], %[count], #1\n\t"
      "str %[value], [%[sheaf], %[count], lsl #3]\n\t"
      "add %[scratch], %[scratch], #1\n\t"
      "cmp %[scratch], %[room]\n\t"
      "b.lo 5b\n\t"
      "lsl %[count], %[count], #3\n\t"
      "str %[count], [%[sheaf]]\n"
      SLAB_RSEQ_ABORT
      : [sheaf] "=&r"(sheaf), [scratch] "=&r"(scratch), [count] "=&r"(count),
        [room] "=&r"(room), [value] "=&r"(value)
      : [word] "r"(word), [objects] "r"(objects), [offered] "r"(offered),
        [area] "r"(slab_rseq_area()), [shift] "i"(slab_percpu_stride_shift)
      : "memory", "cc"
      : miss, restarted);
  return room;
restarted:
  *restarted = 1;
miss:
  return 0;
}

SLAB_INLINE void slab_counter_add(uintptr_t first, int64_t delta) {
  uintptr_t scratch, value;
  __asm__ goto volatile(
      SLAB_RSEQ_DESCRIPTOR
      "ldr %w[scratch], [%[area], #4]\n\t"
      "lsl %[scratch], %[scratch], %[shift]\n\t"
      "add %[scratch], %[scratch], %[first]\n\t"
      "ldr %[value], [%[scratch]]\n\t"
      "add %[value], %[value], %[delta]\n\t"
      "stlr %[value], [%[scratch]]\n"
      SLAB_RSEQ_ABORT
      : [scratch] "=&r"(scratch), [value] "=&r"(value)
      : [first] "r"(first), [delta] "r"(delta), [area] "r"(slab_rseq_area()),
        [shift] "i"(slab_percpu_stride_shift)
      : "memory", "cc"
      : restarted);
  return;
restarted:
  slab_counter_add_shared(first, delta);
}

SLAB_INLINE uintptr_t slab_counter_begin(const void *word) {
  uintptr_t first, scratch, value;
  __asm__ goto volatile(
      SLAB_RSEQ_DESCRIPTOR
      "ldr %w[scratch], [%[area], #4]\n\t"
      "ldar %[first], [%[word]]\n\t"
      "lsl %[scratch], %[scratch], %[shift]\n\t"
      "add %[scratch], %[scratch], %[first]\n\t"
      "ldr %[value], [%[scratch]]\n\t"
      "add %[value], %[value], #1\n\t"
      "str %[value], [%[scratch]]\n"
      SLAB_RSEQ_ABORT
      : [first] "=&r"(first), [scratch] "=&r"(scratch), [value] "=&r"(value)
      : [word] "r"(word), [area] "r"(slab_rseq_area()), [shift] "i"(slab_percpu_stride_shift)
      : "memory", "cc"
      : restarted);
  if (first == 0) __builtin_unreachable();
  return first;
restarted:
  return 0;
}
