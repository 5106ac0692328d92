// SPDX-License-Identifier: Apache-2.0
// What a recording may hold that cannot be lived as it stands. Each kind has one treatment, is
// counted in the report under its raw value, and is warned of once, with its first line.

enum Irregularity: String, CaseIterable {
  case malformedLines = "malformed_lines"
  case truncatedLines = "truncated_lines"
  case lostEventLines = "lost_event_lines"
  case unknownEvents = "unknown_events"
  case duplicateMkdirs = "duplicate_mkdirs"
  case unknownRmdirs = "unknown_rmdirs"
  case busyRmdirs = "busy_rmdirs"
  case unknownAttaches = "unknown_attaches"
  case renamedGroups = "renamed_groups"
  case renamedCaches = "renamed_caches"
  case skippedAllocations = "skipped_allocations"
  case lateAllocations = "late_allocations"
  case otherHierarchies = "other_hierarchies"
  case untoldAddresses = "untold_addresses"
  case unknownCharges = "unknown_charges"

  /// What it is and what is done with it.
  var treatment: String {
    switch self {
    case .malformedLines: "incomplete event: ignored"
    case .truncatedLines: "the last line is truncated: ignored"
    case .lostEventLines: "events were lost here: frees may be missing"
    case .unknownEvents: "an event unrelated to slabs: ignored"
    case .duplicateMkdirs: "mkdir of a group id that exists: ignored"
    case .unknownRmdirs: "rmdir of an unknown group: ignored"
    case .busyRmdirs: "rmdir of a group with child groups: ignored"
    case .unknownAttaches: "a task moved to an unknown group: its allocations are not charged"
    case .renamedGroups: "a group of this name exists: the new one gets a number"
    case .renamedCaches:
      "a cache of this name has another object size: the new one gets its size as a suffix"
    case .skippedAllocations:
      "a failed allocation, or a size outside 1 to \(greatestObjectBytes) bytes: ignored"
    case .lateAllocations: "the task's group was removed: charged to the nearest group above"
    case .otherHierarchies:
      "a cgroup of a hierarchy other than the first one: ignored; see --hierarchy"
    case .untoldAddresses: "an address not printed by the kernel: ignored"
    case .unknownCharges:
      "no field accounted, and the flags are a number: treated as not charged"
    }
  }

  /// Whether it is counted in lines of text, which are read once for all copies.
  var countsText: Bool {
    switch self {
    case .malformedLines, .truncatedLines, .lostEventLines: true
    default: false
    }
  }
}

/// The largest object that a cache can have.
let greatestObjectBytes = 32 << 10

/// How often each irregularity was met, and where first.
struct IrregularityCounts: Equatable {
  private var counts: [Irregularity: Int] = [:]
  private var firstLines: [Irregularity: Int] = [:]

  subscript(irregularity: Irregularity) -> Int {
    counts[irregularity, default: 0]
  }

  mutating func add(_ irregularity: Irregularity, line: Int) {
    counts[irregularity, default: 0] += 1
    if firstLines[irregularity] == nil { firstLines[irregularity] = line }
  }

  /// One warning for each kind, in the order of the lines. An unknown event is none: a recording
  /// may well hold more than this tool reads.
  func warnings(recording: String) -> [String] {
    firstLines.filter { $0.key != .unknownEvents }
      .sorted { ($0.value, $0.key.rawValue) < ($1.value, $1.key.rawValue) }
      .map { irregularity, line in
        let more = self[irregularity] > 1 ? " (\(self[irregularity]) in all)" : ""
        return "\(recording):\(line): warning: \(irregularity.treatment)\(more)"
      }
  }
}
