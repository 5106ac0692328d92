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
      let mode = try PerCPUMode.choose()
      #expect(mode == .lockedSlots)
    }
  }

  @Test func sequencesAreForcedOrRefused() async {
    await #expect(processExitsWith: .success) {
      _ = unsafe setenv("SLAB_PERCPU", "rseq", 1)
      if slab_rseq_is_registered() != 0 {
        let mode = try PerCPUMode.choose()
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
        slab_rseq_is_registered() != 0 ? .restartableSequences : .lockedSlots
      let mode = try PerCPUMode.choose()
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
      let mode = try PerCPUMode.choose()
      #expect(mode == .lockedSlots)
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
}
