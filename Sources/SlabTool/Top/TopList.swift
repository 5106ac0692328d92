// SPDX-License-Identifier: Apache-2.0
// Views one after the other, as text or JSON: for a pipe, a file, or a terminal that can do no more.

import Glibc

struct TopList: ~Copyable {
  private var connection: ServerConnection
  private let request: String
  private var control: TopControl
  private let asJSON: Bool

  init(
    _ connection: consuming ServerConnection, request: String, control: TopControl, asJSON: Bool
  ) {
    self.connection = connection
    self.request = request
    self.control = control
    self.asJSON = asJSON
  }

  /// One view, or one each time, until a signal ends it, whose number is returned.
  mutating func run(seconds: Double?) throws -> CInt? {
    guard let seconds else {
      try write(isFirst: true)
      return nil
    }
    let signals = StopSignals()
    var isFirst = true
    while true {
      try write(isFirst: isFirst)
      isFirst = false
      if let arrival = signals.wait(milliseconds: Int(seconds * 1000)) { return arrival.number }
    }
  }

  private mutating func write(isFirst: Bool) throws {
    let line = try connection.ask(request)
    let snapshot = try ObservedSnapshot(line)
    guard !asJSON else { return try StandardStream.writeReport(line + "\n") }
    control.take(snapshot)
    try StandardStream.writeReport((isFirst ? "" : "\n") + control.text(columns: columns))
  }

  private var columns: Int {
    isatty(STDOUT_FILENO) == 1 ? Terminal.size(of: STDOUT_FILENO).columns : 80
  }
}

extension TopControl {
  /// Everything there is, of whatever length.
  func text(columns: Int) -> String {
    var lines = TopSummary.lines(model, title: "")
    lines += [TopLine(""), TopTables.groupHeading(model.options, columns: columns)]
    lines += model.groupRows.map { TopTables.line($0, columns: columns) }
    lines += [TopLine(""), TopTables.cacheHeading(model.options, columns: columns)]
    lines += model.cacheRows.map { TopTables.line($0, columns: columns) }
    return lines.map { line in
      var text = line.text
      while text.last == " " { text.removeLast() }
      return text + "\n"
    }.joined()
  }
}
