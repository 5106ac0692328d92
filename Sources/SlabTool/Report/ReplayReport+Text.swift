// SPDX-License-Identifier: Apache-2.0
// The report for a reader in a hurry.

import Slab

extension ReplayReport {
  /// The sections, each a line or a few; the slabinfo first, if it was asked for.
  func text() -> String {
    let rules = figures.design == .current ? "" : ", by the rules of \(figures.design.title)"
    return (figures.slabinfo.map { $0 + "\n" } ?? "")
      + Self.heading("\(title)\(rules)")
      + Self.text(of: [
        ("replayed", replayed), ("time", time), ("endings", endings), ("memory", memory),
        ("at the end", pinned), ("irregular", irregular), ("notes", figures.notes),
        ("sums", sums), ("platform", platform),
      ])
  }

  var title: String {
    let copies = figures.copies == 1 ? "" : ", \(figures.copies.grouped) copies side by side"
    return "slab replay of \(figures.recording)\(copies)"
  }

  /// A line, or more if it is long, and an empty one.
  static func heading(_ text: String) -> String {
    text.wrapped(columns: String.reportColumns).joined(separator: "\n") + "\n\n"
  }

  private static let titleColumns = 14

  /// The lines behind their titles, wrapped; what continues a line is set in by two.
  static func text(of sections: [(title: String, lines: [String])]) -> String {
    var text = ""
    for (title, lines) in sections {
      for (number, line) in lines.enumerated() {
        let label = number == 0 ? title : ""
        let rows = line.wrapped(columns: String.reportColumns - titleColumns - 2)
        for (row, part) in rows.enumerated() {
          let start = row == 0 ? label : ""
          let columns = titleColumns + (row == 0 ? 0 : 2)
          text += start + String(repeating: " ", count: columns - start.count) + part + "\n"
        }
      }
    }
    return text
  }

  var replayed: [String] {
    [
      "\(figures.groups.grouped) groups, \(figures.offlined.grouped) of them taken offline; "
        + "\(figures.rootCaches.grouped) root caches, \(figures.childCaches.grouped) child caches",
      "\(figures.allocations.grouped) allocations, \(figures.charged.grouped) of them charged",
      "\(figures.frees.grouped) frees, \(figures.implicitFrees.grouped) of them implicit; "
        + "\(figures.unmatchedFrees.grouped) of unknown addresses, "
        + "\(figures.nullFrees.grouped) of NULL",
      "\(figures.chargedFreesAfterOffline.grouped) charged objects freed after the end of their group",
    ]
  }

  private var time: [String] {
    let rate = Int(figures.eventsPerSecond).grouped
    return [
      "\(figures.events.grouped) events in \(Quantity.duration(seconds: figures.replaySeconds)), \(rate) per second"
    ]
  }

  private var endings: [String] {
    let rate = Int(figures.childCachesReleasedPerSecond).grouped
    return [
      "offline took \(offlineLatencies)",
      "\(figures.groupsReleased.grouped) groups and "
        + "\(figures.childCachesReleased.grouped) child caches released in "
        + "\(Quantity.duration(seconds: figures.workerSeconds)) of worker time, \(rate) caches per second",
      "\(figures.listSteps.grouped) steps through lists of caches; "
        + "\(figures.fences.grouped) fences for \(figures.fenceBatches.grouped) batches; "
        + "at most \(figures.workerThreadsPeak) worker threads",
    ]
  }

  /// The percentiles that so many samples have.
  private var offlineLatencies: String {
    let (latencies, samples) = (figures.offlineNs, figures.offlined)
    guard samples > 0 else { return "no time: no group ended" }
    var shown = [(latencies.p50, "(p50)")]
    if samples >= 100 { shown.append((latencies.p99, "(p99)")) }
    if samples >= 1000 { shown.append((latencies.p999, "(p99.9)")) }
    shown.append((latencies.max, "(max)"))
    return shown.map { "\(Quantity.duration(nanoseconds: $0)) \($1)" }.joined(separator: ", ")
  }

  private var memory: [String] {
    [
      "\(Quantity.bytes(figures.peakBytes)) at the peak, \(Quantity.bytes(figures.bytesAtEnd)) at the end, "
        + "\(Quantity.bytes(figures.bytesAfterCleanup)) after the clean-up; "
        + "\(Quantity.bytes(figures.returnedBytes)) returned",
      "charged: \(Quantity.bytes(figures.chargedBytesPeak)) at the peak, "
        + "\(Quantity.bytes(figures.chargedBytesAtEnd)) at the end, "
        + "\(Quantity.bytes(figures.chargedBytesAfterCleanup)) after the clean-up",
    ]
  }

  var pinned: [String] {
    [
      "\(figures.liveAtEnd.grouped) objects live, \(figures.chargedLiveAtEnd.grouped) of them "
        + "charged; they pin \(figures.pinnedGroupsAtEnd.grouped) offline groups and "
        + "\(figures.pinnedChildCachesAtEnd.grouped) child caches",
      "endings: \(figures.endings); \(figures.reparentedCaches.grouped) child caches moved to the "
        + "parents of their groups",
    ]
  }

  var irregular: [String] {
    Irregularity.allCases.compactMap { irregularity in
      guard let count = irregularities[irregularity], count > 0 else { return nil }
      return "\(count.grouped) \(irregularity.rawValue): \(irregularity.treatment)"
    }
  }

  var sums: [String] {
    if figures.sumCheckFailures.isEmpty { return ["all \(figures.sumChecks) checks passed"] }
    return figures.sumCheckFailures.map { "WRONG: \($0)" }
  }

  var platform: [String] {
    let reason = figures.fallbackReason.map { " (\($0))" } ?? ""
    return [
      "per-CPU layer: \(figures.perCpuLayer.rawValue)\(reason); fences: \(figures.fenceKind)"
    ]
  }
}
