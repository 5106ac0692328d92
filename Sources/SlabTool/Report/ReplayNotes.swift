// SPDX-License-Identifier: Apache-2.0
// What a reader of the report should know about the recording: what it lacks and why that may be, and
// what follows from how it was made.

struct ReplayNotes {
  private(set) var lines: [String] = []

  init(_ counts: RecordingCounts) {
    addMissing(counts)
    addNames(counts)
    addAddresses(counts)
    addLoss(counts)
    addCounted(counts)
  }

  private mutating func addMissing(_ counts: RecordingCounts) {
    if counts.groups == 0, counts.irregularities[.otherHierarchies] > 0 {
      lines.append(
        "no groups, so nothing is charged: the recording's cgroups belong to other hierarchies")
    } else if counts.groups == 0 {
      lines.append(
        "no groups, so nothing is charged: the event cgroup_mkdir was disabled, or no cgroup was made"
      )
    } else if counts.charged == 0 {
      lines.append(
        "nothing is charged: the events cgroup_attach_task and sched_process_fork were disabled, or no "
          + "task of a group allocated")
    }
    if counts.frees + counts.unmatchedFrees == 0 {
      lines.append(
        "no frees: the events kmem_cache_free and kfree were disabled; objects live until their address "
          + "is allocated again")
    }
    for event in counts.unreadAllocations.events {
      lines.append("\(event.count.grouped) events \(event.name), which slab does not read")
    }
  }

  private mutating func addNames(_ counts: RecordingCounts) {
    let unnamed = counts.cachesNamedByFree + counts.cachesNamedBySize
    guard unnamed > 0 else { return }
    lines.append(
      "\((counts.rootCaches - unnamed).grouped) root caches are named by their allocations, "
        + "\(counts.cachesNamedByFree.grouped) by a free, "
        + "\(counts.cachesNamedBySize.grouped) by their size (always so for kmalloc)")
  }

  private mutating func addAddresses(_ counts: RecordingCounts) {
    guard counts.areAddressesHashed else { return }
    let collisions = counts.expectedCollisions
    let number = collisions < 0.1 ? "less than 0.1" : Quantity.ratio(collisions)
    lines.append(
      "all addresses fit in 32 bits: the kernel printed hashes; with \(counts.livePeak.grouped) live "
        + "objects, expect \(number) collisions, each of which adds a false implicit free (turn "
        + "the tracefs option hash-ptr off before recording)")
  }

  private mutating func addLoss(_ counts: RecordingCounts) {
    let places = counts.irregularities[.lostEventLines]
    guard places > 0 else { return }
    lines.append(
      "\(counts.lostEvents.grouped) events were lost in \(places.grouped) "
        + "\(places == 1 ? "place" : "places"): use larger buffers (buffer_size_kb)")
  }

  private mutating func addCounted(_ counts: RecordingCounts) {
    if counts.implicitFrees > 0 {
      lines.append(
        "an implicit free was not recorded: the kernel frees in bulk, and its address was "
          + "allocated again")
    }
    if counts.unmatchedFrees > 0 {
      lines.append(
        "an unknown address was allocated before the recording, or by a disabled event (kfree "
          + "of a kmalloc object)")
    }
  }
}
