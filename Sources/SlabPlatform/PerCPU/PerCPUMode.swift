// How the CPU layer runs on this machine, chosen once when an allocator is made.

internal import CSlabPlatform

/// Which implementation of the per-CPU interface an allocator uses.
@usableFromInline @frozen
package enum PerCPUMode: UInt8, Sendable {
  /// Restartable sequences on the running CPU's memory, closed by membarrier.
  case restartableSequences
  /// One lock per slot, the slot picked by thread: any kernel, any libc, any sanitizer.
  case lockedSlots

  /// Why a mode cannot be had.
  package enum Failure: Error {
    /// `SLAB_PERCPU=rseq` was asked for where the kernel or the C library lacks it.
    case restartableSequencesUnavailable
    /// `SLAB_PERCPU` has a value other than `rseq` and `fallback`.
    case unknownEnvironmentValue
  }

  /// The best mode of this process, or the one that `SLAB_PERCPU=rseq|fallback` forces.
  package static func choose() throws(Failure) -> PerCPUMode {
    switch SystemCall.environment("SLAB_PERCPU", equals: "fallback") {
    case true?: return .lockedSlots
    case false?:
      guard SystemCall.environment("SLAB_PERCPU", equals: "rseq") == true else {
        throw .unknownEnvironmentValue
      }
      guard restartableSequencesAvailable else { throw .restartableSequencesUnavailable }
      return .restartableSequences
    case nil:
      return restartableSequencesAvailable ? .restartableSequences : .lockedSlots
    }
  }

  /// Registers the process for the fence as well: the sequences are useless without it.
  private static var restartableSequencesAvailable: Bool {
    guard slab_rseq_is_registered() != 0 else { return false }
    do {
      try SystemCall.membarrier(.registerPrivateExpeditedRseq)
      return true
    } catch {
      return false
    }
  }
}
