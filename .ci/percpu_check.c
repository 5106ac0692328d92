// SPDX-License-Identifier: Apache-2.0
// The restartable sequences of this machine under many preemptions, by themselves: no Swift, no library.
//
//   percpu_check SECONDS SEED [untried]
//
// First the trial by which the library chooses its mode (slab_rseq_trial): on a kernel that aborts no sequence the
// last line says so, and "untried" goes on there, to see what comes of it.
//
// Threads, more than there are CPUs, pop and push numbered objects on a few sheaves; each object says whether
// a thread has it. Meanwhile sheaves are closed, fenced and drained, and signals arrive. In the end each object
// is in one place, and each counter is the sum of what was added. The last line begins with "percpu_check: ok",
// or with "percpu_check: FAILED".
#include "percpu_check.h"

// MARK: the workers

static uint64_t one_of(struct worker *self, uint64_t count) { return next_random(&self->random) % count; }

static void pop(struct worker *self, int sheaf) {
  int restarted = 0;
  if (self->held_count == held_most) return;
  uintptr_t object = slab_sheaf_try_pop(&words[sheaf], &restarted);
  self->tries[kind_pop]++;
  self->restarts[kind_pop] += restarted;
  if (object != 0)
    take(object, 0, self->number);
  else if ((object = take_from_pool(self->number)) == 0)
    return;
  self->held[self->held_count++] = object;
}

static void push(struct worker *self, int sheaf) {
  int restarted = 0;
  if (self->held_count == 0) return;
  uintptr_t object = self->held[--self->held_count];
  take(object, self->number, 0);
  int answer = slab_sheaf_try_push(&words[sheaf], object, &restarted);
  self->tries[kind_push]++;
  self->restarts[kind_push] += restarted;
  expect(answer != slab_push_double_free, "an object is on top already");
  if (answer == slab_push_done) return;
  take(object, 0, self->number);
  give_to_pool(object, self->number);
}

static void pop_batch(struct worker *self, int sheaf) {
  int restarted = 0;
  uintptr_t batch[batch_most];
  size_t room = held_most - self->held_count;
  size_t most = 1 + one_of(self, batch_most);
  if (most > room) most = room;
  if (most == 0) return;
  size_t count = slab_sheaf_try_pop_batch(&words[sheaf], batch, most, &restarted);
  self->tries[kind_pop_batch]++;
  self->restarts[kind_pop_batch] += restarted;
  expect(count <= most, "more taken than asked for");
  for (size_t index = 0; index < count; index++) {
    take(batch[index], 0, self->number);
    self->held[self->held_count++] = batch[index];
  }
}

static void push_batch(struct worker *self, int sheaf) {
  int restarted = 0;
  size_t offered = 1 + one_of(self, batch_most);
  if (offered > self->held_count) offered = self->held_count;
  if (offered == 0) return;
  uintptr_t *batch = &self->held[self->held_count - offered];
  for (size_t index = 0; index < offered; index++) take(batch[index], self->number, 0);
  size_t count = slab_sheaf_try_push_batch(&words[sheaf], batch, offered, &restarted);
  self->tries[kind_push_batch]++;
  self->restarts[kind_push_batch] += restarted;
  expect(count <= offered, "more put than offered");
  self->held_count -= offered;
  for (size_t index = count; index < offered; index++) {
    take(batch[index], 0, self->number);
    give_to_pool(batch[index], self->number);
  }
}

static void count_up(struct worker *self) {
  slab_counter_add(counter_first(0), 1);
  self->tries[kind_add]++;
  self->added++;
  uintptr_t first = slab_counter_begin(&counter_word);
  self->tries[kind_begin]++;
  if (first == 0)
    self->restarts[kind_begin]++;
  else
    self->begun[first == counter_first(2)]++;
}

static void move_to_another_cpu(struct worker *self) {
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  CPU_SET(one_of(self, (uint64_t)cpu_count), &allowed);
  sched_setaffinity(0, sizeof allowed, &allowed);
}

static void *work(void *argument) {
  struct worker *self = argument;
  __atomic_store_n(&self->id, (int32_t)syscall(SYS_gettid), __ATOMIC_RELEASE);
  while (!__atomic_load_n(&is_over, __ATOMIC_RELAXED)) {
    int sheaf = (int)one_of(self, sheaf_count);
    switch (one_of(self, 8)) {
      case 0: case 1: pop(self, sheaf); break;
      case 2: case 3: push(self, sheaf); break;
      case 4: pop_batch(self, sheaf); break;
      case 5: push_batch(self, sheaf); break;
      default: count_up(self);
    }
    if (one_of(self, 4096) == 0) move_to_another_cpu(self);
  }
  return NULL;
}

// MARK: closing

static void fence(void) {
  expect(syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED_RSEQ, 0, 0) == 0, "membarrier");
  fences++;
}

