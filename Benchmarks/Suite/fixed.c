// SPDX-License-Identifier: Apache-2.0
// Pairs of allocate and free of one size by whatever allocator the program runs with: nanoseconds of the threads' CPU time for
// a pair, so that neither their start nor what they wait for each other counts.
//
//   fixed SIZE THREADS own|one MILLISECONDS COUNT...
//
// With own each thread allocates in a group of its own, with one all in the same, where the allocator has groups. A COUNT is
// how many objects are allocated before the first is freed. Prints "PATTERN NANOSECONDS" lines.
#include "common.h"

#ifdef FLOOR
void *empty_allocate(size_t size);
void empty_free(void *block);
#define ALLOCATE empty_allocate
#define FREE empty_free
#else
#define ALLOCATE malloc
#define FREE free
#endif

enum kind { once, ordered, reversed, at_random, replaced, handed };
enum { box_objects = 1000, boxes = 4, most_threads = 64, replaced_objects = 1000 };

// One producer's way to one consumer: a box is the producer's until it is passed, then the consumer's until it is given back.
struct belt {
  void *objects[boxes][box_objects];
  _Alignas(64) long passed;
  _Alignas(64) long returned;
};

struct worker {
  pthread_t thread;
  unsigned number;
  slab_group *group;
  struct belt *belt;
  void **objects;
  double used;
};

static struct work {
  enum kind kind;
  size_t size;
  unsigned count;
  long pairs;
  const unsigned *order;
} work;
static cpu_set_t allowed;
static pthread_barrier_t line;

static inline void *make(void) {
  char *object = opaque(ALLOCATE(work.size));
  if (object == NULL) fail("no memory");
  *object = 1;
  return opaque(object);
}

static void run_once(long pairs) {
  for (long pair = 0; pair < pairs; pair++) FREE(make());
}

static void run_batches(void **objects, long pairs) {
  unsigned count = work.count;
  for (long done = 0; done < pairs; done += count) {
    for (unsigned index = 0; index < count; index++) objects[index] = make();
    if (work.kind == ordered)
      for (unsigned index = 0; index < count; index++) FREE(objects[index]);
    else if (work.kind == reversed)
      for (unsigned index = count; index > 0; index--) FREE(objects[index - 1]);
    else
      for (unsigned index = 0; index < count; index++) FREE(objects[work.order[index]]);
  }
}

static void run_replaced(void **objects, long pairs) {
  uint64_t state = 1;
  for (unsigned index = 0; index < work.count; index++) objects[index] = make();
  for (long pair = 0; pair < pairs; pair++) {
    uint64_t index = next_random(&state) % work.count;
    FREE(objects[index]);
    objects[index] = make();
  }
  for (unsigned index = 0; index < work.count; index++) FREE(objects[index]);
}

// Even threads produce for the odd one behind them. What one waits for the other is not counted.
static double run_handed(struct worker *worker, long pairs) {
  struct belt *belt = worker->belt;
  int is_producer = worker->number % 2 == 0;
  double used = 0;
  for (long box = 0; box < pairs / box_objects; box++) {
    if (is_producer)
      while (box - __atomic_load_n(&belt->returned, __ATOMIC_ACQUIRE) >= boxes) sched_yield();
    else
      while (__atomic_load_n(&belt->passed, __ATOMIC_ACQUIRE) <= box) sched_yield();
    void **objects = belt->objects[box % boxes];
    double start = nanoseconds(CLOCK_THREAD_CPUTIME_ID);
    for (unsigned index = 0; index < box_objects; index++)
      if (is_producer) objects[index] = make();
      else FREE(objects[index]);
    used += nanoseconds(CLOCK_THREAD_CPUTIME_ID) - start;
    __atomic_fetch_add(is_producer ? &belt->passed : &belt->returned, 1, __ATOMIC_RELEASE);
  }
  return used;
}

