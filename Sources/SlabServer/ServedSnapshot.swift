// SPDX-License-Identifier: Apache-2.0
// A snapshot with what a reader outside has to know besides: of which process, and when (docs/schema/snapshot-2.json).

internal import Glibc
internal import Slab

struct ServedSnapshot: Encodable {
  struct Process: Encodable {
    let id: Int
    let name: String

    static let current = Process(id: Int(getpid()), name: name(of: "/proc/self/comm"))

    private static func name(of path: String) -> String {
      guard let file = unsafe fopen(path, "re") else { return "" }
      defer { _ = unsafe fclose(file) }
      var bytes = [UInt8](repeating: 0, count: 64)
      // SAFETY: the call fills the array, and is told its count.
      let count = unsafe fread(&bytes, 1, bytes.count, file)
      return String(decoding: bytes[..<count].prefix { $0 != 0x0A }, as: UTF8.self)
    }
  }

  private enum Key: CodingKey {
    case process, monotonicNanoseconds, unixSeconds
  }

  private let snapshot: SlabAllocator.Snapshot
  /// Of CLOCK_MONOTONIC: for rates between two snapshots of one process.
  private let monotonicNanoseconds: Int
  private let unixSeconds: Int

  /// Of now.
  init(_ snapshot: SlabAllocator.Snapshot) {
    self.snapshot = snapshot
    var time = timespec()
    // SAFETY: the call fills the structure of this frame.
    unsafe clock_gettime(CLOCK_MONOTONIC, &time)
    monotonicNanoseconds = time.tv_sec * 1_000_000_000 + time.tv_nsec
    unixSeconds = Glibc.time(nil)
  }

  func encode(to encoder: any Encoder) throws {
    try snapshot.encode(to: encoder)
    var container = encoder.container(keyedBy: Key.self)
    try container.encode(
      Process(id: Int(getpid()), name: Process.current.name), forKey: .process)
    try container.encode(monotonicNanoseconds, forKey: .monotonicNanoseconds)
    try container.encode(unixSeconds, forKey: .unixSeconds)
  }
}
