// SPDX-License-Identifier: Apache-2.0
// What a replay found: the recording's counts, and the allocator's figures at two moments.

import Slab

struct ReplayOutcome {
  /// What messages call the recording.
  var recording: String
  var copies: Int
  var endings: EndingPolicy
  var design: SlabAllocator.Design
  /// Counts of the recording itself, for one copy.
  var counts: RecordingCounts
  /// The allocator when the recording had been lived and every queued ending was done.
  var atEnd: SlabStatistics
  /// The allocator when all objects, groups and caches were gone and its memory given back.
  var afterCleanup: SlabStatistics
  /// Every counter of the allocator at these two moments, by name.
  var countersAtEnd, countersAfterCleanup: [String: Int]
  /// The bytes of the charged objects that lived at the end, in all copies.
  var chargedLiveBytesAtEnd: Int
  var offlineLatencies: LatencyPercentiles
  /// From the first byte read to the end of the recording, with every queued ending done.
  var replaySeconds: Double
  /// The allocator's slabinfo at the end of the recording.
  var slabinfo: String?

  /// The groups that their objects hold at the end, in all copies: by the book of the recording, and
  /// the policy.
  var pinnedGroups: Int { endings == .keep ? copies * counts.pinnedGroups : 0 }
}

extension SlabAllocator {
  /// What each counter says now, by name.
  var countersByName: [String: Int] {
    let counters = snapshot(largest: 0).counters
    return Dictionary(uniqueKeysWithValues: counters.map { ($0.name, $0.value) })
  }
}
