// SPDX-License-Identifier: Apache-2.0
// Lives a recording: keeps the books on tasks, groups, caches and objects, and tells a target
// what to do. How lines are told apart is in RecordingInterpreter+Lines.swift.
//
// Invariants: the target sees only what its protocol promises; each event that is not lived as
// it stands is counted as one ``Irregularity``. Only allocations that the kernel accounted, of a
// task in a group, are charged to the group. An address that is allocated while its object lives was
// freed unseen (the kernel does not trace bulk frees): that object is freed first.
//
// Ids of groups are unique in one hierarchy of cgroups, and tasks are in a group of each. The
// hierarchy of the memory controller cannot be told from the events; unless the user names it, the
// one of the first group made is taken.

struct RecordingInterpreter<Target: ReplayTarget> {
  var target: Target
  let name: String
  var counts = RecordingCounts()
  /// The first line that is no whole event.
  var firstNotUnderstood: NotUnderstood?
  /// Whether allocations have a field that says whether they are charged; nil before the first.
  private var hasAccountedField: Bool?
  private var tasks = TaskTable()
  private var groups = GroupBook()
  private var caches = CacheTable()
  private var objects = ObjectBook()
  private var names = CacheNames()
  /// The caches without names: by the place of their allocations, and by size.
  private var siteCaches = KeyTable()
  private var sizedCaches = KeyTable()

  /// Begins the recording that messages call `name`, with the groups of one hierarchy: by default
  /// that of the first group.
  init(_ target: Target, recording name: String, hierarchy: UInt64? = nil) {
    self.target = target
    self.name = name
    counts.hierarchy = hierarchy
  }

  /// Lives a whole recording; `showProgress` is told how much of the file has been read. Where
  /// allocations do not name their cache, it is read twice.
  mutating func interpret(
    _ source: consuming RecordingSource, showProgress: (Int) -> Void
  ) throws(ToolError) {
    var reader = LineReader(source)
    if try CacheNameLearner.isNeeded(by: &reader) {
      try reader.makeReadableAgain()
      var learner = CacheNameLearner()
      repeat {
        try reader.forEachLine { line throws(ToolError) in learner.learn(line) }
        showProgress(reader.source.position)
      } while try reader.fill()
      names = learner.names
      try reader.rewind()
    }
    repeat {
      try reader.forEachLine { line throws(ToolError) in try interpret(line) }
      showProgress(reader.source.position)
    } while try reader.fill()
    try reader.withUnfinishedLine { line throws(ToolError) in
      try finish(unfinishedLine: line)
    }
  }

  /// Lives one event.
  mutating func live(
    _ event: RecordedEvent, of task: Int, in line: Span<UInt8>
  ) throws(ToolError) {
    switch event {
    case .allocation(let allocation):
      try live(allocation, of: task, in: line)
    case .free(let address):
      try free(address)
    case .groupMade(let root, let id, let path):
      if counts.hierarchy == nil { counts.hierarchy = root }
      guard root == counts.hierarchy else { return add(.otherHierarchies) }
      try makeGroup(id: id, path: line.text(path))
    case .groupRemoved(let root, let id):
      guard isLived(root) else { return add(.otherHierarchies) }
      try removeGroup(id: id)
    case .attach(let pid, let root, let id):
      guard isLived(root) else { return add(.otherHierarchies) }
      tasks[pid] = groups.group(id: id)
      if tasks[pid] == nil { add(.unknownAttaches) }
    case .fork(let child):
      tasks[child] = tasks[task]
    case .exit:
      break
    case .unknown, .malformed, .malformedAllocation:
      add(.unknownEvents)
    }
  }

  private func isLived(_ root: UInt64) -> Bool {
    counts.hierarchy == nil || root == counts.hierarchy
  }

  /// The counts up to now.
  var currentCounts: RecordingCounts {
    var counts = counts
    counts.groups = groups.count
    counts.groupsGone = groups.groupsGone
    counts.childCaches = groups.childCachesMade
    counts.childCachesGone = groups.childCachesGone
    counts.pinnedChildCaches = groups.childCachesPinned
    counts.live = objects.count
    counts.livePeak = objects.peakCount
    counts.chargedLive = groups.chargedLive
    return counts
  }

  // MARK: Groups

  private mutating func makeGroup(id: UInt64, path: String) throws(ToolError) {
    guard groups.group(id: id) == nil else { return add(.duplicateMkdirs) }
    let made = groups.make(id: id, path: path)
    if made.name != path { add(.renamedGroups) }
    try target.makeGroup(made.group, named: made.name, parent: made.parent)
  }

  private mutating func removeGroup(id: UInt64) throws(ToolError) {
    guard let group = groups.group(id: id) else { return add(.unknownRmdirs) }
    guard !groups.hasOnlineChildren(group) else { return add(.busyRmdirs) }
    groups.remove(group)
    counts.offlined += 1
    try target.offlineGroup(group)
  }

  // MARK: Caches

