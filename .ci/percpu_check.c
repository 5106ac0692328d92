// Each restartable sequence once, for the compiler and the assembler.
#include "percpu.h"

uintptr_t check_pop(void *word) { return slab_sheaf_pop(word); }
int check_push(void *word, uintptr_t object) { return slab_sheaf_push(word, object); }
size_t check_pop_batch(void *word, uintptr_t *objects, size_t most) {
  return slab_sheaf_pop_batch(word, objects, most);
}
size_t check_push_batch(void *word, const uintptr_t *objects, size_t offered) {
  return slab_sheaf_push_batch(word, objects, offered);
}
void check_add(uintptr_t first, int64_t delta) { slab_counter_add(first, delta); }
uintptr_t check_begin(void *word) { return slab_counter_begin(word); }
int check_registered(void) { return slab_rseq_is_registered(); }
