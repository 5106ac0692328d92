// SPDX-License-Identifier: Apache-2.0
// Randomness that can be had again. A test that uses it prints its seed when it fails; the same
// seed, given by SLAB_TEST_SEED, makes it do the same.

import Foundation
import Testing

/// A generator of 64-bit numbers from a seed (SplitMix64, Steele, Lea, Flood 2014).
package struct SeededGenerator: RandomNumberGenerator, Sendable {
  private var state: UInt64

  package init(seed: UInt64) { state = seed }

  package mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var mixed = state
    mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
    mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
    return mixed ^ (mixed >> 31)
  }
}

/// Runs a body with a fresh seed, or with SLAB_TEST_SEED, and names the seed if it records an issue.
package func withSeed(_ body: (UInt64) throws -> Void) rethrows {
  let given = ProcessInfo.processInfo.environment["SLAB_TEST_SEED"].flatMap { UInt64($0) }
  let seed = given ?? UInt64.random(in: 0 ... .max)
  try withKnownSeed(seed, body)
}

private func withKnownSeed(_ seed: UInt64, _ body: (UInt64) throws -> Void) rethrows {
  // Printed always: a crash leaves no other trace.
  print("seed \(seed) (SLAB_TEST_SEED)")
  try body(seed)
}
