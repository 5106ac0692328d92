// SPDX-License-Identifier: Apache-2.0
// What a line of a client asks for, and the line that it gets: one JSON object.
//
//   snapshot [largest=COUNT] [below=PATH] [caches]

internal import FoundationEssentials
internal import Slab

enum Answer {
  /// How many groups an answer has at most; with the caches of each the smaller number.
  static let mostGroups = 10_000
  static let mostGroupsWithCaches = 1000

  private struct Failure: Error, Encodable {
    let error: String
  }

  static func bytes(to line: String, from allocator: SlabAllocator) -> [UInt8] {
    do {
      let snapshot = try snapshot(line, of: allocator)
      let encoder = JSONEncoder()
      encoder.keyEncodingStrategy = .convertToSnakeCase
      encoder.outputFormatting = [.withoutEscapingSlashes, .sortedKeys]
      return Array(try encoder.encode(snapshot)) + [UInt8(ascii: "\n")]
    } catch {
      return self.error((error as? Failure)?.error ?? "the answer cannot be encoded")
    }
  }

  static func error(_ text: String) -> [UInt8] {
    let line = try? JSONEncoder().encode(Failure(error: text))
    return Array(line ?? .init()) + [UInt8(ascii: "\n")]
  }

  private static func snapshot(
    _ line: String, of allocator: SlabAllocator
  ) throws(Failure) -> ServedSnapshot {
    guard line.utf8.count <= ServedClient.mostRequestBytes else {
      throw Failure(error: "a request has at most \(ServedClient.mostRequestBytes) bytes")
    }
    // By bytes: a slash or a blank and a mark behind it, with which a name may begin, are one Character.
    var words = line.utf8.split { $0 == UInt8(ascii: " ") || $0 == UInt8(ascii: "\r") }
      .map { Substring($0) }
    guard let first = words.first, first == "snapshot" else {
      throw Failure(error: "the request is: snapshot [largest=COUNT] [below=PATH] [caches]")
    }
    words.removeFirst()
    var (largest, group, withCaches) = (mostGroups, allocator.rootGroup, false)
    for word in words {
      if word == "caches" {
        withCaches = true
      } else if word.hasPrefix("largest="), let count = Int(word.dropFirst(8)), count >= 0 {
        largest = count
      } else if word.utf8.starts(with: "below=/".utf8) {
        let path = word.utf8.dropFirst(6)
        for name in path.split(separator: UInt8(ascii: "/")) {
          guard let child = group.child(named: String(Substring(name))) else {
            throw Failure(error: "there is no group \(Substring(path))")
          }
          group = child
        }
      } else {
        throw Failure(error: "not understood: \(word)")
      }
    }
    return ServedSnapshot(
      allocator.snapshot(
        below: group, largest: min(largest, withCaches ? mostGroupsWithCaches : mostGroups),
        withCaches: withCaches))
  }
}
