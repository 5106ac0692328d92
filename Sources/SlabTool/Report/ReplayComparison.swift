// SPDX-License-Identifier: Apache-2.0
// Two replays of one recording side by side: by the rules of Linux 4.10, and by ours. `ratio` is
// always 4.10 : ours.

struct ReplayComparison {
  let linux410: ReplayReport
  let current: ReplayReport

  private func ratio(_ figure: KeyPath<ReplayFigures, Int>) -> Double? {
    Ratio.of(Double(linux410.figures[keyPath: figure]), Double(current.figures[keyPath: figure]))
  }

  private func ratio(_ figure: KeyPath<ReplayFigures, Double>) -> Double? {
    Ratio.of(linux410.figures[keyPath: figure], current.figures[keyPath: figure])
  }

  /// The figures that both replays share; then the costs, side by side.
  func text() -> String {
    var table = TextTable(header: [
      "", linux410.figures.design.title, current.figures.design.title, "ratio",
    ])
    func add(
      _ title: String, _ figure: KeyPath<ReplayFigures, Int>, _ format: (Int) -> String
    ) {
      table.add([
        title, format(linux410.figures[keyPath: figure]), format(current.figures[keyPath: figure]),
        ratio(figure).map(Quantity.ratio) ?? "",
      ])
    }
    func add(_ title: String, seconds figure: KeyPath<ReplayFigures, Double>) {
      table.add([
        title, Quantity.duration(seconds: linux410.figures[keyPath: figure]),
        Quantity.duration(seconds: current.figures[keyPath: figure]),
        ratio(figure).map(Quantity.ratio) ?? "",
      ])
    }
    add("replay time", seconds: \.replaySeconds)
    add("offline, p50", \.offlineNs.p50, Quantity.duration(nanoseconds:))
    add("offline, p99", \.offlineNs.p99, Quantity.duration(nanoseconds:))
    add("offline, at most", \.offlineNs.max, Quantity.duration(nanoseconds:))
    add("workers' time", seconds: \.workerSeconds)
    add("steps through lists of caches", \.listSteps, \.grouped)
    add("fences", \.fences, \.grouped)
    add("child caches released", \.childCachesReleased, \.grouped)
    add("bytes at the peak", \.peakBytes, Quantity.bytes)
    add("bytes after the clean-up", \.bytesAfterCleanup, Quantity.bytes)
    return ReplayReport.heading(
      "\(current.title), by the rules of Linux 4.10 and by the current ones")
      + ReplayReport.text(of: [
        ("replayed", current.replayed), ("at the end", current.pinned),
        ("irregular", current.irregular), ("notes", current.figures.notes),
      ])
      + "\n" + table.text() + "\n"
      + ReplayReport.text(of: [
        ("sums, 4.10", linux410.sums), ("sums, current", current.sums),
        ("platform", current.platform),
      ])
  }
}

extension ReplayComparison: Encodable {
  private enum Key: String, CodingKey {
    case version
    case linux410 = "4.10"
    case current
    case ratio
  }

  private struct Ratios: Encodable {
    var replaySeconds, workerSeconds, offlineP50, offlineP99, offlineMax, listSteps, fences: Double?
  }

  func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: Key.self)
    try container.encode(current.figures.version, forKey: .version)
    try container.encode(linux410, forKey: .linux410)
    try container.encode(current, forKey: .current)
    try container.encode(
      Ratios(
        replaySeconds: ratio(\.replaySeconds), workerSeconds: ratio(\.workerSeconds),
        offlineP50: ratio(\.offlineNs.p50), offlineP99: ratio(\.offlineNs.p99),
        offlineMax: ratio(\.offlineNs.max), listSteps: ratio(\.listSteps),
        fences: ratio(\.fences)),
      forKey: .ratio)
  }
}

enum Ratio {
  /// `nil` without a divisor.
  static func of(_ old: Double, _ new: Double) -> Double? { new > 0 ? old / new : nil }
}