// The sheaf's objects belong to the caller, once it is closed and fenced.
static void drain(int sheaf) {
  for (int cpu = 0; cpu < cpu_count; cpu++) {
    uint64_t *place = (uint64_t *)on_cpu(sheaf_first(sheaf), cpu);
    uint64_t current = __atomic_load_n(place, __ATOMIC_ACQUIRE);
    if (current % 8 != 0 || current / 8 > capacities[sheaf])
      failed("sheaf %d, CPU %d: current is %llu", sheaf, cpu, (unsigned long long)current);
    for (uint64_t index = current / 8; index > 0; index--) {
      take(place[index], 0, owner_drain);
      give_to_pool(place[index], owner_drain);
      drained++;
    }
    if (__atomic_load_n(place, __ATOMIC_ACQUIRE) != current)
      failed("sheaf %d, CPU %d: changed after the fence", sheaf, cpu);
    *place = 0;
  }
}

static void close_and_open(int sheaf) {
  __atomic_store_n(&words[sheaf], 0, __ATOMIC_SEQ_CST);
  fence();
  drain(sheaf);
  __atomic_store_n(&words[sheaf], sheaf_word(sheaf), __ATOMIC_RELEASE);
}

// After the fence nobody adds to the counter that was in the word before.
static void turn_counter(void) {
  static int current = 1;
  static int64_t at_rest = 0;
  int next = 3 - current;
  if (counter_sum(next) != at_rest)
    failed("counter %d: %lld after its fence, %lld later", next, (long long)at_rest,
           (long long)counter_sum(next));
  __atomic_store_n(&counter_word, counter_first(next), __ATOMIC_SEQ_CST);
  fence();
  at_rest = counter_sum(current);
  current = next;
}

// MARK: alone

// What each operation answers to one thread. A restart is no answer: then it is asked again.
static void check_answers(void) {
  uintptr_t first = sheaf_first(0);
  uint64_t word = 0;
  uintptr_t batch[4] = {0x1000, 0x2000, 0x3000, 0x4000};
  uintptr_t out[8];
  expect(slab_sheaf_pop_patiently(&word) == 0, "a closed sheaf is popped");
  expect(slab_sheaf_push_patiently(&word, 64) == slab_push_full, "a closed sheaf is pushed");
  expect(slab_sheaf_pop_batch(&word, out, 4) == 0, "a closed sheaf gives a batch");
  expect(slab_sheaf_push_batch(&word, batch, 4) == 0, "a closed sheaf takes a batch");
  word = (uint64_t)first << 16 | 3 * 8;
  expect(slab_sheaf_pop_patiently(&word) == 0, "an empty sheaf is popped");
  expect(slab_sheaf_pop_batch(&word, out, 4) == 0, "an empty sheaf gives a batch");
  expect(slab_sheaf_push_patiently(&word, 0x1000) == slab_push_done, "a push");
  expect(slab_sheaf_push_patiently(&word, 0x1000) == slab_push_double_free, "a double free");
  expect(slab_sheaf_push_batch(&word, batch + 1, 3) == 2, "a batch that fills the sheaf");
  expect(slab_sheaf_push_patiently(&word, 0x4000) == slab_push_full, "a full sheaf is pushed");
  expect(slab_sheaf_push_batch(&word, batch, 1) == 0, "a full sheaf takes a batch");
  expect(slab_sheaf_pop_patiently(&word) == 0x3000, "the top object");
  expect(slab_sheaf_pop_batch(&word, out, 8) == 2 && out[0] == 0x2000 && out[1] == 0x1000,
         "the rest, from the top");
  for (int cpu = 0; cpu < cpu_count; cpu++)
    expect(*(uint64_t *)on_cpu(first, cpu) == 0, "a sheaf is left empty");
}

// Each on one CPU, so that an operation finds what the one before left.
static void check_answers_everywhere(void) {
  cpu_set_t before, one;
  sched_getaffinity(0, sizeof before, &before);
  for (int cpu = 0; cpu < cpu_count; cpu++) {
    if (!CPU_ISSET(cpu, &before)) continue;
    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    expect(sched_setaffinity(0, sizeof one, &one) == 0, "sched_setaffinity");
    check_answers();
  }
  sched_setaffinity(0, sizeof before, &before);
}

// MARK: all together

static void no_action(int number) { (void)number; }

static void start(uint64_t seed) {
  struct sigaction action = {.sa_handler = no_action, .sa_flags = SA_RESTART};
  sigaction(SIGUSR1, &action, NULL);
  for (int sheaf = 0; sheaf < sheaf_count; sheaf++) words[sheaf] = sheaf_word(sheaf);
  counter_word = counter_first(1);
  for (int index = 0; index < object_count; index++) {
    objects[index].owner = owner_pool;
    pool[pool_count++] = (uintptr_t)&objects[index];
  }
  for (int index = 0; index < worker_count; index++) {
    workers[index].number = index + 1;
    workers[index].random = seed + (uint64_t)index * 0x1234567;
    expect(pthread_create(&workers[index].thread, NULL, work, &workers[index]) == 0, "pthread_create");
  }
}

