// SPDX-License-Identifier: Apache-2.0
// Counts the instructions that a function executes, by stepping through calls of it. `.ci/hot_path` and
// `.ci/golden_counts` use it.
//
//   count_executed PROGRAM NAME=ADDRESS ...     addresses in the program's file, hexadecimal
//   count_executed --each FILE PROGRAM NAME=ADDRESS ...
//
// Prints for each function the fewest instructions of its first calls, with those of the functions that it
// calls. The fewest, because the count is meant for a warm cache, and a sheaf runs empty now and then.
//
// With --each it writes each call to a file instead, in their order: `call NAME`, then a line `ADDRESS COUNT` for each instruction of
// the program's file that was executed, then `outside INSTRUCTIONS CALLS SYSTEM-CALLS` for what is not of that file, the
// libraries. Other threads of the program are held before their first instruction, so that no clock has a part in
// the counts.
//
// Each step is a trap, and the kernel restarts a restartable sequence that a trap falls into. So the thread's
// pointer to the sequence is cleared after each step: to the kernel the sequence is then ordinary code, and it
// runs to its end. That is sound here because no other thread of the program uses the region meanwhile, and the
// program is kept on one CPU.

#define _GNU_SOURCE
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/personality.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#if !defined(__x86_64__)
#error "the registers and the breakpoint of this architecture are not known here: see docs/porting.md"
#endif

enum { most_calls = 40, most_steps = 1000000, most_paths = 64 };

struct path {
  const char *name;
  uint64_t address;
  uint64_t code;  // the word at the address, without the breakpoint
  long fewest;    // 0: no call was counted
  int calls;
};

static struct path paths[most_paths];
static int path_count;
static pid_t child;

// With --each:
static FILE *each;
static uint32_t *executed;        // for each address of the file, in the present call
static uint64_t bias, file_limit;  // the difference between an address in the program and in its file; the file's end
static long outside, entries, system_calls;  // instructions of libraries, calls of them, and of the system

__attribute__((noreturn)) static void fail(const char *what) {
  fprintf(stderr, "count_executed: %s: %s\n", what, strerror(errno));
  if (child > 0) kill(child, SIGKILL);
  exit(1);
}

static uint64_t peek(uint64_t address) {
  errno = 0;
  long word = ptrace(PTRACE_PEEKDATA, child, (void *)address, NULL);
  if (errno) fail("cannot read the program's memory");
  return (uint64_t)word;
}

static void poke(uint64_t address, uint64_t word) {
  if (ptrace(PTRACE_POKEDATA, child, (void *)address, (void *)word))
    fail("cannot write the program's memory");
}

static struct user_regs_struct registers(void) {
  struct user_regs_struct found;
  if (ptrace(PTRACE_GETREGS, child, NULL, &found)) fail("cannot read the registers");
  return found;
}

static void set_breakpoint(const struct path *path) {
  poke(path->address, (path->code & ~(uint64_t)0xff) | 0xcc);
}

// Lets the program run on, by one instruction or to a breakpoint. 0 when it has come to its end.
static int resume(int request) {
  int status, signal = 0;
  for (;;) {
    if (ptrace(request, child, NULL, (void *)(intptr_t)signal)) fail("cannot resume the program");
    pid_t found;
    do found = waitpid(-1, &status, __WALL);
    while (found > 0 && found != child);
    if (found != child) fail("cannot wait for the program");
    if (WIFSTOPPED(status) && status >> 16 == PTRACE_EVENT_CLONE) continue;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return 0;
    if (!WIFSTOPPED(status)) {
      errno = 0;
      fprintf(stderr, "count_executed: wait status 0x%x\n", status);
      fail("the program did not come to its end");
    }
    if (WSTOPSIG(status) == SIGTRAP) return 1;
    signal = WSTOPSIG(status);
  }
}

// Where the kernel looks for the running sequence of the program's thread.
static uint64_t sequence_pointer(void) {
  struct __ptrace_rseq_configuration found;
  if (ptrace(PTRACE_GET_RSEQ_CONFIGURATION, child, (void *)sizeof found, &found) != sizeof found)
    fail("cannot find the program's area of restartable sequences");
  if (found.rseq_abi_pointer == 0) {
    errno = 0;
    fail("the C library has not registered restartable sequences");
  }
  return found.rseq_abi_pointer + 8;
}

static void note(uint64_t address) {
  static int was_outside;
  if (address - bias < file_limit) {
    was_outside = 0;
    executed[address - bias]++;
    return;
  }
  outside++;
  if (!was_outside) entries++;
  was_outside = 1;
  if ((peek(address) & 0xffff) == 0x050f) system_calls++;
}

static void print_call(const char *name) {
  fprintf(each, "call %s\n", name);
  for (uint64_t address = 0; address < file_limit; address++)
    if (executed[address]) fprintf(each, "%lx %u\n", address, executed[address]);
  fprintf(each, "outside %ld %ld %ld\n", outside, entries, system_calls);
  memset(executed, 0, file_limit * sizeof *executed);
  outside = entries = system_calls = 0;
}

