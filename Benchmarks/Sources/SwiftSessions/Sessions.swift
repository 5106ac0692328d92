// SPDX-License-Identifier: Apache-2.0
// What is measured in SwiftObjects and SwiftObjectsInGroup: an object of a class with an array of 100 bytes, made and let go,
// with 64 of them live. Compiled once, so that the two programs differ by their malloc alone.

internal import Glibc  // links the library of mathematics, for `rounded`

final class Session {
  var bytes: [UInt8]
  init(_ byte: UInt8) { bytes = [UInt8](repeating: byte, count: 100) }
}

@inline(never)
func work(_ rounds: Int, _ sessions: inout [Session?]) {
  for round in 0..<rounds { sessions[round & 63] = Session(UInt8(truncatingIfNeeded: round)) }
}

/// How often, by the program's first argument in millions; 10 without one.
package func roundsAsked() -> Int {
  (CommandLine.arguments.dropFirst().first.flatMap { Int($0) } ?? 10) * 1_000_000
}

/// The time of one object, to a tenth.
package func nanoseconds(_ rounds: Int) -> Double {
  var sessions = [Session?](repeating: nil, count: 64)
  work(100_000, &sessions)
  let clock = ContinuousClock()
  let time = clock.measure { work(rounds, &sessions) }
  let all = Double(time.components.seconds) * 1e9 + Double(time.components.attoseconds) / 1e9
  return (all / Double(rounds) * 10).rounded() / 10
}
