// SPDX-License-Identifier: Apache-2.0
// What a run of a churn cost, under the names in JSON, and whether its sums add up.

import Slab

struct ChurnFigures: Encodable, Equatable {
  var design: SlabAllocator.Design
  var groups: Int
  var childCaches: Int
  /// From the first cache to the last ending.
  var totalSeconds: Double
  var creationSeconds: Double
  var endingSeconds: Double
  var nsPerGroup: Double
  var offlineNs: LatencyPercentiles
  /// Time of the allocator's threads on endings.
  var workerSeconds: Double
  var listSteps: Int
  var fences: Int
  var fenceBatches: Int
  var peakBytes: Int
  var perCpuLayer: PerCPUMode
  /// Only with the fallback.
  var fallbackReason: String?
  var fenceKind: SlabStatistics.Fence
  var sumCheckFailures: [String]

  init(
    load: ChurnLoad, design: SlabAllocator.Design, creationNanoseconds: Int,
    endingNanoseconds: Int, offline: LatencyPercentiles, statistics: SlabStatistics
  ) {
    self.design = design
    groups = load.groups
    childCaches = statistics.childCachesCreated
    creationSeconds = Double(creationNanoseconds) / 1e9
    endingSeconds = Double(endingNanoseconds) / 1e9
    totalSeconds = creationSeconds + endingSeconds
    nsPerGroup = totalSeconds * 1e9 / Double(load.groups)
    offlineNs = offline
    workerSeconds = statistics.workerTime / .seconds(1)
    listSteps = statistics.listSteps
    fences = statistics.fences
    fenceBatches = statistics.fenceBatches
    peakBytes = statistics.systemBytesPeak
    perCpuLayer = statistics.perCPUMode
    fallbackReason = statistics.fallbackReason
    fenceKind = statistics.fence
    let sums = [
      ("groups made", statistics.groupsCreated, load.groups),
      ("groups offlined", statistics.groupsOfflined, load.groups),
      ("groups released", statistics.groupsReleased, load.groups),
      ("child caches made", statistics.childCachesCreated, load.groups * load.caches),
      ("child caches released", statistics.childCachesReleased, load.groups * load.caches),
      ("charged bytes at the end", statistics.chargedBytes, 0),
    ]
    sumCheckFailures = sums.filter { $0.1 != $0.2 }.map { "\($0.0): \($0.1), not \($0.2)" }
  }
}
