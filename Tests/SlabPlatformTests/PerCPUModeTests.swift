// SPDX-License-Identifier: Apache-2.0
// Which mode a process gets: SLAB_PERCPU, and a kernel that lacks what the sequences need.

import CSlabPlatform
import Glibc
import SlabPlatform
import SlabTestSupport
import Testing

@Suite(.inTurn) struct PerCPUModeTests {
  @Test func fallbackIsForced() async {
    await #expect(processExitsWith: .success) {
      _ = unsafe setenv("SLAB_PERCPU", "fallback", 1)
      let mode = try PerCPUMode.choose().mode
      #expect(mode == .lockedStripes)
    }
  }

  @Test func sequencesAreForcedOrRefused() async {
    await #expect(processExitsWith: .success) {
      _ = unsafe setenv("SLAB_PERCPU", "rseq", 1)
      if slab_rseq_is_registered() != 0 {
        let mode = try PerCPUMode.choose().mode
        #expect(mode == .restartableSequences)
      } else {
        #expect(throws: PerCPUMode.Failure.restartableSequencesUnavailable) {
          try PerCPUMode.choose()
        }
      }
    }
  }

  @Test func bestModeIsChosenWithoutTheVariable() async {
    await #expect(processExitsWith: .success) {
      _ = unsafe unsetenv("SLAB_PERCPU")
      let best: PerCPUMode =
        slab_rseq_is_registered() != 0 ? .restartableSequences : .lockedStripes
      let mode = try PerCPUMode.choose().mode
      #expect(mode == best)
    }
  }

  @Test(arguments: ["", "RSEQ", "rseq ", "locked", "fallback,rseq"])
  func otherValuesAreRefused(_ value: String) async {
    await #expect(processExitsWith: .success) { [value] in
      _ = unsafe setenv("SLAB_PERCPU", value, 1)
      #expect(throws: PerCPUMode.Failure.unknownEnvironmentValue) { try PerCPUMode.choose() }
    }
  }

  /// The C library has registered the sequences, but the kernel refuses the fence.
  @Test(arguments: [Errno.noFunction.rawValue, Errno.invalidArgument.rawValue])
  func withoutTheFenceThereAreNoSequences(_ code: Int32) async {
    await #expect(processExitsWith: .success) { [code] in
      let error = Errno(rawValue: code)
      _ = unsafe unsetenv("SLAB_PERCPU")
      FaultInjection.failCall(1, of: .membarrier, with: error, repeating: true)
      let mode = try PerCPUMode.choose().mode
      #expect(mode == .lockedStripes)
      let hits = FaultInjection.end()
      #expect(hits == (slab_rseq_is_registered() != 0 ? 1 : 0))

      _ = unsafe setenv("SLAB_PERCPU", "rseq", 1)
      FaultInjection.failCall(1, of: .membarrier, with: error, repeating: true)
      #expect(throws: PerCPUMode.Failure.restartableSequencesUnavailable) {
        try PerCPUMode.choose()
      }
      _ = FaultInjection.end()
    }
  }

  /// A kernel as it should be, whatever this architecture's kernels are known for.
  @Test func trialPasses() async {
    await #expect(processExitsWith: .success) {
      if slab_rseq_is_registered() != 0 {
        for _ in 0..<100 { try SystemCall.trySequence() }
      }
    }
  }

  /// The child of the trial is nobody else's: its end is not seen by a wait for the program's children, its
  /// signal not by the program's handler, and what the thread had blocked is as before.
  @Test func trialIsNotSeen() async {
    await #expect(processExitsWith: .success) {
      guard slab_rseq_is_registered() != 0 else { return }
      for number in [SIGILL, SIGTRAP, SIGCHLD] { signal(number) { _ in abort() } }
      var blocked = sigset_t()
      unsafe sigemptyset(&blocked)
      unsafe sigaddset(&blocked, SIGUSR2)
      _ = unsafe pthread_sigmask(SIG_SETMASK, &blocked, nil)
      try SystemCall.trySequence()
      #expect(waitpid(-1, nil, WNOHANG) == -1)
      var after = sigset_t()
      _ = unsafe pthread_sigmask(SIG_SETMASK, nil, &after)
      for number in [SIGUSR1, SIGUSR2, SIGILL, SIGTRAP] {
        let isBlocked = unsafe sigismember(&after, number) == 1
        #expect(isBlocked == (number == SIGUSR2))
      }
    }
  }

  /// A kernel that aborts no sequence gets none, even if the variable asks for them; and it is tried once.
  @Test func kernelThatAbortsNothing() async {
    await #expect(processExitsWith: .success) {
      guard slab_rseq_is_registered() != 0 else { return }
      _ = unsafe unsetenv("SLAB_PERCPU")
      FaultInjection.failCall(1, of: .sequenceTrial, with: .notSupported, repeating: true)
      for _ in 0..<2 {
        let (mode, reason) = try PerCPUMode.choose(isTrialNeeded: true)
        #expect(mode == .lockedStripes && reason == .notAborted)
      }
      _ = unsafe setenv("SLAB_PERCPU", "rseq", 1)
      #expect(throws: PerCPUMode.Failure.restartableSequencesUnavailable) {
        try PerCPUMode.choose(isTrialNeeded: true)
      }
      #expect(FaultInjection.end() == 1)
    }
  }

  /// Where no child can be made, the variable decides; and it is tried again.
  @Test func trialThatCannotBeMade() async {
    await #expect(processExitsWith: .success) {
      guard slab_rseq_is_registered() != 0 else { return }
      _ = unsafe unsetenv("SLAB_PERCPU")
      let error = Errno.resourceTemporarilyUnavailable
      FaultInjection.failCall(1, of: .sequenceTrial, with: error, repeating: true)
      let (mode, reason) = try PerCPUMode.choose(isTrialNeeded: true)
      #expect(mode == .lockedStripes && reason == .untried)
      _ = unsafe setenv("SLAB_PERCPU", "rseq", 1)
      let (forced, none) = try PerCPUMode.choose(isTrialNeeded: true)
      #expect(forced == .restartableSequences && none == nil)
      #expect(FaultInjection.end() == 2)
      let (tried, noReason) = try PerCPUMode.choose(isTrialNeeded: true)
      #expect(tried == .restartableSequences && noReason == nil)
    }
  }
}