static double run(struct worker *worker, long pairs) {
  if (work.kind == handed) return run_handed(worker, pairs);
  double start = nanoseconds(CLOCK_THREAD_CPUTIME_ID);
  if (work.kind == once) run_once(pairs);
  else if (work.kind == replaced) run_replaced(worker->objects, pairs);
  else run_batches(worker->objects, pairs);
  return nanoseconds(CLOCK_THREAD_CPUTIME_ID) - start;
}

static void *begin(void *argument) {
  struct worker *worker = argument;
  pin(worker->number, &allowed);
  if (worker->group != NULL) slab_group_enter(worker->group);
  // The first turn is not measured.
  if (work.kind != handed) run(worker, work.pairs < 5L * work.count ? work.count : 5L * work.count);
  pthread_barrier_wait(&line);
  worker->used = run(worker, work.pairs);
  return NULL;
}

// Nanoseconds a pair.
static double measure(struct worker *workers, unsigned threads) {
  must(pthread_barrier_init(&line, NULL, threads) == 0, "no barrier");
  for (unsigned number = 0; number < threads; number++) {
    struct worker *worker = &workers[number];
    if (worker->belt != NULL) worker->belt->passed = worker->belt->returned = 0;
    worker->objects = calloc(work.count, sizeof *worker->objects);
    must(worker->objects != NULL, "no memory for addresses");
    must(pthread_create(&worker->thread, NULL, begin, worker) == 0, "no thread");
  }
  double used = 0;
  for (unsigned number = 0; number < threads; number++) {
    pthread_join(workers[number].thread, NULL);
    used += workers[number].used;
    free(workers[number].objects);
  }
  pthread_barrier_destroy(&line);
  return used / ((double)work.pairs * (work.kind == handed ? threads / 2 : threads));
}

// As many pairs as take about so long, by a short trial.
static double measured(struct worker *workers, unsigned threads, enum kind kind, unsigned count, double most) {
  long step = kind == handed ? box_objects : count;
  work.kind = kind;
  work.count = count;
  work.pairs = step > 20000 ? step : 20000 / step * step;
  double trial = measure(workers, threads);
  long wanted = (long)(most / (trial > 1 ? trial : 1));
  if (wanted <= work.pairs) return trial;
  work.pairs = wanted / step * step;
  return measure(workers, threads);
}

int main(int count, char **arguments) {
  if (count < 6) return 64;
  work.size = strtoul(arguments[1], NULL, 10);
  unsigned threads = (unsigned)strtoul(arguments[2], NULL, 10);
  int is_own = strcmp(arguments[3], "own") == 0;
  double most = strtod(arguments[4], NULL) * 1e6;
  if (threads < 1 || threads > most_threads || work.size < 1) return 64;
  must(sched_getaffinity(0, sizeof allowed, &allowed) == 0, "no CPUs");
  static struct worker workers[most_threads];
  for (unsigned number = 0; number < threads; number++) {
    workers[number].number = number;
    if (slab_group_enter != NULL)
      workers[number].group = is_own || number == 0 ? new_group(SLAB_NO_LIMIT) : workers[0].group;
  }
  printf("once %.3f\n", measured(workers, threads, once, 1, most));
  for (int index = 5; index < count; index++) {
    unsigned objects = (unsigned)strtoul(arguments[index], NULL, 10);
    unsigned *order = shuffled(objects);
    work.order = order;
    printf("ordered-%u %.3f\n", objects, measured(workers, threads, ordered, objects, most));
    printf("reversed-%u %.3f\n", objects, measured(workers, threads, reversed, objects, most));
    printf("random-%u %.3f\n", objects, measured(workers, threads, at_random, objects, most));
    free(order);
  }
  printf("replaced %.3f\n", measured(workers, threads, replaced, replaced_objects, most));
  // Objects are made in the producer's group. So this is one group for each pair of threads.
  if (threads % 2 == 0) {
    for (unsigned number = 0; number < threads; number += 2) {
      struct belt *belt = aligned_alloc(64, sizeof *belt);
      must(belt != NULL, "no memory for a belt");
      workers[number].belt = workers[number + 1].belt = belt;
    }
    printf("handed %.3f\n", measured(workers, threads, handed, box_objects, most));
  }
  return 0;
}
