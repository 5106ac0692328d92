// SPDX-License-Identifier: Apache-2.0
// The time for an object of a class with an array of 100 bytes, made and let go, with 64 of them live: once with the
// C library's malloc, and, as SwiftObjectsInGroup, with this allocator's in a group of a task. Prints nanoseconds.
//
//   SwiftObjects [MILLIONS]

import Glibc

#if IN_GROUP
  import Slab
#endif

final class Session {
  var bytes: [UInt8]
  init(_ byte: UInt8) { bytes = [UInt8](repeating: byte, count: 100) }
}

@inline(never)
func work(_ rounds: Int, _ sessions: inout [Session?]) {
  for round in 0..<rounds { sessions[round & 63] = Session(UInt8(truncatingIfNeeded: round)) }
}

func nanoseconds(_ rounds: Int) -> Double {
  var sessions = [Session?](repeating: nil, count: 64)
  work(100_000, &sessions)
  let clock = ContinuousClock()
  let time = clock.measure { work(rounds, &sessions) }
  return Double(time.components.seconds) * 1e9 / Double(rounds)
    + Double(time.components.attoseconds) / 1e9 / Double(rounds)
}

let rounds = (CommandLine.arguments.dropFirst().first.flatMap { Int($0) } ?? 10) * 1_000_000
let found: Double
#if IN_GROUP
  let group = try MemoryGroup.root.makeChild(named: "tenant")
  found = await Task {
    await MemoryGroup.withCurrent(group) { () async -> Double in nanoseconds(rounds) }
  }.value
  guard group.peak > 0 else { fatalError("nothing was charged") }
#else
  found = await Task { nanoseconds(rounds) }.value
#endif
print(Double((found * 10).rounded()) / 10)
