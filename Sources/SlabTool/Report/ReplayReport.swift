// SPDX-License-Identifier: Apache-2.0
// The report of a replay, as `--json` prints it: one flat object. Each number of the recording
// is that of all copies together, except `root_caches`, which the copies share, and the numbers
// of lines of text, of names of caches and of lost events, which are read once.

import Foundation
import Slab

struct ReplayReport {
  let figures: ReplayFigures
  let irregularities: [Irregularity: Int]

  init(_ outcome: ReplayOutcome) {
    figures = ReplayFigures(outcome)
    let found = Irregularity.allCases.map { irregularity in
      let count = outcome.counts.irregularities[irregularity]
      return (irregularity, irregularity.countsText ? count : count * outcome.copies)
    }
    irregularities = Dictionary(uniqueKeysWithValues: found)
  }

}

extension Encodable {
  /// One JSON object as reports print it, and a newline.
  func json() throws -> String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
    encoder.keyEncodingStrategy = .convertToSnakeCase
    return String(decoding: try encoder.encode(self), as: UTF8.self) + "\n"
  }
}

extension SlabAllocator.Design: Encodable {}

extension ReplayReport: Encodable {
  private struct Key: CodingKey {
    var stringValue: String
    var intValue: Int? { nil }

    init(stringValue: String) { self.stringValue = stringValue }
    init?(intValue: Int) { nil }
  }

  func encode(to encoder: any Encoder) throws {
    try figures.encode(to: encoder)
    var container = encoder.container(keyedBy: Key.self)
    for (irregularity, count) in irregularities {
      try container.encode(count, forKey: Key(stringValue: irregularity.rawValue))
    }
  }
}

/// The figures under their names in JSON, spelt as in Swift.
struct ReplayFigures: Encodable {
  /// Of the report (docs/schema/replay-1.json): a key that goes, or changes its meaning, makes a new one; new keys do not.
  let version = 1
  let recording: String
  /// What printed the recording, and the cgroup hierarchy that was lived, as far as it tells.
  let format: String
  let hierarchy: UInt64?
  let copies: Int
  let endings: String
  let design: SlabAllocator.Design

  let lines: Int
  let events: Int
  let groups: Int
  let offlined: Int
  let rootCaches: Int
  let childCaches: Int
  let allocations: Int
  let charged: Int
  let frees: Int
  let implicitFrees: Int
  let unmatchedFrees: Int
  let nullFrees: Int
  let chargedFreesAfterOffline: Int
  let liveAtEnd: Int
  let chargedLiveAtEnd: Int
  let pinnedGroupsAtEnd: Int
  let dyingGroupsAtEnd: Int
  let reparentedCaches: Int
  let pinnedChildCachesAtEnd: Int

  let cachesNamedByFree: Int
  let cachesNamedBySize: Int
  let lostEvents: Int
  let unreadAllocationEvents: Int
  let hashedAddresses: Bool
  let expectedCollisions: Double
  let notes: [String]

  let replaySeconds: Double
  let eventsPerSecond: Double
  /// Time of the allocator's threads on endings.
  let workerSeconds: Double
  let childCachesReleasedPerSecond: Double
  let offlineNs: LatencyPercentiles
  let groupsReleased: Int
  let childCachesReleased: Int
  let listSteps: Int
  let fences: Int
  let fenceBatches: Int
  let workerThreadsPeak: Int

  let chargedBytesPeak: Int
  let chargedBytesAtEnd: Int
  let chargedBytesAfterCleanup: Int
  let peakBytes: Int
  let bytesAtEnd: Int
  let bytesAfterCleanup: Int
  let returnedBytes: Int

  let perCpuLayer: PerCPUMode
  /// Only with the fallback.
  let fallbackReason: String?
  let fenceKind: SlabStatistics.Fence
  let sumChecks: Int
  let sumCheckFailures: [String]
  let slabinfo: String?
  /// Every counter of the allocator, under its own name (docs/counters.md).
  let countersAtEnd, countersAfterCleanup: [String: Int]

  init(_ outcome: ReplayOutcome) {
    let (counts, copies) = (outcome.counts, outcome.copies)
    let (atEnd, afterCleanup) = (outcome.atEnd, outcome.afterCleanup)
    let sumCheck = SumCheck(outcome)
    recording = outcome.recording
    format = (counts.format ?? .tracefs).rawValue
    hierarchy = counts.hierarchy
    self.copies = copies
    endings = outcome.endings.rawValue
    design = outcome.design

    lines = counts.lines
    events = copies * counts.events
    groups = copies * counts.groups
    offlined = copies * counts.offlined
    rootCaches = counts.rootCaches
    childCaches = copies * counts.childCaches
    allocations = copies * counts.allocations
    charged = copies * counts.charged
    frees = copies * counts.frees
    implicitFrees = copies * counts.implicitFrees
    unmatchedFrees = copies * counts.unmatchedFrees
    nullFrees = copies * counts.nullFrees
    chargedFreesAfterOffline = copies * counts.chargedFreesAfterOffline
    liveAtEnd = copies * counts.live
    chargedLiveAtEnd = copies * counts.chargedLive
    pinnedGroupsAtEnd = outcome.pinnedGroups
    dyingGroupsAtEnd = atEnd.groupsDying
    reparentedCaches = atEnd.childCachesReparented
    pinnedChildCachesAtEnd = copies * counts.pinnedChildCaches

    cachesNamedByFree = counts.cachesNamedByFree
    cachesNamedBySize = counts.cachesNamedBySize
    lostEvents = counts.lostEvents
    unreadAllocationEvents = counts.unreadAllocations.events.reduce(0) { $0 + $1.count }
    hashedAddresses = counts.areAddressesHashed
    expectedCollisions = counts.expectedCollisions
    notes = ReplayNotes(counts).lines

    replaySeconds = outcome.replaySeconds
    eventsPerSecond = Self.rate(events, outcome.replaySeconds)
    workerSeconds = afterCleanup.workerTime / .seconds(1)
    childCachesReleasedPerSecond = Self.rate(afterCleanup.childCachesReleased, workerSeconds)
    offlineNs = outcome.offlineLatencies
    groupsReleased = afterCleanup.groupsReleased
    childCachesReleased = afterCleanup.childCachesReleased
    listSteps = afterCleanup.listSteps
    fences = afterCleanup.fences
    fenceBatches = afterCleanup.fenceBatches
    workerThreadsPeak = afterCleanup.workerThreadsPeak

    chargedBytesPeak = afterCleanup.chargedBytesPeak
    chargedBytesAtEnd = atEnd.chargedBytes
    chargedBytesAfterCleanup = afterCleanup.chargedBytes
    // It counts the tables of groups as they are now, which the clean-up has made smaller.
    peakBytes = max(atEnd.systemBytesPeak, afterCleanup.systemBytesPeak)
    bytesAtEnd = atEnd.systemBytes
    bytesAfterCleanup = afterCleanup.systemBytes
    returnedBytes = afterCleanup.returnedBytes

    perCpuLayer = afterCleanup.perCPUMode
    fallbackReason = afterCleanup.fallbackReason
    fenceKind = afterCleanup.fence
    sumChecks = sumCheck.lines.count
    sumCheckFailures = sumCheck.failures
    slabinfo = outcome.slabinfo
    countersAtEnd = outcome.countersAtEnd
    countersAfterCleanup = outcome.countersAfterCleanup
  }

  private static func rate(_ count: Int, _ seconds: Double) -> Double {
    seconds > 0 ? Double(count) / seconds : 0
  }
}
