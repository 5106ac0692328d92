// SPDX-License-Identifier: Apache-2.0
// More places where an allocation that names no group may stand, and which group is charged there. Each counts
// objects by group, as the groups' statistics have them.

import Dispatch
import Slab
import SlabTestSupport
import Synchronization
import Testing

private let objects = try! SlabCache<Int>(named: "current-group-places")

/// Objects that are allocated in whatever group is current, and stay.
final class Kept: Sendable {
  private let slots = Mutex(SlabArray<Slot<Int>>(in: .root))

  func allocate() throws(SlabError) {
    var slot: Slot<Int>? = try objects.allocate(1)
    let isKept = slots.withLock { $0.appendIfPossible { slot.take()! } }
    if !isKept { Issue.record("no memory") }
  }

  var count: Int { slots.withLock { $0.count } }

  /// Those of a group that are live; nobody may work in it.
  func count(in group: MemoryGroup) -> Int {
    group.statistics.caches.reduce(0) { $0 + ($1.name == objects.name ? $1.objectsInUse : 0) }
  }
}

@globalActor private actor OtherActor { static let shared = OtherActor() }

@Suite(.inTurn) struct CurrentGroupPlacesTests {
  let groups: [MemoryGroup]
  let kept = Kept()

  init() throws {
    let serial = Self.serial.add(1, ordering: .relaxed).newValue
    groups = try (1...2).map { try MemoryGroup.root.makeChild(named: "places-\(serial)-\($0)") }
  }

  private static let serial = Atomic(0)

  /// What was allocated so far: how many in each group, and how many in all.
  private func expectKept(
    _ wanted: [Int], of all: Int, at location: SourceLocation = #_sourceLocation
  ) {
    #expect(groups.map { kept.count(in: $0) } == wanted, sourceLocation: location)
    #expect(kept.count == all, sourceLocation: location)
  }

  // MARK: - Tasks

  /// Each child has the group in whose scope it was added.
  @Test func childrenAddedInScopesOfTheirOwn() async throws {
    let kept = kept
    try await MemoryGroup.withCurrent(groups[0]) {
      try await withThrowingTaskGroup(of: Void.self) { tasks in
        for index in 0..<30 {
          MemoryGroup.withCurrent(index % 3 == 0 ? groups[0] : index % 3 == 1 ? groups[1] : .root) {
            tasks.addTask {
              await Task.yield()
              try kept.allocate()
            }
          }
        }
        tasks.addTask { try kept.allocate() }
        try await tasks.waitForAll()
      }
    }
    expectKept([11, 10], of: 31)
  }

  /// Before the first suspension on this thread, afterwards on any: both times the group it was made in.
  @Test func immediateTasksInheritIt() async throws {
    let kept = kept
    let task = try MemoryGroup.withCurrent(groups[0]) {
      let task = Task.immediate {
        try kept.allocate()
        await Task.yield()
        try kept.allocate()
      }
      try kept.allocate()
      return task
    }
    try await task.value
    expectKept([3, 0], of: 3)
  }

  /// The actor that a task runs on does not matter.
  @Test func tasksOnAGlobalActorInheritIt() async throws {
    let kept = kept
    let tasks = MemoryGroup.withCurrent(groups[0]) {
      [
        Task { @MainActor in try kept.allocate() },
        Task { @OtherActor in
          try kept.allocate()
          await Task.yield()
          try kept.allocate()
        },
      ]
    }
    for task in tasks { try await task.value }
    expectKept([3, 0], of: 3)
  }

  /// A stream's closure runs in the task that takes the element, wherever it was made.
  @Test func streamsAreChargedToTheirConsumer() async throws {
    let kept = kept
    let stream = try MemoryGroup.withCurrent(groups[0]) {
      try kept.allocate()
      return AsyncStream {
        await Task.yield()
        return (try? kept.allocate()) != nil
      }
    }
    #expect(await first(of: stream) == true)
    expectKept([1, 0], of: 2)
    #expect(await MemoryGroup.withCurrent(groups[1]) { await first(of: stream) } == true)
    expectKept([1, 1], of: 3)
  }

  private func first(of stream: AsyncStream<Bool>) async -> Bool? {
    for await element in stream { return element }
    return nil
  }

