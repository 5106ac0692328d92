// SPDX-License-Identifier: Apache-2.0
// How the CPU layer runs on this machine.

internal import CSlabPlatform
internal import Synchronization

extension PerCPUMode {
  /// Why an allocator runs in the fallback.
  package enum FallbackReason: UInt8, Sendable {
    /// `SLAB_PERCPU=fallback`.
    case environment
    /// The kernel or the C library has no restartable sequences, or a tunable turned them off.
    case unregistered
    /// The kernel has no membarrier for them, or a filter refuses it.
    case fenceRefused
    /// The kernel registers sequences and aborts none: Linux 6.19 and 7.0 for AArch64.
    case notAborted
    /// Whether it does could not be tried: no child could be made.
    case untried
    /// The kernel does not say how many CPUs there can be.
    case unknownProcessors
    /// A stripe for each CPU has no place in the limit on address space.
    case addressSpace
  }

  /// Why a mode cannot be had.
  package enum Failure: Error {
    /// `SLAB_PERCPU=rseq` was asked for where the kernel or the C library lacks it.
    case restartableSequencesUnavailable
    /// `SLAB_PERCPU` has a value other than `rseq` and `fallback`.
    case unknownEnvironmentValue
  }

  /// Whether this process has tried a sequence, and what the kernel did: 0 not yet, 1 it aborted it, 2 it did not.
  private static let trial = Atomic<UInt8>(0)

  /// Whether kernels of this architecture are known that register sequences and abort none.
  package static var isTrialNeeded: Bool {
    #if arch(arm64)
      true
    #else
      false
    #endif
  }

  /// The best mode of this process, or the one that `SLAB_PERCPU=rseq|fallback` forces; and why it is the fallback.
  ///
  /// A kernel that was seen to abort no sequence is never given one, whatever the variable says.
  package static func choose(
    isTrialNeeded: Bool = isTrialNeeded
  ) throws(Failure) -> (mode: PerCPUMode, reason: FallbackReason?) {
    let isFallback = SystemCall.environment("SLAB_PERCPU", equals: "fallback")
    if isFallback == true { return (.lockedStripes, .environment) }
    let isForced = isFallback != nil
    if isForced, SystemCall.environment("SLAB_PERCPU", equals: "rseq") != true {
      throw .unknownEnvironmentValue
    }
    guard let reason = lacking(isTrialNeeded: isTrialNeeded) else {
      return (.restartableSequences, nil)
    }
    if !isForced { return (.lockedStripes, reason) }
    guard reason == .untried else { throw .restartableSequencesUnavailable }
    return (.restartableSequences, nil)
  }

  /// What sequences lack here. Registers the process for the fence as well: they are useless without it.
  private static func lacking(isTrialNeeded: Bool) -> FallbackReason? {
    guard slab_rseq_is_registered() != 0 else { return .unregistered }
    do { try SystemCall.membarrier(.registerPrivateExpeditedRseq) } catch { return .fenceRefused }
    return isTrialNeeded ? failureOfTrial() : nil
  }

  /// Once for the process: the kernel stays.
  private static func failureOfTrial() -> FallbackReason? {
    switch trial.load(ordering: .relaxed) {
    case 1: return nil
    case 2: return .notAborted
    default: break
    }
    do throws(Errno) {
      try SystemCall.trySequence()
    } catch {
      guard error == .notSupported else { return .untried }
      trial.store(2, ordering: .relaxed)
      return .notAborted
    }
    trial.store(1, ordering: .relaxed)
    return nil
  }
}
