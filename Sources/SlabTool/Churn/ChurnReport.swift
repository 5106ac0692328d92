// SPDX-License-Identifier: Apache-2.0
// The report of a churn: the largest number of groups in each design, side by side, and how the time
// grew up to it. `ratio` is always 4.10 : current.

import Slab

struct ChurnReport {
  let load: ChurnLoad
  /// One or two, 4.10 first.
  let series: [ChurnSeries]
  let mostSeconds: Double

  var sumCheckFailures: [String] { series.flatMap(\.measured).flatMap(\.sumCheckFailures) }

  /// The first design's value for the second's; `nil` without two.
  private func ratio(_ value: (ChurnSeries) -> Double?) -> Double? {
    guard series.count == 2, let old = value(series[0]), let new = value(series[1]) else {
      return nil
    }
    return Ratio.of(old, new)
  }

  // MARK: Text

  func text() -> String {
    let title =
      "slab churn of \(load.groups.grouped) groups of \(load.caches) caches, "
      + "\(load.objects) objects in each\n\n"
    var text = title + summary().text()
    if ChurnSeries.sizes(upTo: load.groups).count > 1 {
      text += "\ntime per group, by number of groups\n\n" + growth().text()
    }
    let notes = series.compactMap(note)
    if !notes.isEmpty { text += "\n" + notes.joined() }
    let failures = sumCheckFailures.map { "WRONG: \($0)\n" }.joined()
    text += "\n" + (failures.isEmpty ? "the sums of all runs add up\n" : failures)
    if let figures = series.last?.measured.last {
      let reason = figures.fallbackReason.map { " (\($0))" } ?? ""
      text +=
        "per-CPU layer: \(figures.perCpuLayer.rawValue)\(reason); fences: \(figures.fenceKind)\n"
    }
    return text
  }

  private var header: [String] {
    series.map(\.design.title) + (series.count == 2 ? ["ratio"] : [])
  }

  private func summary() -> TextTable {
    var table = TextTable(header: [""] + header)
    func add(
      _ title: String, _ value: (ChurnFigures) -> Double, _ format: (Double) -> String
    ) {
      let found = series.map { $0.figures(groups: load.groups).map(value) }
      guard found.contains(where: { $0 != nil }) else { return }
      table.add(
        [title] + found.map { $0.map(format) ?? "-" }
          + [ratio { $0.figures(groups: load.groups).map(value) }.map(Quantity.ratio) ?? ""])
    }
    func count(_ value: Double) -> String { Int(value).grouped }
    func nanoseconds(_ value: Double) -> String { Quantity.duration(nanoseconds: Int(value)) }
    table.add(
      ["total time"]
        + series.map { series in
          let seconds = series.totalSeconds(groups: load.groups) ?? 0
          let mark = series.figures(groups: load.groups) == nil ? "*" : ""
          return Quantity.duration(seconds: seconds) + mark
        } + [ratio { $0.totalSeconds(groups: load.groups) }.map(Quantity.ratio) ?? ""])
    add("making groups", \.creationSeconds, Quantity.duration(seconds:))
    add("ending groups", \.endingSeconds, Quantity.duration(seconds:))
    add("offline, p50", { Double($0.offlineNs.p50) }, nanoseconds)
    add("offline, p99", { Double($0.offlineNs.p99) }, nanoseconds)
    add("offline, at most", { Double($0.offlineNs.max) }, nanoseconds)
    add("workers' time", \.workerSeconds, Quantity.duration(seconds:))
    add("steps through lists of caches", { Double($0.listSteps) }, count)
    add("steps per group", { Double($0.listSteps / $0.groups) }, count)
    add("fences", { Double($0.fences) }, count)
    return table
  }

  private func growth() -> TextTable {
    var table = TextTable(header: ["groups"] + header)
    for groups in ChurnSeries.sizes(upTo: load.groups) {
      let cells = series.map { series -> String in
        guard let seconds = series.totalSeconds(groups: groups) else { return "-" }
        let perGroup = Quantity.duration(nanoseconds: Int(seconds * 1e9) / groups)
        return perGroup + (series.figures(groups: groups) == nil ? "*" : "")
      }
      let ratio = ratio { $0.totalSeconds(groups: groups) }.map(Quantity.ratio) ?? ""
      table.add([groups.grouped] + cells + [ratio])
    }
    return table
  }

  /// What the stars mean.
  private func note(_ series: ChurnSeries) -> String? {
    guard let last = series.extrapolated.last, let exponent = series.exponent else { return nil }
    let first = series.fitted.first?.groups.grouped ?? ""
    let end = series.fitted.last?.groups.grouped ?? ""
    return "* not run: \(last.groups.grouped) groups of \(load.caches) (\(series.design.title)) "
      + "would take \(Quantity.duration(seconds: last.totalSeconds)), "
      + "more than --most-seconds \(Quantity.ratio(mostSeconds)); extrapolated from \(first) "
      + "to \(end) groups with exponent \(Quantity.ratio(exponent))\n"
  }
}

// MARK: - JSON

extension ChurnReport: Encodable {
  private enum Key: String, CodingKey {
    case version, groups, caches, objects, ratio, sumCheckFailures
    case linux410 = "4.10"
    case current
  }

  private struct Design: Encodable {
    /// Of the largest number of groups; none if it was extrapolated.
    var figures: ChurnFigures?
    var measured: [ChurnFigures]
    var extrapolated: [ChurnSeries.Estimate]
    var exponent: Double?
  }

  private struct Ratios: Encodable {
    var totalSeconds, endingSeconds, offlineP50, offlineP99, listSteps, fences: Double?
  }

  func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: Key.self)
    // Of the report: docs/schema/churn-1.json.
    try container.encode(1, forKey: .version)
    try container.encode(load.groups, forKey: .groups)
    try container.encode(load.caches, forKey: .caches)
    try container.encode(load.objects, forKey: .objects)
    try container.encode(sumCheckFailures, forKey: .sumCheckFailures)
    for series in series {
      try container.encode(
        Design(
          figures: series.figures(groups: load.groups), measured: series.measured,
          extrapolated: series.extrapolated, exponent: series.exponent),
        forKey: series.design == .current ? .current : .linux410)
    }
    guard series.count == 2 else { return }
    func ratio(_ value: (ChurnFigures) -> Double) -> Double? {
      self.ratio { $0.figures(groups: load.groups).map(value) }
    }
    try container.encode(
      Ratios(
        totalSeconds: self.ratio { $0.totalSeconds(groups: load.groups) },
        endingSeconds: ratio(\.endingSeconds),
        offlineP50: ratio { Double($0.offlineNs.p50) },
        offlineP99: ratio { Double($0.offlineNs.p99) },
        listSteps: ratio { Double($0.listSteps) }, fences: ratio { Double($0.fences) }),
      forKey: .ratio)
  }
}
