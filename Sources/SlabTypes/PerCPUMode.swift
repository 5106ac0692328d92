// SPDX-License-Identifier: Apache-2.0

/// How the CPU layer of an allocator runs, chosen once when it is made.
@frozen
public enum PerCPUMode: Sendable {
  /// Restartable sequences on the running CPU's memory, closed by membarrier.
  case restartableSequences
  /// One lock per stripe, the stripe picked by thread: any kernel, any C library, any sanitizer.
  case lockedStripes
}