  /// The end of an object of an actor's: the root group, whether it runs in place or as a job.
  @Test func isolatedDeinitsAreNobodys() async throws {
    let (kept, isOver) = (kept, [Flag(), Flag()])
    try await MemoryGroup.withCurrent(groups[0]) {
      // From elsewhere: as a job of the actor's.
      try kept.allocate()
      _ = await Ending(kept, isOver[0])
      // On the actor: in place.
      try await Task { @OtherActor in
        try kept.allocate()
        _ = Ending(kept, isOver[1])
      }.value
    }
    #expect(await eventually { isOver.allSatisfy(\.isSet) })
    expectKept([2, 0], of: 4)
  }

  @OtherActor private final class Ending {
    let kept: Kept
    let isOver: Flag

    init(_ kept: Kept, _ isOver: Flag) {
      self.kept = kept
      self.isOver = isOver
    }

    isolated deinit {
      try? kept.allocate()
      isOver.set()
    }
  }

  // MARK: - Threads

  @Test func threadsBeginInTheRootGroup() throws {
    let (kept, groups) = (kept, groups)
    let failures = Counter()
    MemoryGroup.withCurrent(groups[0]) {
      TestThread {
        do {
          try kept.allocate()
          try MemoryGroup.withCurrent(groups[1]) {
            try kept.allocate()
            try MemoryGroup.withCurrent(groups[0]) { try kept.allocate() }
            try kept.allocate()
          }
          try kept.allocate()
        } catch { failures.add() }
      }.join()
    }
    #expect(failures.value == 0)
    expectKept([1, 2], of: 5)
  }

  private final class Counter: Sendable {
    private let count = Atomic(0)
    func add() { count.add(1, ordering: .relaxed) }
    var value: Int { count.load(ordering: .relaxed) }
  }

  /// Dispatch runs some of the iterations on this thread, which is in the scope, and the others on
  /// threads that are not.
  @Test func concurrentPerformIsInItOnThisThreadOnly() throws {
    let (kept, here, failures) = (kept, threadID(), Counter())
    let onThisThread = Counter()
    MemoryGroup.withCurrent(groups[0]) {
      DispatchQueue.concurrentPerform(iterations: 1000) { _ in
        if threadID() == here { onThisThread.add() }
        do { try kept.allocate() } catch { failures.add() }
      }
    }
    #expect(failures.value == 0)
    expectKept([onThisThread.value, 0], of: 1000)
  }

  /// In place, also for a queue that is another one's target.
  @Test func synchronousBlocksAreInIt() throws {
    let outer = DispatchQueue(label: "outer")
    let inner = DispatchQueue(label: "inner", target: outer)
    try MemoryGroup.withCurrent(groups[0]) {
      try inner.sync { try kept.allocate() }
      try outer.sync(flags: .barrier) {
        try MemoryGroup.withCurrent(groups[1]) { try kept.allocate() }
      }
    }
    expectKept([1, 1], of: 2)
  }

  // MARK: - In turn

  /// The look-up guesses the group that the thread found last: with another one each time the guess
  /// is always wrong, and the charge right.
  @Test func groupsInTurnOnOneThread() throws {
    let rounds = 5000
    for _ in 0..<rounds {
      try MemoryGroup.withCurrent(groups[0]) { try kept.allocate() }
      try MemoryGroup.withCurrent(groups[1]) {
        try kept.allocate()
        try MemoryGroup.withCurrent(groups[0]) { try kept.allocate() }
        try kept.allocate()
      }
      try kept.allocate()
    }
    expectKept([2 * rounds, 2 * rounds], of: 5 * rounds)
  }

  /// The same with the tasks of many groups in turn on each thread.
  @Test func groupsInTurnOfManyTasks() async throws {
    let (kept, groups) = (kept, groups)
    let rounds = isSanitized ? 500 : 2000
    try await withThrowingTaskGroup(of: Void.self) { tasks in
      for index in 0..<9 {
        tasks.addTask {
          try await MemoryGroup.withCurrent(index % 3 == 2 ? .root : groups[index % 3]) {
            for _ in 0..<rounds {
              try kept.allocate()
              await Task.yield()
            }
          }
        }
      }
      try await tasks.waitForAll()
    }
    expectKept([3 * rounds, 3 * rounds], of: 9 * rounds)
  }

