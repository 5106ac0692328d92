// The report for a reader in a hurry.

extension ReplayReport {
  /// The sections, each a line or a few; the slabinfo first, if it was asked for.
  func text() -> String {
    let sections = [
      ("lived", lived), ("cost", cost), ("buried", buried), ("memory", memory),
      ("at the end", pinned), ("out of order", outOfOrder), ("sums", sums), ("ran on", ranOn),
    ]
    var text = figures.slabinfo.map { $0 + "\n" } ?? ""
    let copies = figures.copies == 1 ? "" : ", \(figures.copies.grouped) copies side by side"
    text += "slab replay of \(figures.recording)\(copies)\n\n"
    for (title, lines) in sections {
      for (number, line) in lines.enumerated() {
        let label = number == 0 ? title : ""
        text += label + String(repeating: " ", count: 14 - label.count) + line + "\n"
      }
    }
    return text
  }

  private var lived: [String] {
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
      "\(figures.events.grouped) events in \(seconds(figures.replaySeconds)), \(rate) a second"
    ]
  }

  private var buried: [String] {
    let offline = figures.offlineNs
    let rate = Int(figures.childCachesReleasedPerSecond).grouped
    return [
      "offline took \(duration(offline.p50)) (p50), \(duration(offline.p99)) (p99), "
        + "\(duration(offline.p999)) (p99.9), \(duration(offline.max)) at most",
      "\(figures.groupsReleased.grouped) groups and "
        + "\(figures.childCachesReleased.grouped) child caches released in "
        + "\(seconds(figures.workerSeconds)) of the workers' time, \(rate) caches a second",
      "\(figures.fences.grouped) fences for \(figures.fenceBatches.grouped) batches; "
        + "worker threads: \(figures.workerThreadsPeak) at most",
    ]
  }

  private var memory: [String] {
    [
      "\(bytes(figures.peakBytes)) at the peak, \(bytes(figures.bytesAtEnd)) at the end, "
        + "\(bytes(figures.bytesAfterCleanup)) after the clean-up; "
        + "\(bytes(figures.returnedBytes)) given back",
      "charged: \(bytes(figures.chargedBytesPeak)) at the peak, "
        + "\(bytes(figures.chargedBytesAtEnd)) at the end, "
        + "\(bytes(figures.chargedBytesAfterCleanup)) after the clean-up",
    ]
  }

  private var pinned: [String] {
    [
      "\(figures.liveAtEnd.grouped) objects live, \(figures.chargedLiveAtEnd.grouped) of them "
        + "charged; they pin \(figures.pinnedGroupsAtEnd.grouped) offline groups and "
        + "\(figures.pinnedChildCachesAtEnd.grouped) child caches",
      "endings: \(figures.endings); \(figures.reparentedCaches.grouped) child caches went to the "
        + "parents of their groups",
    ]
  }

  private var outOfOrder: [String] {
    Irregularity.allCases.compactMap { irregularity in
      guard let count = irregularities[irregularity], count > 0 else { return nil }
      return "\(count.grouped) \(irregularity.rawValue): \(irregularity.treatment)"
    }
  }

  private var sums: [String] {
    if figures.sumCheckFailures.isEmpty { return ["all \(figures.sumChecks) checks hold"] }
    return figures.sumCheckFailures.map { "WRONG: \($0)" }
  }

  private var ranOn: [String] {
    ["per-CPU layer: \(figures.perCpuLayer); fences: \(figures.fenceKind)"]
  }

  private func seconds(_ seconds: Double) -> String {
    duration(Int(seconds * 1e9))
  }

  /// A duration in the unit that fits.
  private func duration(_ nanoseconds: Int) -> String {
    scaled(
      Double(nanoseconds), by: 1000, units: ["ns", "µs", "ms", "s"])
  }

  private func bytes(_ bytes: Int) -> String {
    scaled(Double(bytes), by: 1024, units: ["B", "KiB", "MiB", "GiB"])
  }

  /// The value in the greatest unit of which it has at least one.
  private func scaled(_ value: Double, by factor: Double, units: [String]) -> String {
    var (value, unit) = (value, 0)
    while value >= factor, unit + 1 < units.count {
      value /= factor
      unit += 1
    }
    let tenths = Int((value * 10).rounded())
    let text = unit == 0 ? (tenths / 10).grouped : "\((tenths / 10).grouped).\(tenths % 10)"
    return "\(text) \(units[unit])"
  }
}

extension Int {
  /// The number with its thousands apart: 558,400.
  var grouped: String {
    let digits = String(magnitude)
    var text = self < 0 ? "-" : ""
    for (index, digit) in digits.enumerated() {
      if index > 0, (digits.count - index).isMultiple(of: 3) { text += "," }
      text.append(digit)
    }
    return text
  }
}
