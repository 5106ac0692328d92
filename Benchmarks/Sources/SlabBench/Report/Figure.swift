// SPDX-License-Identifier: Apache-2.0
// A measured quantity: one sample a round, the median of which is compared with the goal.

struct Figure {
  let name: String
  let unit: String
  var digits = 1
  var samples: [Double]
  /// The most that the median may be.
  var goal: Double?

  init(_ name: String, unit: String, digits: Int = 1, samples: [Double], atMost goal: Double? = nil)
  {
    self.name = name
    self.unit = unit
    self.digits = digits
    self.samples = samples
    self.goal = goal
  }

  var median: Double { samples.median }
  /// `nil` without a goal.
  var isReached: Bool? { goal.map { median <= $0 } }

  var spread: String {
    guard let least = samples.min(), let most = samples.max(), samples.count > 1 else { return "" }
    return "\(fixed(least, digits))..\(fixed(most, digits))"
  }

  var goalText: String {
    goal.map { "<= \(fixed($0, $0 == $0.rounded() ? 0 : 2))" } ?? ""
  }

  var reachedText: String { isReached.map { $0 ? "yes" : "NO" } ?? "" }

  var json: JSONValue {
    .object([
      ("name", .string(name)), ("unit", .string(unit)), ("median", .number(median)),
      ("min", .number(samples.min() ?? 0)), ("max", .number(samples.max() ?? 0)),
      ("goal_at_most", goal.map { .number($0) } ?? .null),
      ("reached", isReached.map { .boolean($0) } ?? .null),
      ("samples", .array(samples.map { .number($0) })),
    ])
  }
}

/// What a case found.
struct CaseReport {
  let title: String
  var figures: [Figure] = []
  /// Instead of the plain table of the figures.
  var table: Table?
  /// Lines below the table.
  var remarks: [String] = []

  init(_ title: String) { self.title = title }

  var text: String {
    let lines = ["", title, (table ?? plainTable).text] + remarks.map { "  " + $0 }
    return lines.joined(separator: "\n")
  }

  private var plainTable: Table {
    var table = Table(["", "unit", "median", "min..max", "goal", "reached"])
    for figure in figures {
      table.add([
        figure.name, figure.unit, fixed(figure.median, figure.digits), figure.spread,
        figure.goalText, figure.reachedText,
      ])
    }
    return table
  }

  var json: JSONValue {
    .object([
      ("title", .string(title)), ("figures", .array(figures.map(\.json))),
      ("remarks", .array(remarks.map { .string($0) })),
    ])
  }
}
