// The report for a reader in a hurry.

import Slab

extension ReplayReport {
  /// The sections, each a line or a few; the slabinfo first, if it was asked for.
  func text() -> String {
    let rules = figures.design == .current ? "" : ", by the rules of \(figures.design.title)"
    return (figures.slabinfo.map { $0 + "\n" } ?? "")
      + "\(title)\(rules)\n\n"
      + Self.text(of: [
        ("lived", lived), ("cost", cost), ("buried", buried), ("memory", memory),
        ("at the end", pinned), ("out of order", outOfOrder), ("sums", sums), ("ran on", ranOn),
      ])
  }

  /// What was lived.
  var title: String {
    let copies = figures.copies == 1 ? "" : ", \(figures.copies.grouped) copies side by side"
    return "slab replay of \(figures.recording)\(copies)"
  }

  static func text(of sections: [(title: String, lines: [String])]) -> String {
    var text = ""
    for (title, lines) in sections {
      for (number, line) in lines.enumerated() {
        let label = number == 0 ? title : ""
        text += label + String(repeating: " ", count: 14 - label.count) + line + "\n"
      }
    }
    return text
  }

  var lived: [String] {
    [
      "\(figures.groups.grouped) groups, \(figures.offlined.grouped) of them offlined; "
        + "\(figures.rootCaches.grouped) root caches, \(figures.childCaches.grouped) child caches",
      "\(figures.allocations.grouped) allocations, \(figures.charged.grouped) of them charged",
      "\(figures.frees.grouped) frees, \(figures.implicitFrees.grouped) implicit ones; "
        + "\(figures.unmatchedFrees.grouped) frees of unknown addresses",
      "\(figures.chargedFreesAfterOffline.grouped) charged objects freed after their group's end",
    ]
  }

  private var cost: [String] {
    let rate = Int(figures.eventsPerSecond).grouped
    return [
      "\(figures.events.grouped) events in \(Quantity.duration(seconds: figures.replaySeconds)), \(rate) a second"
    ]
  }

  private var buried: [String] {
    let offline = figures.offlineNs
    let rate = Int(figures.childCachesReleasedPerSecond).grouped
    return [
      "offline took \(Quantity.duration(nanoseconds: offline.p50)) (p50), \(Quantity.duration(nanoseconds: offline.p99)) (p99), "
        + "\(Quantity.duration(nanoseconds: offline.p999)) (p99.9), \(Quantity.duration(nanoseconds: offline.max)) at most",
      "\(figures.groupsReleased.grouped) groups and "
        + "\(figures.childCachesReleased.grouped) child caches released in "
        + "\(Quantity.duration(seconds: figures.workerSeconds)) of the workers' time, \(rate) caches a second",
      "\(figures.listSteps.grouped) steps through lists of caches; "
        + "\(figures.fences.grouped) fences for \(figures.fenceBatches.grouped) batches; "
        + "worker threads: \(figures.workerThreadsPeak) at most",
    ]
  }

  private var memory: [String] {
    [
      "\(Quantity.bytes(figures.peakBytes)) at the peak, \(Quantity.bytes(figures.bytesAtEnd)) at the end, "
        + "\(Quantity.bytes(figures.bytesAfterCleanup)) after the clean-up; "
        + "\(Quantity.bytes(figures.returnedBytes)) given back",
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
      "endings: \(figures.endings); \(figures.reparentedCaches.grouped) child caches went to the "
        + "parents of their groups",
    ]
  }

  var outOfOrder: [String] {
    Irregularity.allCases.compactMap { irregularity in
      guard let count = irregularities[irregularity], count > 0 else { return nil }
      return "\(count.grouped) \(irregularity.rawValue): \(irregularity.treatment)"
    }
  }

  var sums: [String] {
    if figures.sumCheckFailures.isEmpty { return ["all \(figures.sumChecks) checks hold"] }
    return figures.sumCheckFailures.map { "WRONG: \($0)" }
  }

  var ranOn: [String] {
    ["per-CPU layer: \(figures.perCpuLayer); fences: \(figures.fenceKind)"]
  }
}
