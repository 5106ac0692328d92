// SPDX-License-Identifier: Apache-2.0
// The columns of both panes.

enum TopTables {
  // MARK: Groups

  private static func name(_ columns: Int) -> Int { max(columns - 51, 12) }

  static func groupHeading(_ options: TopOptions, columns: Int) -> TopLine {
    func title(_ text: String, _ order: GroupOrder) -> String {
      mark(text, options.groupOrder == order, options)
    }
    return TopLine(
      TextCell.left(title("GROUP", .name), name(columns))
        + TextCell.right(title("CURRENT", .current), 11) + TextCell.right(title("PEAK", .peak), 11)
        + TextCell.right(title("MAX", .max), 11) + TextCell.right(title("RATE/S", .rate), 11)
        + TextCell.right(title("DYING", .dying), 7), .heading)
  }

  static func line(_ row: TopModel.GroupRow, columns: Int) -> TopLine {
    let sign = row.hasChildren ? (row.isFolded ? "+ " : "- ") : "  "
    let label =
      String(repeating: "  ", count: row.depth) + sign + row.label + (row.isEnded ? " (ended)" : "")
    var line = TopLine(TextCell.left(label, name(columns)), row.isEnded ? .faint : .plain)
    let share = row.max.map { $0 > 0 ? Double(row.current) * 100 / Double($0) : 100 } ?? 0
    line.add(
      TextCell.right(bytes(row.current), 11),
      share >= 90 ? .alarm : share >= 80 ? .warning : .plain)
    line.add(TextCell.right(bytes(row.peak), 11))
    line.add(TextCell.right(row.max.map(bytes) ?? "none", 11))
    line.add(TextCell.right(rate(row.rate), 11))
    line.add(TextCell.right(row.dying == 0 ? "-" : row.dying.grouped, 7))
    return line
  }

  /// Bytes in a second, with a sign.
  static func rate(_ rate: Double?) -> String {
    guard let rate else { return "-" }
    let rounded = Int(nearest: rate)
    return (rounded > 0 ? "+" : rounded < 0 ? "-" : "") + bytes(Int(clamping: rounded.magnitude))
  }

  /// What another process says may be any number.
  static func bytes(_ count: Int) -> String { Quantity.bytes(max(count, 0)) }

  // MARK: Caches

  private static func cacheName(_ columns: Int) -> Int { max(columns - 58, 12) }

  static func cacheHeading(_ options: TopOptions, columns: Int) -> TopLine {
    func title(_ text: String, _ order: CacheOrder) -> String {
      mark(text, options.cacheOrder == order, options)
    }
    return TopLine(
      TextCell.left(title("CACHE", .name), cacheName(columns))
        + TextCell.right(title("SIZE", .size), 8) + TextCell.right(title("IN USE", .objects), 11)
        + TextCell.right("TOTAL", 10) + TextCell.right(title("SLABS", .slabs), 11)
        + TextCell.right(title("WASTE", .waste), 11) + TextCell.right("USE", 7), .heading)
  }

  static func line(_ row: TopModel.CacheRow, columns: Int) -> TopLine {
    let used = Double(row.slabBytes - row.waste)
    let percent = row.slabBytes > 0 ? "\(Int(used * 100 / Double(row.slabBytes))) %" : "-"
    var line = TopLine(TextCell.left(row.name, cacheName(columns)))
    line.add(TextCell.right(row.objectSize.grouped, 8))
    line.add(TextCell.right(row.objectsInUse.grouped, 11))
    line.add(TextCell.right(row.objectsTotal.grouped, 10))
    line.add(TextCell.right(bytes(row.slabBytes), 11))
    line.add(TextCell.right(bytes(row.waste), 11))
    line.add(TextCell.right(percent, 7))
    return line
  }

  private static func mark(_ text: String, _ isOrder: Bool, _ options: TopOptions) -> String {
    isOrder ? (options.isReversed ? "^" : "v") + text : text
  }
}

extension Int {
  /// The nearest integer there is: the greatest where a value is beyond.
  init(nearest value: Double) {
    self = Int(exactly: value.rounded()) ?? (value < 0 ? .min : .max)
  }
}