static uint64_t restarts_of(int kind) {
  // A restarted addition went to the shared copy.
  if (kind == kind_add)
    return (uint64_t)__atomic_load_n((int64_t *)on_cpu(counter_first(0), -1), __ATOMIC_RELAXED);
  uint64_t restarts = 0;
  for (int index = 0; index < worker_count; index++)
    restarts += __atomic_load_n(&workers[index].restarts[kind], __ATOMIC_RELAXED);
  return restarts;
}

static int is_each_restarted(void) {
  for (int kind = 0; kind < kind_count; kind++)
    if (restarts_of(kind) == 0) return 0;
  return 1;
}

static void disturb(uint64_t seconds, uint64_t seed) {
  uint64_t random = ~seed;
  uint64_t start = milliseconds();
  uint64_t passed = 0;
  // Longer where a kind of sequence was not restarted yet, which is chance, within a bound.
  while ((passed = milliseconds() - start) < seconds * 1000 ||
         (passed < seconds * 8000 && !is_each_restarted())) {
    struct timespec pause = {0, (long)(next_random(&random) % 1000) * 1000};
    nanosleep(&pause, NULL);
    uint64_t choice = next_random(&random) % 16;
    if (choice < sheaf_count) {
      close_and_open((int)choice);
    } else if (choice == sheaf_count) {
      turn_counter();
    } else {
      int32_t id = __atomic_load_n(&workers[choice % worker_count].id, __ATOMIC_ACQUIRE);
      if (id != 0 && syscall(SYS_tgkill, getpid(), id, SIGUSR1) == 0) signals_sent++;
    }
  }
}

static void stop_and_add_up(void) {
  int64_t added = 0, begun[2] = {0, 0};
  __atomic_store_n(&is_over, 1, __ATOMIC_RELAXED);
  for (int index = 0; index < worker_count; index++) {
    struct worker *worker = &workers[index];
    pthread_join(worker->thread, NULL);
    while (worker->held_count > 0) give_to_pool(worker->held[--worker->held_count], worker->number);
    added += worker->added;
    for (int turn = 0; turn < 2; turn++) begun[turn] += worker->begun[turn];
  }
  for (int sheaf = 0; sheaf < sheaf_count; sheaf++) drain(sheaf);
  if (pool_count != object_count) failed("%zu objects of %d are left", pool_count, object_count);
  for (int counter = 0; counter < 3; counter++) {
    int64_t expected = counter == 0 ? added : begun[counter - 1];
    if (counter_sum(counter) != expected)
      failed("counter %d: %lld added, the sum is %lld", counter, (long long)expected,
             (long long)counter_sum(counter));
  }
}

// Each kind of sequence must have been restarted, else nothing was shown.
static void report(void) {
  for (int kind = 0; kind < kind_count; kind++) {
    uint64_t tries = 0;
    for (int index = 0; index < worker_count; index++) tries += workers[index].tries[kind];
    printf("%-10s %11llu tries %7llu restarts\n", kind_names[kind], (unsigned long long)tries,
           (unsigned long long)restarts_of(kind));
    if (restarts_of(kind) == 0) failed("%s was never restarted", kind_names[kind]);
  }
  printf("%llu fences, %llu objects drained, %llu signals\n", (unsigned long long)fences,
         (unsigned long long)drained, (unsigned long long)signals_sent);
}

static void try_kernel(int is_untried) {
  enum { trials = 50 };
  for (int index = 0; index < trials; index++) {
    intptr_t outcome = slab_rseq_trial();
    if (outcome == -ENOTSUP && !is_untried) {
      printf("percpu_check: the kernel aborts no sequence\n");
      finish(2);
    }
    if (outcome != (is_untried ? -ENOTSUP : 0)) failed("trial %d: %ld", index, (long)outcome);
  }
}

int main(int count, char **arguments) {
  struct utsname system;
  uint64_t seconds = count > 1 ? strtoull(arguments[1], NULL, 10) : 10;
  uint64_t seed = count > 2 ? strtoull(arguments[2], NULL, 10) : 1;
  int is_untried = count > 3 && strcmp(arguments[3], "untried") == 0;
  uname(&system);
  make_region();
  printf("Linux %s %s, %d CPUs, pages of %ld bytes, %llu s, seed %llu\n", system.release,
         system.machine, cpu_count, sysconf(_SC_PAGESIZE), (unsigned long long)seconds,
         (unsigned long long)seed);
  expect(slab_rseq_is_registered(), "restartable sequences are not registered");
  expect(syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_RSEQ, 0, 0) == 0,
         "membarrier cannot be registered");
  try_kernel(is_untried);
  check_answers_everywhere();
  start(seed);
  disturb(seconds, seed);
  stop_and_add_up();
  report();
  printf("percpu_check: ok\n");
  finish(0);
}