  /// The number of an allocation's cache, which is made when it is met for the first time.
  private mutating func cache(
    of allocation: RecordedEvent.Allocation, in line: Span<UInt8>
  ) throws(ToolError) -> Int {
    let objectBytes = Int(allocation.bytes)
    switch allocation.cache {
    case .name(let name):
      return try cache(named: line.extracting(name), objectBytes: objectBytes).number
    case .size:
      return try cache(sized: objectBytes, prefix: "kmalloc-", key: allocation.bytes << 1)
    case .callSite(let callSite):
      let site = CacheNames.site(callSite, in: line, objectBytes: allocation.bytes)
      if let known = siteCaches[site] { return known }
      let number: Int
      if let name = names.name(ofSite: site) {
        let text = names.bytes
        let found = try cache(named: text.span.extracting(name), objectBytes: objectBytes)
        if found.isNew { counts.cachesNamedByFree += 1 }
        number = found.number
      } else {
        number = try cache(sized: objectBytes, prefix: "size-", key: allocation.bytes << 1 | 1)
      }
      siteCaches.set(site, to: number)
      return number
    }
  }

  private mutating func cache(
    named name: Span<UInt8>, objectBytes: Int
  ) throws(ToolError) -> (number: Int, isNew: Bool) {
    let (cache, isNew) = caches.number(
      of: name.indices, in: name, objectBytes: objectBytes)
    guard isNew else { return (cache, false) }
    counts.rootCaches += 1
    var uniqueName = name.text(name.indices)
    if caches.isLastNameTaken {
      uniqueName += ":\(objectBytes)"
      add(.renamedCaches)
    }
    try target.makeCache(cache, named: uniqueName, objectBytes: objectBytes)
    return (cache, true)
  }

  /// A cache of which only the size is known, which gets its name from it.
  private mutating func cache(
    sized objectBytes: Int, prefix: String, key: UInt64
  ) throws(ToolError) -> Int {
    if let known = sizedCaches[key] { return known }
    let size =
      objectBytes >= 1024 && objectBytes % 1024 == 0
      ? "\(objectBytes / 1024)k" : "\(objectBytes)"
    let name = Array((prefix + size).utf8)
    let (cache, isNew) = try cache(named: name.span, objectBytes: objectBytes)
    if isNew { counts.cachesNamedBySize += 1 }
    sizedCaches.set(key, to: cache)
    return cache
  }

  // MARK: Objects

  private mutating func live(
    _ allocation: RecordedEvent.Allocation, of task: Int, in line: Span<UInt8>
  ) throws(ToolError) {
    guard let isCharged = isCharged(allocation) else { return notUnderstood(line) }
    let address: UInt64
    switch allocation.address {
    case .object(let object): address = object
    case .null: return add(.skippedAllocations)
    case .untold: return add(.untoldAddresses)
    }
    try freeUntraced(address)
    guard 0 < allocation.requestedBytes, allocation.requestedBytes <= allocation.bytes,
      allocation.bytes <= greatestObjectBytes
    else { return add(.skippedAllocations) }
    let cache = try cache(of: allocation, in: line)
    try allocate(address, cache: cache, task: isCharged ? task : nil)
  }

  /// Nil if the line lacks the field that the others have: then it is cut off.
  private mutating func isCharged(_ allocation: RecordedEvent.Allocation) -> Bool? {
    switch allocation.charge {
    case .accounted(let isCharged):
      hasAccountedField = true
      return isCharged
    case .flags(let isCharged):
      if hasAccountedField == true { return nil }
      hasAccountedField = false
      return isCharged
    case .unknown:
      if hasAccountedField == true { return nil }
      hasAccountedField = false
      add(.unknownCharges)
      return false
    }
  }

  /// Allocates for a task that is charged if it is in a group, or for no group.
  private mutating func allocate(
    _ address: UInt64, cache: Int, task: Int?
  ) throws(ToolError) {
    let recorded = task.flatMap { tasks[$0] }
    let group = recorded.flatMap { groups.nearestOnline($0) }
    if group != recorded { add(.lateAllocations) }
    let owner = group.map { groups.charge($0, cache: cache) }
    counts.allocations += 1
    counts.addressBits |= address
    if owner != nil { counts.charged += 1 }
    let place = objects.add(address, owner: owner)
    try target.allocate(place: place, cache: cache, group: group)
  }

  private mutating func free(_ address: KernelAddress) throws(ToolError) {
    switch address {
    case .object(let address):
      guard let (place, owner) = objects.remove(address) else {
        counts.unmatchedFrees += 1
        return
      }
      counts.frees += 1
      if let owner, uncharge(owner) { counts.chargedFreesAfterOffline += 1 }
      try target.free(place: place)
    case .null: counts.nullFrees += 1
    case .untold: add(.untoldAddresses)
    }
  }

  private mutating func freeUntraced(_ address: UInt64) throws(ToolError) {
    guard let (place, owner) = objects.remove(address) else { return }
    counts.implicitFrees += 1
    if let owner { _ = uncharge(owner) }
    try target.free(place: place)
  }

  private mutating func uncharge(_ owner: Int) -> Bool {
    counts.chargedFrees += 1
    return groups.uncharge(owner)
  }
}
