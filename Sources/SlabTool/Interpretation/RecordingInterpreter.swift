// Lives a recording: keeps the books on tasks, groups, caches and objects, and tells a target
// what to do.
//
// Invariants: the target sees only what its protocol promises; each event that is not lived as
// it stands is counted as one ``Irregularity``. Only `accounted=true` allocations of a task in a
// group are charged to the group. An address that is allocated while its object lives was freed
// unseen (the kernel does not trace bulk frees): that object is freed first.

struct RecordingInterpreter<Target: ReplayTarget> {
  var target: Target
  private let name: String
  private var counts = RecordingCounts()
  private var tasks = TaskTable()
  private var groups = GroupBook()
  private var caches = CacheTable()
  private var objects = ObjectBook()

  /// Begins the recording that messages call `name`.
  init(_ target: Target, recording name: String) {
    self.target = target
    self.name = name
  }

  /// Lives a whole recording; `showProgress` is told how much of the file has been read.
  mutating func interpret(
    _ source: consuming RecordingSource, showProgress: (Int) -> Void
  ) throws(ToolError) {
    var reader = LineReader(source)
    while try reader.fill() {
      try reader.forEachLine { line throws(ToolError) in try interpret(line) }
      showProgress(reader.source.position)
    }
    try reader.withUnfinishedLine { line throws(ToolError) in
      try finish(unfinishedLine: line)
    }
  }

  /// Lives one whole line.
  mutating func interpret(_ line: Span<UInt8>) throws(ToolError) {
    counts.lines += 1
    guard !line.isEmpty, line[0] != Byte.hash else { return }
    guard let head = FtraceLine(line) else { return try interpretHeadless(line) }
    let event = RecordedEvent(line, head: head)
    guard event != .malformed else { return add(.malformedLines) }
    counts.events += 1
    switch event {
    case .allocation(let address, let cache, let requestedBytes, let bytes, let isAccounted):
      try freeUntraced(address)
      guard address != 0, 0 < requestedBytes, requestedBytes <= bytes,
        bytes <= greatestObjectBytes
      else { return add(.skippedAllocations) }
      let number = try number(of: cache, in: line, objectBytes: Int(bytes))
      try allocate(address, cache: number, task: isAccounted ? head.pid : nil)
    case .free(let address):
      try free(address)
    case .groupMade(let id, let path):
      try makeGroup(id: id, path: line.text(path))
    case .groupRemoved(let id):
      try removeGroup(id: id)
    case .attach(let pid, let id):
      tasks[pid] = groups.group(id: id)
      if tasks[pid] == nil { add(.unknownAttaches) }
    case .fork(let child):
      tasks[child] = tasks[head.pid]
    case .exit:
      break
    case .unknown, .malformed:
      add(.unknownEvents)
    }
  }

  /// Ends the recording with what stands behind its last newline. Nobody can tell whether that
  /// is a whole line (an address cut off is another address), so it is not lived.
  mutating func finish(unfinishedLine line: Span<UInt8>) throws(ToolError) {
    if !line.isEmpty {
      counts.lines += 1
      if isAtBeginning, FtraceLine(line) == nil { throw notFtrace(line) }
      add(.truncatedLines)
    }
    guard counts.events > 0 else { throw .noEvents(name: name) }
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
    counts.chargedLive = groups.chargedLive
    return counts
  }

  // MARK: Lines that are no event

  private var isAtBeginning: Bool {
    counts.events == 0 && counts.irregularities == IrregularityCounts()
  }

  private mutating func interpretHeadless(_ line: Span<UInt8>) throws(ToolError) {
    if line.has("CPU:", at: 0), line.firstIndex(of: " EVENTS]", from: 0) != nil {
      add(.lostEventLines)
    } else if isAtBeginning {
      throw notFtrace(line)
    } else {
      add(.malformedLines)
    }
  }

  private func notFtrace(_ line: Span<UInt8>) -> ToolError {
    let excerpt = line.text(0..<min(line.count, 60))
    let printable = excerpt.unicodeScalars.map { scalar in
      scalar.properties.generalCategory == .control ? "\u{FFFD}" : String(scalar)
    }
    return .notFtrace(name: name, line: counts.lines, excerpt: printable.joined())
  }

  private mutating func add(_ irregularity: Irregularity) {
    counts.irregularities.add(irregularity, line: counts.lines)
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

  // MARK: Objects

  /// The number of a cache, which is made when it is met for the first time.
  private mutating func number(
    of name: Range<Int>, in line: Span<UInt8>, objectBytes: Int
  ) throws(ToolError) -> Int {
    let (cache, isNew) = caches.number(of: name, in: line, objectBytes: objectBytes)
    guard isNew else { return cache }
    counts.rootCaches += 1
    var uniqueName = line.text(name)
    if caches.isLastNameTaken {
      uniqueName += ":\(objectBytes)"
      add(.renamedCaches)
    }
    try target.makeCache(cache, named: uniqueName, objectBytes: objectBytes)
    return cache
  }

  /// Allocates for a task that is charged if it is in a group, or for nobody.
  private mutating func allocate(
    _ address: UInt64, cache: Int, task: Int?
  ) throws(ToolError) {
    let recorded = task.flatMap { tasks[$0] }
    let group = recorded.flatMap { groups.nearestOnline($0) }
    if group != recorded { add(.lateAllocations) }
    let owner = group.map { groups.charge($0, cache: cache) }
    counts.allocations += 1
    if owner != nil { counts.charged += 1 }
    let slot = objects.add(address, owner: owner)
    try target.allocate(slot: slot, cache: cache, group: group)
  }

  private mutating func free(_ address: UInt64) throws(ToolError) {
    guard let (slot, owner) = objects.remove(address) else {
      counts.unmatchedFrees += 1
      return
    }
    counts.frees += 1
    if let owner, uncharge(owner) { counts.chargedFreesAfterOffline += 1 }
    try target.free(slot: slot)
  }

  private mutating func freeUntraced(_ address: UInt64) throws(ToolError) {
    guard let (slot, owner) = objects.remove(address) else { return }
    counts.implicitFrees += 1
    if let owner { _ = uncharge(owner) }
    try target.free(slot: slot)
  }

  private mutating func uncharge(_ owner: Int) -> Bool {
    counts.chargedFrees += 1
    return groups.uncharge(owner)
  }
}