  /// Another group at the address of the last one: the guess is the same, and so is the right answer.
  @Test func groupsThatComeAndGo() throws {
    for round in 0..<200 {
      let group = try groups[0].makeChild(named: "brief")
      let before = kept.count
      try MemoryGroup.withCurrent(group) { for _ in 0...round % 3 { try kept.allocate() } }
      #expect(kept.count(in: group) == kept.count - before)
      try group.close()
    }
  }

  // MARK: - Calls from the allocator

  /// An object that waits for a grace period ends on a thread of the allocator's.
  @Test func endsAfterAGracePeriodAreNobodys() throws {
    let cache = try SlabCache<Allocating>(named: "ends-\(groups[0].name)")
    try MemoryGroup.withCurrent(groups[0]) {
      try cache.allocate(Allocating(kept)).freeAfterGracePeriod()
    }
    RCU.barrier()
    expectKept([0, 0], of: 1)
    // One that ends in place is in the scope that it ends in.
    var slot: Slot<Allocating>? = try cache.allocate(Allocating(kept), in: groups[0])
    MemoryGroup.withCurrent(groups[1]) { slot = nil }
    expectNil(slot, true)
    expectKept([0, 1], of: 2)
    try cache.destroy()
  }

  private struct Allocating: ~Copyable, Sendable {
    let kept: Kept
    init(_ kept: Kept) { self.kept = kept }
    deinit { try? kept.allocate() }
  }

  /// A shrinker is called by the thread that allocates, and in the current group.
  @Test func shrinkersAreInTheGroupOfWhoeverAllocates() throws {
    let parent = try MemoryGroup.root.makeChild(named: "parent-\(groups[0].name)", max: 8 * 4096)
    let asked = try parent.makeChild(named: "asked")
    let asking = try parent.makeChild(named: "asking")
    let pages = try SlabCache<[4096 of UInt8]>(named: "pages-\(groups[0].name)")
    let shrinker = Giving(kept, pages)
    let registration = try asked.register(shrinker)
    // A slab with room for what the shrinker will allocate.
    try MemoryGroup.withCurrent(asking) { try kept.allocate() }
    while parent.usage < 8 * 4096 { try shrinker.add(in: asked) }
    let slot = try MemoryGroup.withCurrent(asking) {
      try pages.allocate([4096 of UInt8](repeating: 0))
    }
    #expect(shrinker.calls > 0)
    #expect(kept.count(in: asking) == 1 + shrinker.calls)
    #expect(kept.count(in: asked) == 0)
    withExtendedLifetime(registration) {}
    _ = consume slot
  }

  private final class Giving: Shrinker {
    private let kept: Kept
    private let pages: SlabCache<[4096 of UInt8]>
    private let slots = Mutex(SlabArray<Slot<[4096 of UInt8]>>(in: .root))
    private let scans = Atomic(0)

    init(_ kept: Kept, _ pages: SlabCache<[4096 of UInt8]>) {
      self.kept = kept
      self.pages = pages
    }

    var calls: Int { scans.load(ordering: .relaxed) }

    func add(in group: MemoryGroup) throws(SlabError) {
      var slot: Slot<[4096 of UInt8]>? = try pages.allocate(
        [4096 of UInt8](repeating: 0), in: group)
      slots.withLock { _ = $0.appendIfPossible { slot.take()! } }
    }

    func countObjects() -> Int { slots.withLock { $0.count } }

    func scanObjects(_ count: Int) -> Int? {
      if (try? kept.allocate()) != nil { scans.add(1, ordering: .relaxed) }
      return slots.withLock { slots in
        let freed = min(count, slots.count)
        for _ in 0..<freed { _ = slots.popLast() }
        return freed
      }
    }
  }

  // MARK: - Groups that cannot be charged

  @Test func aClosedGroupInEffectRefuses() throws {
    let kept = kept
    let group = groups[0]
    try MemoryGroup.withCurrent(group) {
      try kept.allocate()
      try group.close()
      #expect(throws: SlabError.groupOffline(group: group)) { try kept.allocate() }
      expectNil(objects.allocateIfPossible { 1 }, true)
      try MemoryGroup.withCurrent(groups[1]) { try kept.allocate() }
    }
    expectKept([1, 1], of: 2)
    // A scope may begin in it as well.
    #expect(throws: SlabError.groupOffline(group: group)) {
      try MemoryGroup.withCurrent(group) { try kept.allocate() }
    }
    try kept.allocate()
    expectKept([1, 1], of: 3)
  }
}
