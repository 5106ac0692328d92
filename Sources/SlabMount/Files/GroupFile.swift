// SPDX-License-Identifier: Apache-2.0
// The files of a group's directory. The numbers are in inodes: a file keeps its own.

#if FUSE
  enum GroupFile: UInt8, CaseIterable {
    case controllers = 1
    case cgroupEvents
    case maxDepth
    case maxDescendants
    case processes
    case cgroupStat
    case subtreeControl
    case type
    case current
    case events
    case localEvents
    case high
    case legacySlabinfo
    case low
    case max
    case min
    case numaStat
    case oomGroup
    case peak
    case reclaim
    case slabinfo
    case stat
    case swapCurrent
    case swapMax

    var name: String {
      switch self {
      case .controllers: "cgroup.controllers"
      case .cgroupEvents: "cgroup.events"
      case .maxDepth: "cgroup.max.depth"
      case .maxDescendants: "cgroup.max.descendants"
      case .processes: "cgroup.procs"
      case .cgroupStat: "cgroup.stat"
      case .subtreeControl: "cgroup.subtree_control"
      case .type: "cgroup.type"
      case .current: "memory.current"
      case .events: "memory.events"
      case .localEvents: "memory.events.local"
      case .high: "memory.high"
      case .legacySlabinfo: "memory.kmem.slabinfo"
      case .low: "memory.low"
      case .max: "memory.max"
      case .min: "memory.min"
      case .numaStat: "memory.numa_stat"
      case .oomGroup: "memory.oom.group"
      case .peak: "memory.peak"
      case .reclaim: "memory.reclaim"
      case .slabinfo: "memory.slabinfo"
      case .stat: "memory.stat"
      case .swapCurrent: "memory.swap.current"
      case .swapMax: "memory.swap.max"
      }
    }

    /// Whether the root group has it: as in the kernel, what limits or counts one group is not there.
    var isOfRoot: Bool {
      switch self {
      case .controllers, .maxDepth, .maxDescendants, .processes, .cgroupStat, .subtreeControl,
        .numaStat, .reclaim, .stat, .slabinfo, .legacySlabinfo:
        true
      default: false
      }
    }

    var isReadable: Bool { self != .reclaim }

    var isWritable: Bool {
      switch self {
      case .high, .low, .max, .peak, .reclaim: true
      default: false
      }
    }

    private static let byName = Dictionary(
      uniqueKeysWithValues: allCases.map { ($0.name, $0) })

    init?(named name: String) {
      guard let file = Self.byName[name] else { return nil }
      self = file
    }
  }
#endif
