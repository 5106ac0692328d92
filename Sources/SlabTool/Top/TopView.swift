// SPDX-License-Identifier: Apache-2.0
// The screen of `slab top`: lines for a number of columns and rows, from the model and from where the user is.

struct TopView {
  /// Where a pane's bar stands, and which of its rows is the first on the screen.
  struct Place: Equatable {
    var selected = 0
    var first = 0

    /// Within `count` rows, of which `visible` are shown.
    mutating func keep(within count: Int, visible: Int) {
      selected = max(0, min(selected, count - 1))
      first = max(0, min(first, selected))
      if selected >= first + visible { first = selected - visible + 1 }
      first = max(0, min(first, count - visible))
    }
  }

  var groups = Place()
  var caches = Place()
  var isHelpShown = false
  /// What the user types behind `/`; nil when nothing is being typed.
  var filterDraft: String?
  /// What went wrong, or nil.
  var message: String?
  /// What the process is called and how often it is asked.
  var title = ""

  /// A whole screen. Places are put where they can be.
  mutating func screen(_ model: TopModel, columns: Int, rows: Int) -> [TopLine] {
    var lines: [TopLine]
    if isHelpShown {
      lines = Self.help
    } else {
      lines = TopSummary.lines(model, title: title)
      let left = rows - lines.count - 1
      let sizes = Self.divide(left, options: model.options, caches: model.cacheRows.count)
      if sizes.groups > 0 { lines += groupPane(model, columns: columns, rows: sizes.groups) }
      if sizes.caches > 0 { lines += cachePane(model, columns: columns, rows: sizes.caches) }
    }
    lines = Array(lines.prefix(max(rows - 1, 0)))
    while lines.count < rows - 1 { lines.append(TopLine("")) }
    if rows > 0 { lines.append(footer(model)) }
    return lines.map { line in
      let isFilled = [.heading, .selected].contains(line.pieces.last?.style ?? .plain)
      return line.fitted(to: columns, isFilled: isFilled)
    }
  }

  /// Rows for both panes with their headings, and none for one that has no room for a heading and a row.
  static func divide(
    _ rows: Int, options: TopOptions, caches: Int
  ) -> (groups: Int, caches: Int) {
    if options.isZoomed || rows < 6 { return options.pane == .groups ? (rows, 0) : (0, rows) }
    let wanted = min(caches + 1, max(rows * 2 / 5, 3))
    return (rows - wanted, wanted)
  }

  private mutating func groupPane(_ model: TopModel, columns: Int, rows: Int) -> [TopLine] {
    let all = model.groupRows
    groups.keep(within: all.count, visible: rows - 1)
    let isActive = model.options.pane == .groups
    var lines = [TopTables.groupHeading(model.options, columns: columns)]
    for (index, row) in all.enumerated().dropFirst(groups.first).prefix(rows - 1) {
      let line = TopTables.line(row, columns: columns)
      lines.append(isActive && index == groups.selected ? line.styled(.selected) : line)
    }
    while lines.count < rows { lines.append(TopLine("")) }
    return lines
  }

  private mutating func cachePane(_ model: TopModel, columns: Int, rows: Int) -> [TopLine] {
    let all = model.cacheRows
    caches.keep(within: all.count, visible: rows - 1)
    let isActive = model.options.pane == .caches
    var lines = [TopTables.cacheHeading(model.options, columns: columns)]
    for (index, row) in all.enumerated().dropFirst(caches.first).prefix(rows - 1) {
      let line = TopTables.line(row, columns: columns)
      lines.append(isActive && index == caches.selected ? line.styled(.selected) : line)
    }
    while lines.count < rows { lines.append(TopLine("")) }
    return lines
  }

  private func footer(_ model: TopModel) -> TopLine {
    if let filterDraft { return TopLine("filter: \(filterDraft)_", .title) }
    if let message { return TopLine(message, .alarm) }
    if isHelpShown { return TopLine("any key goes back", .faint) }
    var line = TopLine("")
    if !model.options.filter.isEmpty { line.add("filter: \(model.options.filter)  ", .title) }
    if model.options.onlyDying { line.add("dying only  ", .title) }
    line.add("q quit  ? help  / filter  s sort  enter fold  space freeze  tab pane", .faint)
    return line
  }

  private static let help = [
    TopLine("slab top: the keys", .title), TopLine(""),
    TopLine("  up down, k j          a row            page up, page down, home, end"),
    TopLine("  tab                   the other pane   z  the pane alone, and back"),
    TopLine("  enter, + -            fold a group, unfold it"),
    TopLine("  left, right           fold or go to the group above, unfold"),
    TopLine("  C, E                  fold all, unfold all"),
    TopLine("  s, S                  the next order, the one before"),
    TopLine("  r                     the other way round"),
    TopLine("  /                     filter by a part of the path; escape ends it"),
    TopLine("  d                     only groups that are dying, or have dying ones below"),
    TopLine("  space                 freeze, and go on"),
    TopLine("  q, control-C          quit      control-Z  stop      control-L  draw anew"),
    TopLine(""),
    TopLine("RATE is the change of CURRENT in a second. DYING counts groups that have ended"),
    TopLine("and still exist, at a group and below. WASTE is what slabs have beyond the"),
    TopLine("objects that users hold. An ending is pending until the workers are through."),
  ]
}
