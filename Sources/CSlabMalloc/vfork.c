// SPDX-License-Identifier: Apache-2.0
// The child of a vfork runs in its parent's memory, with the thread-local variables of the thread that called. The
// kernel has ended the registration of its restartable sequences, which its thread-locals still show: a sequence of
// the child would run with a CPU's number that the kernel does not keep up, and on a CPU of which another thread is the owner. So
// the child registers the same area as its own. Its parent does not run until the child has begun another program or
// ended, and finds the area brought up to date when it does.
//
// Once the child has returned from here, what is on the stack is not the parent's any more: so the return address
// waits in a register, and the second call to the system is made without a stack.
//
// posix_spawn, system and popen make their child by themselves; it does not allocate.

#if defined(__x86_64__)

__asm__(
    ".text\n\t"
    ".globl vfork\n\t"
    ".type vfork, @function\n\t"
    ".p2align 4\n"
    "vfork:\n\t"
    ".cfi_startproc\n\t"
    "endbr64\n\t"
    "popq %rdi\n\t"
    ".cfi_adjust_cfa_offset -8\n\t"
    ".cfi_register %rip, %rdi\n\t"
    "movl $58, %eax\n\t"  // SYS_vfork
    "syscall\n\t"
    "pushq %rdi\n\t"
    ".cfi_adjust_cfa_offset 8\n\t"
    ".cfi_rel_offset %rip, 0\n\t"
    "testq %rax, %rax\n\t"
    "jz 1f\n\t"
    "js 2f\n\t"
    "ret\n"
    "1:\n\t"
    // As long as the C library has registered it: 32 bytes, or what is in use, in whole pieces of 32.
    "movq __rseq_size@GOTPCREL(%rip), %rdi\n\t"
    "movl (%rdi), %esi\n\t"
    "testl %esi, %esi\n\t"
    "jz 3f\n\t"
    "addl $31, %esi\n\t"
    "andl $-32, %esi\n\t"
    "movq __rseq_offset@GOTPCREL(%rip), %rdi\n\t"
    "movq (%rdi), %rdi\n\t"
    "addq %fs:0, %rdi\n\t"
    "xorl %edx, %edx\n\t"
    "movl $0x53053053, %r10d\n\t"
    "movl $334, %eax\n\t"  // SYS_rseq
    "syscall\n"
    "3:\n\t"
    "xorl %eax, %eax\n\t"
    "ret\n"
    "2:\n\t"
    "negl %eax\n\t"
    "pushq %rax\n\t"
    ".cfi_adjust_cfa_offset 8\n\t"
    "call __errno_location@PLT\n\t"
    "popq %rcx\n\t"
    ".cfi_adjust_cfa_offset -8\n\t"
    "movl %ecx, (%rax)\n\t"
    "movq $-1, %rax\n\t"
    "ret\n\t"
    ".cfi_endproc\n\t"
    ".size vfork, .-vfork\n\t"
    ".globl __vfork\n\t"
    ".set __vfork, vfork\n");

#endif
