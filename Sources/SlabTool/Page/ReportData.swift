// SPDX-License-Identifier: Apache-2.0
// What the page of `slab report` is made of.

import FoundationEssentials

struct ReportData: Encodable, Equatable {
  struct Sample: Encodable, Equatable {
    var monotonicNanoseconds: Int
    var counters: [String: Int]
  }

  /// The last one.
  var snapshot: ObservedSnapshot
  /// The caches of groups, as far as they are known, by the group's path.
  var cachesOfGroups: [String: [ObservedSnapshot.Cache]]
  var samples: [Sample]

  /// From snapshots in the order of time, of which there is one at least.
  init(_ snapshots: [ObservedSnapshot], withCaches: ObservedSnapshot? = nil) {
    let last = snapshots[snapshots.count - 1]
    cachesOfGroups = [:]
    for group in last.groups + (withCaches?.groups ?? []) where !group.caches.isEmpty {
      cachesOfGroups[group.path] = group.caches
    }
    snapshot = last
    // They are there once.
    for index in snapshot.groups.indices { snapshot.groups[index].caches = [] }
    // Without times there is no course.
    let timed = snapshots.filter { $0.process == last.process && $0.monotonicNanoseconds != nil }
    samples = (timed.isEmpty ? [last] : timed).map { snapshot in
      let values = snapshot.counters.map { ($0.name, $0.value) }
      return Sample(
        monotonicNanoseconds: snapshot.monotonicNanoseconds ?? 0,
        counters: Dictionary(values) { first, _ in first })
    }
  }

  /// One JSON object.
  func encoded() throws -> String {
    let encoder = JSONEncoder()
    encoder.keyEncodingStrategy = .convertToSnakeCase
    encoder.outputFormatting = [.withoutEscapingSlashes, .sortedKeys]
    return String(decoding: try encoder.encode(self), as: UTF8.self)
  }
}
