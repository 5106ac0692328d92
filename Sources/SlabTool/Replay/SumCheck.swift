// SPDX-License-Identifier: Apache-2.0
// The check that every number of the report is explained by others: the recording's books among
// themselves, the books against the allocator's counters, and nothing left at the end.

import Slab

struct SumCheck {
  struct Line: Equatable {
    enum Relation: String {
      case equals = "="
      case isAtMost = "<="
    }

    var left: String
    var leftValue: Int
    var relation: Relation
    var right: String
    var rightValue: Int

    var holds: Bool {
      switch relation {
      case .equals: leftValue == rightValue
      case .isAtMost: leftValue <= rightValue
      }
    }

    var text: String {
      "\(left) \(relation.rawValue) \(right): \(leftValue) \(relation.rawValue) \(rightValue)"
    }
  }

  private(set) var lines: [Line] = []

  /// The lines that do not hold.
  var failures: [String] { lines.filter { !$0.holds }.map(\.text) }

  init(_ outcome: ReplayOutcome) {
    addRecording(outcome)
    addAllocatorAtEnd(outcome)
    addAllocatorAfterCleanup(outcome)
  }

  private mutating func addRecording(_ outcome: ReplayOutcome) {
    let counts = outcome.counts
    add(
      "allocations", counts.allocations, .equals,
      "frees + implicit_frees + live_at_end", counts.frees + counts.implicitFrees + counts.live)
    add(
      "charged", counts.charged, .equals,
      "charged frees + charged_live_at_end", counts.chargedFrees + counts.chargedLive)
    add("offlined", counts.offlined, .isAtMost, "groups", counts.groups)
    add(
      "charged_frees_after_offline", counts.chargedFreesAfterOffline, .isAtMost,
      "charged frees", counts.chargedFrees)
  }

  private mutating func addAllocatorAtEnd(_ outcome: ReplayOutcome) {
    let (counts, copies, figures) = (outcome.counts, outcome.copies, outcome.atEnd)
    add("groups", copies * counts.groups, .equals, "groups made", figures.groupsCreated)
    add("offlined", copies * counts.offlined, .equals, "groups offlined", figures.groupsOfflined)
    add(
      "groups", copies * counts.groups, .equals,
      "released + pinned_groups_at_end + online",
      figures.groupsReleased + outcome.pinnedGroups + copies * (counts.groups - counts.offlined))
    add(
      "pinned_groups_at_end", outcome.pinnedGroups, .equals, "dying_groups_at_end",
      figures.groupsDying)
    if outcome.endings == .keep {
      add("reparented_caches", figures.childCachesReparented, .equals, "none", 0)
    } else {
      add(
        "pinned_child_caches_at_end", copies * counts.pinnedChildCaches, .isAtMost,
        "reparented_caches", figures.childCachesReparented)
    }
    add("root_caches", counts.rootCaches, .equals, "root caches made", figures.rootCaches)
    add(
      "child_caches", copies * counts.childCaches, .equals,
      "child caches made", figures.childCachesCreated)
    // Under the rules of 4.10 an empty one stays until its group ends.
    add(
      "child caches that hold objects or are online", copies * counts.childCachesLive,
      outcome.design == .current ? .equals : .isAtMost,
      "child caches alive", figures.childCachesLive)
    add(
      "child caches made", figures.childCachesCreated, .equals,
      "released + alive", figures.childCachesReleased + figures.childCachesLive)
    add(
      "bytes of charged live objects", outcome.chargedLiveBytesAtEnd, .isAtMost,
      "charged_bytes_at_end", figures.chargedBytes)
    add(
      "charged_bytes_at_end", figures.chargedBytes, .isAtMost,
      "charged_bytes_peak", figures.chargedBytesPeak)
  }

  private mutating func addAllocatorAfterCleanup(_ outcome: ReplayOutcome) {
    let figures = outcome.afterCleanup
    add("groups_released", figures.groupsReleased, .equals, "groups made", figures.groupsCreated)
    add("groups alive after the clean-up", figures.groupsLive, .equals, "none", 0)
    add(
      "child_caches_released", figures.childCachesReleased, .equals,
      "child caches made", figures.childCachesCreated)
    add("charged_bytes_after_cleanup", figures.chargedBytes, .equals, "none", 0)
    add(
      "bytes_after_cleanup", figures.systemBytes, .isAtMost, "peak_bytes", figures.systemBytesPeak)
    add(
      "peak_bytes - bytes_after_cleanup", figures.systemBytesPeak - figures.systemBytes,
      .isAtMost, "returned bytes", figures.returnedBytes)
    switch outcome.design {
    case .current:
      add("fences", figures.fences, .isAtMost, "fence_batches", figures.fenceBatches)
    case .linux410:
      add("fences", figures.fences, .equals, "groups offlined", figures.groupsOfflined)
    }
  }

  private mutating func add(
    _ left: String, _ leftValue: Int, _ relation: Line.Relation,
    _ right: String, _ rightValue: Int
  ) {
    lines.append(
      Line(
        left: left, leftValue: leftValue, relation: relation, right: right,
        rightValue: rightValue))
  }
}
