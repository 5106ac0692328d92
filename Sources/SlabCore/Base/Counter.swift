// SPDX-License-Identifier: Apache-2.0
// One counter, with what a reader of its number has to know. Statistics, reports, JSON and the table in
// docs/counters.md are made from these descriptions, or compared with them.

internal import SlabPlatform
internal import Synchronization

/// What a number of an allocator is called, and what it says.
package struct CounterDescription: Sendable {
  /// What is counted.
  package enum Unit: UInt8, Sendable {
    case barriers, batches, bytes, caches, callbacks, endings, fences, gracePeriods, groups,
      nanoseconds
    case refills, refusals, reports, sheaves, steps, threads, users

    package var text: StaticString {
      switch self {
      case .barriers: "barriers"
      case .batches: "batches"
      case .bytes: "bytes"
      case .caches: "caches"
      case .callbacks: "callbacks"
      case .endings: "endings"
      case .fences: "fences"
      case .gracePeriods: "grace_periods"
      case .groups: "groups"
      case .nanoseconds: "nanoseconds"
      case .refills: "refills"
      case .refusals: "refusals"
      case .reports: "reports"
      case .sheaves: "sheaves"
      case .steps: "steps"
      case .threads: "threads"
      case .users: "users"
      }
    }
  }

  /// In lower case with underscores, as in cgroup files and metrics.
  package let name: StaticString
  package let unit: Unit
  package let kind: CounterKind
  /// A sentence.
  package let help: StaticString

  init(_ name: StaticString, _ unit: Unit, _ kind: CounterKind, _ help: StaticString) {
    self.name = name
    self.unit = unit
    self.kind = kind
    self.help = help
  }
}

extension CounterKind {
  package var text: StaticString {
    switch self {
    case .count: "count"
    case .gauge: "gauge"
    case .peak: "peak"
    }
  }
}

/// A number that the allocator keeps for its reader. Any thread may count, with and without a lock.
package struct Counter: ~Copyable {
  package let description: CounterDescription
  private let storage = Atomic<Int>(0)

  init(
    _ name: StaticString, _ unit: CounterDescription.Unit, _ kind: CounterKind,
    _ help: StaticString
  ) {
    description = CounterDescription(name, unit, kind, help)
  }

  // Acquiring and releasing, as partners: a thread that has read a count finds what was counted before it, so that
  // no more groups are released than were made.
  package var value: Int { storage.load(ordering: .acquiring) }

  static func += (counter: borrowing Counter, count: Int) {
    counter.storage.add(count, ordering: .releasing)
  }

  static func -= (counter: borrowing Counter, count: Int) {
    counter.storage.subtract(count, ordering: .releasing)
  }

  /// For peaks, under the lock of what they are a peak of.
  func set(_ value: Int) { storage.store(value, ordering: .releasing) }
}
