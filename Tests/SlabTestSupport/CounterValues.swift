// SPDX-License-Identifier: Apache-2.0
// An allocator's counters by their names, spelt as in Swift.

internal import SlabCore
package import SlabPlatform

@dynamicMemberLookup
package struct CounterValues {
  package private(set) var byName: [String: Int] = [:]
  /// How the CPU layer runs.
  package let mode: PerCPUMode

  fileprivate init(of allocator: Allocator) {
    mode = allocator.perCPUMode
    allocator.forEachReading { byName["\($0.name)"] = $1 }
  }

  /// `groups_created` as `groupsCreated`.
  package subscript(dynamicMember name: String) -> Int {
    let words = name.map { $0.isUppercase ? "_\($0.lowercased())" : "\($0)" }.joined()
    guard let value = byName[words] else { fatalError("no counter has the name \(words)") }
    return value
  }
}

extension Allocator {
  /// What its counters say now.
  package var statistics: CounterValues { CounterValues(of: self) }
}
