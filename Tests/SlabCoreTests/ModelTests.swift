// Random operations against the model. Runs in the mode that SLAB_PERCPU says; the check of the
// whole project runs it in both.

import SlabPlatform
import SlabTestSupport
import Testing

@testable import SlabCore

@Suite(.inTurn) struct ModelTests {
  private func run(seed: UInt64, steps: Int) throws {
    var configuration = AllocatorConfiguration()
    configuration.freeBytesToKeep = 64 << 10
    try withAllocator(configuration: configuration) { allocator in
      var model = try Model(allocator: allocator, seed: seed)
      for step in 1...steps {
        try model.step()
        if step % 250 == 0 { try model.check() }
      }
      // It has met what it is for.
      #expect(model.limitsMet > 0)
      #expect(model.offlineMet > 0)
      #expect(model.objectsDiscarded > 0)
      try model.end()
    }
  }

  @Test(arguments: 1...4 as ClosedRange<UInt64>) func knownSeeds(_ seed: UInt64) throws {
    try run(seed: seed, steps: 3_000)
  }

  @Test func freshSeed() throws {
    try withSeed { seed in try run(seed: seed, steps: 3_000) }
  }
}
