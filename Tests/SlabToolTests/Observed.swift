// SPDX-License-Identifier: Apache-2.0
// Snapshots for tests, as a process would say them.

@testable import SlabTool

extension ObservedSnapshot.Group {
  init(
    _ path: String, _ usage: Int, peak: Int? = nil, max: Int? = nil, isOnline: Bool = true,
    dying: Int = 0
  ) {
    self.init(
      path: path, isOnline: isOnline, usage: usage, peak: peak ?? usage, max: max, high: nil,
      low: 0, onlineDescendants: 0, dyingDescendants: dying, caches: [])
  }
}

extension ObservedSnapshot.Cache {
  init(_ name: String, size: Int, inUse: Int, total: Int, slabs: Int) {
    self.init(
      name: name, objectSize: size, objectsInUse: inUse, objectsTotal: total, slabBytes: slabs,
      isInherited: false)
  }
}

extension ObservedSnapshot {
  init(
    _ groups: [Group], caches: [Cache] = [], seconds: Int = 1, counters: [String: Int] = [:],
    process: Int = 7
  ) {
    self.init(
      process: Process(id: process, name: "shop"), monotonicNanoseconds: seconds * 1_000_000_000,
      unixSeconds: 1_700_000_000, counters: counters.map { Counter($0.key, $0.value) },
      caches: caches, groups: groups)
  }
}

extension ObservedSnapshot.Counter {
  fileprivate init(_ name: String, _ value: Int) {
    let kind =
      ["groups_live", "groups_dying", "pending_endings"].contains(name) ? "gauge" : "count"
    self.init(name: name, unit: "groups", kind: kind, help: "Some.", value: value)
  }
}
