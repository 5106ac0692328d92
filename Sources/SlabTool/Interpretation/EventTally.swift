// SPDX-License-Identifier: Apache-2.0
// How often events of each name came, for a few names.

struct EventTally: Equatable {
  /// A recording that has more is damaged.
  static let mostNames = 64

  private(set) var events: [(name: String, count: Int)] = []
  private var numbers = KeyTable()

  mutating func add(_ name: Span<UInt8>) {
    let key = KeyTable.key(of: name, seed: 0)
    if let known = numbers[key] {
      events[known].count += 1
    } else if events.count < Self.mostNames {
      numbers.set(key, to: events.count)
      events.append((name.text(0..<name.count), 1))
    }
  }

  static func == (left: Self, right: Self) -> Bool {
    left.events.elementsEqual(right.events) { $0 == $1 }
  }
}
