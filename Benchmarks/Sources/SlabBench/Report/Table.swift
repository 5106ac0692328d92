// SPDX-License-Identifier: Apache-2.0
// Text in columns.

struct Table {
  private var rows: [[String]]

  init(_ heading: [String]) { rows = [heading] }

  mutating func add(_ row: [String]) { rows.append(row) }

  /// The first column to the left, the others to the right.
  var text: String {
    let columns = rows.map(\.count).max() ?? 0
    let widths = (0..<columns).map { column in
      rows.map { column < $0.count ? $0[column].count : 0 }.max() ?? 0
    }
    return rows.map { row in
      let line = row.enumerated().map { column, cell in
        let padding = String(repeating: " ", count: widths[column] - cell.count)
        return column == 0 ? cell + padding : padding + cell
      }.joined(separator: "  ")
      return "  " + line
    }.joined(separator: "\n")
  }
}

/// A number with so many digits behind the point; thousands are set off.
func fixed(_ value: Double, _ digits: Int) -> String {
  guard value.isFinite else { return "-" }
  var scale = 1.0
  for _ in 0..<digits { scale *= 10 }
  let scaled = Int((value.magnitude * scale).rounded())
  let whole = String(scaled / Int(scale))
  var grouped = ""
  for (index, digit) in whole.enumerated() {
    if index > 0, (whole.count - index) % 3 == 0 { grouped.append(",") }
    grouped.append(digit)
  }
  if digits > 0 {
    let rest = String(scaled % Int(scale))
    grouped += "." + String(repeating: "0", count: digits - rest.count) + rest
  }
  return (value < 0 && scaled > 0 ? "-" : "") + grouped
}
