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
        "no groups, so nothing is charged: the cgroups of the recording are of other hierarchies")
    } else if counts.groups == 0 {
      lines.append(
        "no groups, so nothing is charged: the event cgroup_mkdir was off, or nobody made a cgroup")
    } else if counts.charged == 0 {
      lines.append(
        "nothing is charged: the events cgroup_attach_task and sched_process_fork were off, or no "
          + "task of a group allocated")
    }
    if counts.frees + counts.unmatchedFrees == 0 {
      lines.append(
        "no frees: the events kmem_cache_free and kfree were off; objects live until their address "
          + "is allocated again")
    }
    for event in counts.unreadAllocations.events {
      lines.append("\(event.count.grouped) events \(event.name), which are not read")
    }
  }

  private mutating func addNames(_ counts: RecordingCounts) {
    let unnamed = counts.cachesNamedByFree + counts.cachesNamedBySize
    guard unnamed > 0 else { return }
    lines.append(
      "\((counts.rootCaches - unnamed).grouped) root caches have the name of their allocations, "
        + "\(counts.cachesNamedByFree.grouped) that of a free, "
        + "\(counts.cachesNamedBySize.grouped) one made of their size (kmalloc has no other)")
  }

  private mutating func addAddresses(_ counts: RecordingCounts) {
    guard counts.areAddressesHashed else { return }
    let collisions = counts.expectedCollisions
    let number = collisions < 0.1 ? "less than 0.1" : Quantity.ratio(collisions)
    lines.append(
      "all addresses fit 32 bits: the kernel printed hashes; with \(counts.livePeak.grouped) live "
        + "objects \(number) collisions are to be expected, each an implicit free too many (turn "
        + "the tracefs option hash-ptr off before recording)")
  }

  private mutating func addLoss(_ counts: RecordingCounts) {
    let places = counts.irregularities[.lostEventLines]
    guard places > 0 else { return }
    lines.append(
      "\(counts.lostEvents.grouped) events were lost in \(places.grouped) "
        + "\(places == 1 ? "place" : "places"): larger buffers hold more (buffer_size_kb)")
  }

  private mutating func addCounted(_ counts: RecordingCounts) {
    if counts.implicitFrees > 0 {
      lines.append(
        "an implicit free was not recorded: the kernel frees in bulk, and its address was "
          + "allocated again")
    }
    if counts.unmatchedFrees > 0 {
      lines.append(
        "an unknown address was allocated before the recording, or by an event that was off (kfree "
          + "of what kmalloc gave)")
    }
  }
}
