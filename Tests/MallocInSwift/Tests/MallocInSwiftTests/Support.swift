// SPDX-License-Identifier: Apache-2.0
import Slab
import Testing

/// A tenant's session: an object, and a buffer behind it.
final class Session: Sendable {
  let bytes: [UInt8]
  init(_ byte: UInt8 = 7, count: Int = 100) { bytes = [UInt8](repeating: byte, count: count) }
}

extension MemoryGroup {
  /// A group for one test.
  static func forTest(
    _ name: String = #function, max: Int? = nil, below parent: MemoryGroup = .root,
    memory: MemoryPolicy = .isolated
  ) throws -> MemoryGroup {
    try parent.makeChild(
      named: name.filter { $0.isLetter || $0.isNumber }, max: max, memory: memory)
  }

  /// Waits until nothing of it is in use, and is charged any more: the runtime gives the memory of a task back
  /// when the task has ended, on whichever thread. Or until some bytes are, where the runtime may have made a type for
  /// the first time, which stays.
  func isEmptied(but bytes: Int = 0) async -> Bool {
    // A test has a minute; this is for a message that says what is left.
    for _ in 0..<2_000 {
      if statistics.objects <= bytes {
        _ = reclaim(bytes: .max)
        if bytes > 0 || usage == 0 { return true }
      }
      try? await Task.sleep(for: .milliseconds(5))
    }
    print("\(self): \(usage) bytes are charged, \(statistics.objects) in use")
    return false
  }
}
