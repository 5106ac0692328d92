// SPDX-License-Identifier: Apache-2.0
// Random operations against the model. Runs in the mode that SLAB_PERCPU says; the check of the
// whole project runs it in both.

import SlabPlatform
import SlabTestSupport
import Testing

@testable import SlabCore

@Suite(.inTurn) struct ModelTests {
  private struct Met {
    var limits = 0
    var offline = 0
    var objectsDiscarded = 0
  }

  @discardableResult private func run(seed: UInt64, steps: Int) throws -> Met {
    var met = Met()
    var configuration = AllocatorConfiguration()
    configuration.freeBytesToKeep = 64 << 10
    try withAllocator(configuration: configuration) { allocator in
      var model = try Model(allocator: allocator, seed: seed)
      for step in 1...steps {
        try model.step()
        if step % 250 == 0 { try model.check() }
      }
      met = Met(
        limits: model.limitsMet, offline: model.offlineMet, objectsDiscarded: model.objectsDiscarded
      )
      try model.end()
    }
    return met
  }

  @Test func knownSeeds() throws {
    var met = Met()
    for seed in 1...6 as ClosedRange<UInt64> {
      let other = try run(seed: seed, steps: 3_000)
      met.limits += other.limits
      met.offline += other.offline
      met.objectsDiscarded += other.objectsDiscarded
    }
    // Together they meet what the model is for.
    #expect(met.limits > 0)
    #expect(met.offline > 0)
    #expect(met.objectsDiscarded > 0)
  }

  // A single seed may discard only groups without an object: nothing is expected of its numbers.
  @Test func freshSeed() throws {
    try withSeed { seed in try run(seed: seed, steps: 3_000) }
  }
}
