// SPDX-License-Identifier: Apache-2.0
// What a process said of its allocator: docs/schema/snapshot-2.json, and snapshot-1.json, which says less.

import FoundationEssentials

struct ObservedSnapshot: Codable, Equatable {
  struct Process: Codable, Equatable {
    var id: Int
    var name: String
  }

  struct Counter: Codable, Equatable {
    var name: String
    var unit: String
    var kind: String
    var help: String
    var value: Int
  }

  struct Cache: Codable, Equatable {
    var name: String
    var objectSize: Int
    var objectsInUse: Int
    var objectsTotal: Int
    var slabBytes: Int
    var isInherited: Bool

    /// Bytes of slabs in which no object of a user lies.
    var waste: Int {
      // Another process says these numbers, and may say any.
      let (used, isTooMuch) = objectsInUse.multipliedReportingOverflow(by: objectSize)
      return isTooMuch ? 0 : max(max(slabBytes, 0) - max(used, 0), 0)
    }
  }

  struct Group: Codable, Equatable {
    var path: String
    var isOnline: Bool
    var usage: Int
    var peak: Int
    var max: Int?
    var high: Int?
    var low: Int
    var onlineDescendants: Int
    var dyingDescendants: Int
    var caches: [Cache]
  }

  var process: Process?
  var monotonicNanoseconds: Int?
  var unixSeconds: Int?
  var counters: [Counter]
  var caches: [Cache]
  var groups: [Group]

  /// 0 for a counter that an older process does not have.
  subscript(counter name: String) -> Int { counters.first { $0.name == name }?.value ?? 0 }

}

extension ObservedSnapshot {
  /// Reads one JSON object.
  init(_ line: some StringProtocol) throws(ObservationError) {
    let decoder = JSONDecoder()
    decoder.keyDecodingStrategy = .convertFromSnakeCase
    let bytes = Data(line.utf8)
    if let refusal = try? decoder.decode(Refusal.self, from: bytes) {
      throw .refused(refusal.error)
    }
    do {
      self = try decoder.decode(Self.self, from: bytes)
    } catch {
      throw .notASnapshot(Self.reason(error))
    }
  }

  private struct Refusal: Decodable {
    var error: String
  }

  private static func reason(_ error: any Error) -> String {
    switch error as? DecodingError {
    case .keyNotFound(let key, _): "there is no key \(key.stringValue)"
    case .typeMismatch(_, let context), .valueNotFound(_, let context):
      "\(context.codingPath.map(\.stringValue).joined(separator: ".")) has a value of another kind"
    default: "it is no JSON"
    }
  }
}
