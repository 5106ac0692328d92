// SPDX-License-Identifier: Apache-2.0
// What a group's files say, as cgroup v2 documents them.

#if FUSE
  internal import Glibc
  internal import Slab

  extension GroupFile {
    /// The text of now. `peak` is that of the open file, if it was reset.
    func text(
      of group: MemoryGroup, _ allocator: SlabAllocator, peak: Int?
    ) throws(FileError) -> String {
      switch self {
      case .controllers, .subtreeControl: "memory\n"
      case .type: "domain\n"
      case .maxDepth, .maxDescendants: "max\n"
      case .processes: group.parent == nil ? "\(getpid())\n" : ""
      // Without a process in it a group is populated by what is charged to it.
      case .cgroupEvents: "populated \(group.usage > 0 ? 1 : 0)\nfrozen 0\n"
      case .cgroupStat: Self.cgroupStat(group.descendants)
      case .current: "\(group.usage)\n"
      case .peak: "\(peak ?? group.peak)\n"
      case .max: Self.limit(group.max)
      case .high: Self.limit(group.high)
      case .low: "\(group.low)\n"
      case .min, .oomGroup, .swapCurrent, .swapMax: "0\n"
      case .events: Self.events(group.events)
      case .localEvents: Self.events(group.localEvents)
      case .stat: Self.stat(group.statistics)
      case .numaStat: Self.numaStat(group.usage)
      case .slabinfo, .legacySlabinfo: try Self.slabinfo(of: group, allocator)
      case .reclaim: throw .invalid
      }
    }

    private static func limit(_ bytes: Int?) -> String { bytes.map { "\($0)\n" } ?? "max\n" }

    private static func cgroupStat(_ descendants: (online: Int, dying: Int)) -> String {
      """
      nr_descendants \(descendants.online)
      nr_subsys_memory \(descendants.online)
      nr_dying_descendants \(descendants.dying)
      nr_dying_subsys_memory \(descendants.dying)

      """
    }

    /// The keys of Linux 6.19, and behind them the one that it does not have.
    static func events(_ events: GroupEvents) -> String {
      """
      low \(events.low)
      high \(events.high)
      max \(events.max)
      oom \(events.oom)
      oom_kill 0
      oom_group_kill 0
      sock_throttled 0
      overcharge \(events.overcharge)

      """
    }

    /// All that is charged is slabs', or pages' of which slabs are cut: the kernel's keys say so, and ours of what it
    /// consists.
    private static func stat(_ statistics: MemoryGroup.Statistics) -> String {
      """
      anon 0
      file 0
      kernel \(statistics.current)
      kernel_stack 0
      pagetables 0
      percpu 0
      sock 0
      vmalloc 0
      shmem 0
      file_mapped 0
      file_dirty 0
      file_writeback 0
      swapcached 0
      inactive_anon 0
      active_anon 0
      inactive_file 0
      active_file 0
      unevictable 0
      slab_reclaimable 0
      slab_unreclaimable \(statistics.current)
      slab \(statistics.current)
      pgfault 0
      pgmajfault 0
      slab_objects \(statistics.objects)
      slab_free \(statistics.freeInSlabs)
      slab_inherited \(statistics.inherited)
      slab_unused \(statistics.unused)
      slab_below \(statistics.below)

      """
    }

    private static func numaStat(_ bytes: Int) -> String {
      """
      anon N0=0
      file N0=0
      slab_reclaimable N0=0
      slab_unreclaimable N0=\(bytes)

      """
    }

    private static func slabinfo(
      of group: MemoryGroup, _ allocator: SlabAllocator
    ) throws(FileError) -> String {
      do { return try allocator.slabinfo(of: group) } catch { throw .noMemory }
    }
  }
#endif