// From a function's first instruction to behind its return.
static long step_through(uint64_t pointer) {
  struct user_regs_struct now = registers();
  const uint64_t after = peek(now.rsp), stack = now.rsp + 8;
  long steps = 0;
  do {
    if (each) note(now.rip);
    if (++steps == most_steps) {
      errno = 0;
      fail("a call does not come to its end");
    }
    if (!resume(PTRACE_SINGLESTEP)) fail("the program ended inside of a call");
    if (peek(pointer) != 0) poke(pointer, 0);
    now = registers();
  } while (now.rip != after || now.rsp != stack);
  return steps;
}

// Finds the difference between an address in the program and in its file, and the file's end.
static void find_file(const char *program) {
  Elf64_Ehdr head;
  Elf64_Phdr part;
  Elf64_auxv_t entry;
  char name[64];
  int file = open(program, O_RDONLY);
  if (file < 0 || read(file, &head, sizeof head) != sizeof head) fail(program);
  for (int i = 0; i < head.e_phnum; i++) {
    off_t offset = (off_t)(head.e_phoff + (uint64_t)i * head.e_phentsize);
    if (pread(file, &part, sizeof part, offset) != sizeof part) fail(program);
    if (part.p_type == PT_LOAD && part.p_vaddr + part.p_memsz > file_limit)
      file_limit = part.p_vaddr + part.p_memsz;
  }
  close(file);
  snprintf(name, sizeof name, "/proc/%d/auxv", child);
  file = open(name, O_RDONLY);
  do {
    if (file < 0 || read(file, &entry, sizeof entry) != sizeof entry) fail(name);
  } while (entry.a_type != AT_ENTRY);
  close(file);
  bias = entry.a_un.a_val - head.e_entry;
}

// A program that is about to run, on one CPU, always at the same addresses.
static void start(const char *program) {
  cpu_set_t one;
  int status;
  CPU_ZERO(&one);
  CPU_SET(sched_getcpu(), &one);
  if (sched_setaffinity(0, sizeof one, &one)) fail("cannot keep to one CPU");
  child = fork();
  if (child < 0) fail("fork");
  if (child == 0) {
    personality(ADDR_NO_RANDOMIZE);
    if (ptrace(PTRACE_TRACEME, 0, NULL, NULL)) _exit(126);
    execl(program, program, (char *)NULL);
    _exit(127);
  }
  if (waitpid(child, &status, 0) != child || !WIFSTOPPED(status)) {
    errno = 0;
    fail("cannot start and trace the program");
  }
  long options = PTRACE_O_EXITKILL | (each ? PTRACE_O_TRACECLONE : 0);
  if (ptrace(PTRACE_SETOPTIONS, child, NULL, (void *)options)) fail("cannot trace the program");
}

// The path whose breakpoint the program has met.
static struct path *path_at(uint64_t address) {
  for (int i = 0; i < path_count; i++)
    if (paths[i].address == address) return &paths[i];
  errno = 0;
  fail("a trap that is no breakpoint");
}

int main(int count, char **arguments) {
  if (count > 1 && strcmp(arguments[1], "--each") == 0) {
    if (count < 3 || (each = fopen(arguments[2], "w")) == NULL) fail("cannot write the file");
    arguments += 2;
    count -= 2;
  }
  if (count < 3 || count - 2 > most_paths) {
    fprintf(stderr, "usage: count_executed [--each FILE] PROGRAM NAME=ADDRESS ...\n");
    return 64;
  }
  start(arguments[1]);
  find_file(arguments[1]);
  if (each && (executed = calloc(file_limit, sizeof *executed)) == NULL) fail("memory");
  for (int i = 2; i < count; i++) {
    char *equals = strchr(arguments[i], '=');
    if (equals == NULL) fail(arguments[i]);
    *equals = 0;
    struct path *path = &paths[path_count++];
    path->name = arguments[i];
    path->address = strtoull(equals + 1, NULL, 16) + bias;
    path->code = peek(path->address);
    set_breakpoint(path);
  }
  while (resume(PTRACE_CONT)) {
    struct user_regs_struct now = registers();
    struct path *path = path_at(--now.rip);
    if (ptrace(PTRACE_SETREGS, child, NULL, &now)) fail("cannot write the registers");
    poke(path->address, path->code);
    const long steps = step_through(sequence_pointer());
    if (each) print_call(path->name);
    if (path->fewest == 0 || steps < path->fewest) path->fewest = steps;
    if (++path->calls < most_calls || each) set_breakpoint(path);
  }
  if (each) return fclose(each) != 0;
  for (int i = 0; i < path_count; i++) printf("%s %ld\n", paths[i].name, paths[i].fewest);
  return 0;
}
