// SPDX-License-Identifier: Apache-2.0
// Limits, reclaim, shrinkers and events, as users see them.

import Glibc
import Slab
import SlabTestSupport
import Synchronization
import Testing

/// Slots that can be given back, oldest first; one lock, which is never held while it allocates.
private final class Hoard: Shrinker {
  private let slots = Mutex(SlabArray<Slot<[4096 of UInt8]>>(in: .root))
  let asked = Mutex<[Int]>([])
  let stops = Atomic(false)
  /// Called in each scan.
  let whileAsked: @Sendable () -> Void

  init(whileAsked: @escaping @Sendable () -> Void = {}) { self.whileAsked = whileAsked }

  func add(_ slot: consuming Slot<[4096 of UInt8]>) {
    var slot: Slot<[4096 of UInt8]>? = slot
    slots.withLock { slots in
      if !slots.appendIfPossible({ slot.take()! }) { Issue.record("no memory") }
    }
  }

  var count: Int { slots.withLock { $0.count } }

  func countObjects() -> Int { count }

  func scanObjects(_ count: Int) -> Int? {
    asked.withLock { $0.append(count) }
    whileAsked()
    if stops.load(ordering: .relaxed) { return nil }
    return slots.withLock { slots in
      let freed = min(count, slots.count)
      for _ in 0..<freed { slots.remove(at: 0) }
      return freed
    }
  }
}

@Suite(.inTurn) struct LimitTests {
  let allocator: SlabAllocator
  let pages: SlabCache<[4096 of UInt8]>
  let group: MemoryGroup
  static let page = 4096

  init() throws {
    // What a group is charged is compared a moment later.
    var configuration = SlabAllocator.Configuration()
    configuration.idleRoundMilliseconds = 0
    allocator = try SlabAllocator(configuration: configuration)
    pages = try SlabCache(named: "page", of: allocator)
    group = try allocator.rootGroup.makeChild(named: "tenant", max: 64 * Self.page)
  }

  private func makePage(in group: MemoryGroup) throws(SlabError) -> Slot<[4096 of UInt8]> {
    try pages.allocate([4096 of UInt8](repeating: 0), in: group)
  }

  @Test func aCacheOfTheUsersStaysUnderItsLimitByItself() throws {
    let hoard = Hoard()
    let registration = try group.register(hoard)
    for _ in 0..<1000 {
      hoard.add(try makePage(in: group))
      #expect(group.usage <= 64 * Self.page)
    }
    #expect(hoard.count > 8)
    #expect(group.events.max > 0)
    #expect(group.events.oom == 0)
    withExtendedLifetime(registration) {}
  }

  @Test func withoutAnythingToReclaimItIsRefused() throws {
    var slots = SlabArray<Slot<[4096 of UInt8]>>(in: allocator.rootGroup)
    let error = #expect(throws: SlabError.self) {
      while true { try slots.append(try makePage(in: group)) }
    }
    #expect(
      error == .limitReached(group: group, bytes: Self.page, maxBytes: 64 * Self.page))
    #expect(slots.count == 64)
    let events = group.events
    #expect([events.low, events.high, events.max, events.oom] == [0, 0, 1, 1])
    #expect(group.localEvents == group.events)
    #expect(allocator.rootGroup.events.oom == 1)
    #expect(allocator.rootGroup.localEvents.oom == 0)
  }

  @Test func theLimitOfAParentReclaimsFromEverybodyBelow() throws {
    let parent = try allocator.rootGroup.makeChild(named: "parent", max: 80 * Self.page)
    let children = try (0..<3).map { try parent.makeChild(named: "child-\($0)") }
    let hoards = (0..<3).map { _ in Hoard() }
    let registrations = try zip(children, hoards).map { try $0.register($1) }
    try children[2].setLow(24 * Self.page)
    #expect(hoards.map(\.count) == [0, 0, 0])
    for index in 0..<60 { hoards[index % 3].add(try makePage(in: children[index % 3])) }
    // The first one's own are asked first, then the second one's; the third is protected.
    #expect(hoards.map(\.count) == [20, 20, 20])
    for _ in 0..<16 { _ = unsafe try makePage(in: children[0]).leak() }
    #expect(hoards[2].count == 20)
    #expect(hoards[0].count < 20)
    // When nobody else has anything, it gives as well.
    var leaked = 16
    while leaked < 100, let slot = try? makePage(in: children[0]) {
      _ = unsafe slot.leak()
      leaked += 1
    }
    #expect(leaked == 80)
    #expect(hoards.map(\.count) == [0, 0, 0])
    #expect(children[2].events.low > 0)
    #expect(parent.events.low > 0)
    #expect(parent.usage == 80 * Self.page)
    withExtendedLifetime(registrations) {}
  }

  @Test func aboveHighItReclaimsAndNeverRefuses() throws {
    try group.setHigh(16 * Self.page)
    #expect(group.high == 16 * Self.page)
    let hoard = Hoard()
    let registration = try group.register(hoard)
    for _ in 0..<100 { hoard.add(try makePage(in: group)) }
    #expect(group.events.high > 0)
    #expect(group.events.max == 0)
    #expect(group.usage <= 20 * Self.page)
    hoard.stops.store(true, ordering: .relaxed)
    for _ in 0..<30 { hoard.add(try makePage(in: group)) }
    #expect(group.usage > 32 * Self.page)
    withExtendedLifetime(registration) {}
  }

  @Test func aLowerMaxReclaimsThenRefuses() throws {
    let hoard = Hoard()
    var registration: ShrinkerRegistration? = try group.register(hoard)
    for _ in 0..<50 { hoard.add(try makePage(in: group)) }
    try group.setMax(10 * Self.page)
    #expect(group.usage <= 10 * Self.page)
    #expect(group.max == 10 * Self.page)
    #expect(registration != nil)
    registration = nil
    let left = hoard.count
    try group.setMax(0)
    #expect(hoard.count == left)
    #expect(throws: SlabError.self) { _ = try makePage(in: group) }
    try group.setMax(nil)
    #expect(group.max == nil)
    _ = try makePage(in: group)
    for bytes in [-1, Int.min] {
      #expect(throws: SlabError.invalidLimit) { try group.setMax(bytes) }
      #expect(throws: SlabError.invalidLimit) { try group.setHigh(bytes) }
      #expect(throws: SlabError.invalidLimit) { try group.setLow(bytes) }
      #expect(throws: SlabError.invalidLimit) {
        try group.makeChild(named: "negative", max: bytes)
      }
      #expect(throws: SlabError.invalidLimit) {
        try group.makeChild(named: "negative", high: bytes)
      }
    }
    #expect(throws: SlabError.rootGroup) { try allocator.rootGroup.setMax(1) }
    try group.setMax(.max)
    #expect(group.max == nil)
  }

  @Test func reclaimOnRequest() throws {
    let hoard = Hoard()
    let registration = try group.register(hoard)
    for _ in 0..<40 { hoard.add(try makePage(in: group)) }
    let before = group.usage
    let reclaimed = group.reclaim(bytes: 10 * Self.page)
    #expect(reclaimed >= 10 * Self.page)
    #expect(group.usage == before - reclaimed)
    #expect(group.reclaim(bytes: 0) == 0)
    #expect(group.reclaim(bytes: -5) == 0)
    withExtendedLifetime(registration) {}
  }

  @Test func scansComeInBatchesAndWhatIsLeftIsDeferred() throws {
    let hoard = Hoard()
    let registration = try group.register(hoard, seeks: 1, batch: 4)
    for _ in 0..<40 { hoard.add(try makePage(in: group)) }
    group.reclaim(bytes: 1000 * Self.page)
    #expect(hoard.count == 0)
    #expect(hoard.asked.withLock { $0.allSatisfy { $0 <= 4 } })
    #expect(hoard.asked.withLock { $0.reduce(0, +) } >= 40)
    // Stopped at once: the work is not lost, but asked for with the least pressure next time.
    for _ in 0..<40 { hoard.add(try makePage(in: group)) }
    hoard.stops.store(true, ordering: .relaxed)
    group.reclaim(bytes: Self.page)
    #expect(hoard.count == 40)
    hoard.stops.store(false, ordering: .relaxed)
    hoard.asked.withLock { $0 = [] }
    group.reclaim(bytes: Self.page)
    // At first all of the deferred work, then no more than twice what there is.
    #expect(hoard.asked.withLock { $0.reduce(0, +) } <= 80)
    #expect(throws: SlabError.invalidLimit) { _ = try group.register(hoard, batch: 0) }
    #expect(throws: SlabError.invalidLimit) { _ = try group.register(hoard, seeks: -1) }
    withExtendedLifetime(registration) {}
  }

  /// A shrinker that allocates in its group is refused, and does not come to itself again.
  @Test func reclaimIsNotRecursive() throws {
    let counter = Counter()
    let (pages, group) = (pages, group)
    let hoard = Hoard {
      counter.enter()
      if (try? pages.allocate([4096 of UInt8](repeating: 0), in: group)) == nil { counter.refuse() }
      counter.leave()
    }
    let registration = try group.register(hoard)
    for _ in 0..<200 { hoard.add(try makePage(in: group)) }
    #expect(counter.deepest == 1)
    #expect(counter.refused > 0)
    withExtendedLifetime(registration) {}
  }

  private final class Counter: Sendable {
    private let depth = Atomic(0)
    private let most = Atomic(0)
    private let refusals = Atomic(0)

    func enter() {
      most.max(depth.add(1, ordering: .relaxed).newValue, ordering: .relaxed)
    }
    func leave() { depth.subtract(1, ordering: .relaxed) }
    func refuse() { refusals.add(1, ordering: .relaxed) }
    var deepest: Int { most.load(ordering: .relaxed) }
    var refused: Int { refusals.load(ordering: .relaxed) }
  }

  /// A registration ends while others are being asked.
  @Test func registrationsComeAndGoUnderPressure() async throws {
    let (pages, group) = (pages, group)
    await withTaskGroup(of: Void.self) { tasks in
      for _ in 0..<3 {
        tasks.addTask {
          for _ in 0..<40 {
            let hoard = Hoard()
            guard let registration = try? group.register(hoard) else { continue }
            for _ in 0..<30 {
              if let slot = try? pages.allocate([4096 of UInt8](repeating: 0), in: group) {
                hoard.add(slot)
              }
            }
            withExtendedLifetime(registration) {}
          }
        }
      }
    }
    #expect(group.usage <= 64 * Self.page)
  }

  /// Everything since the sequence was made is told, once, and not change by change; also when the group
  /// has ended before anybody looked.
  @Test func updatesOfEvents() async throws {
    let pages = pages
    for (index, group) in [group, allocator.rootGroup].enumerated() {
      let tenant = try group.makeChild(named: "updates-\(index)", max: Self.page)
      let updates = group.eventUpdates
      let ownUpdates = tenant.eventUpdates
      let before = group.events
      let slot = try makePage(in: tenant)
      for _ in 0..<200 {
        #expect(throws: SlabError.self) { _ = try makePage(in: tenant) }
      }
      let after = group.events
      #expect(after.oom == before.oom + 200 && after.max == before.max + 200)
      var iterator = updates.makeAsyncIterator()
      #expect(await iterator.next(isolation: nil) == after)
      // The next element comes with the next event, and not before. A refusal is two of them, `max` and then
      // `oom`, which may be told together or one by one.
      let next = Task {
        do { _ = try pages.allocate([4096 of UInt8](repeating: 0), in: tenant) } catch {}
      }
      var told = await iterator.next(isolation: nil)
      #expect(told?.max == after.max + 1)
      while told?.oom == after.oom { told = await iterator.next(isolation: nil) }
      #expect(told?.max == after.max + 1 && told?.oom == after.oom + 1)
      await next.value
      try tenant.close()
      _ = consume slot
      try await tenant.waitUntilDrained()
      var ownTold: [MemoryGroup.Events] = []
      for await events in ownUpdates { ownTold.append(events) }
      #expect(ownTold.count == 1 && ownTold.first?.oom == 201)
    }
  }

  /// A task that is told and then causes an event in the group that is watched, is told of it 10 ms later at the
  /// earliest.
  @Test func aWatcherDoesNotFeedItself() async throws {
    let tenant = try group.makeChild(named: "fed", max: Self.page)
    let slot = try makePage(in: tenant)
    var iterator = tenant.eventUpdates.makeAsyncIterator()
    #expect(throws: SlabError.self) { _ = try makePage(in: tenant) }
    let start = ContinuousClock.now
    for count in 1...6 {
      #expect(await iterator.next(isolation: nil)?.oom == count)
      #expect(throws: SlabError.self) { _ = try makePage(in: tenant) }
    }
    #expect(ContinuousClock.now - start >= .milliseconds(50))
    try tenant.close()
    _ = consume slot
  }

  @Test func eventUpdatesEndWithTheGroup() async throws {
    let group = try allocator.rootGroup.makeChild(named: "brief")
    let watcher = Task { for await _ in group.eventUpdates {} }
    let slot = try makePage(in: group)
    try group.close()
    _ = consume slot
    await watcher.value
    #expect(group.isDrained)
  }

  @Test func eventUpdatesEndWithTheirTask() async throws {
    let group = group
    let task = Task { for await _ in group.eventUpdates {} }
    task.cancel()
    await task.value
  }

  /// Nor do they look at the group for a task that was cancelled before it began: the allocator may have ended by then.
  @Test func aCancelledTaskIsToldNothing() async throws {
    let tenant = try group.makeChild(named: "cancelled", max: Self.page)
    let updates = tenant.eventUpdates
    let slot = try makePage(in: tenant)
    #expect(throws: SlabError.self) { _ = try makePage(in: tenant) }
    #expect(tenant.events.oom == 1)
    let told = await Task {
      unsafe withUnsafeCurrentTask { unsafe $0?.cancel() }
      var iterator = updates.makeAsyncIterator()
      return await iterator.next(isolation: nil)
    }.value
    #expect(told == nil)
    _ = consume slot
  }

  /// There is no thread that could tell: but nobody waits for one.
  @Test(.enabled(if: !isSanitized)) func childrenOfAForkEndTheirAllocator() async {
    await #expect(processExitsWith: .success) {
      prepareForForks()
      let allocator = try SlabAllocator()
      let group = try allocator.rootGroup.makeChild(named: "group")
      try group.close()
      try await group.waitUntilDrained()
      let updates = allocator.rootGroup.eventUpdates
      let process = forkProcess()
      if process == 0 {
        // SAFETY: nobody uses anything of it any more.
        unsafe allocator.unmapEverything()
        _exit(42)
      }
      #expect(exitCode(ofChild: process) == 42)
      withExtendedLifetime((group, updates)) {}
    }
  }

  @Test func drainedWaitsForTheLastObject() async throws {
    let group = group
    let slot = try makePage(in: group)
    let child = try group.makeChild(named: "child")
    let below = try makePage(in: child)
    #expect(!group.isDrained)
    let waiting = Task { try await group.waitUntilDrained() }
    await Task.yield()
    try group.close()
    #expect(!child.isOnline)
    allocator.waitUntilIdle()
    #expect(!group.isDrained)
    _ = consume slot
    _ = consume below
    try await waiting.value
    #expect(group.isDrained && group.usage == 0)
    try await child.waitUntilDrained()
  }

  @Test func drainedEndsWithItsTask() async throws {
    let group = group
    let slot = try makePage(in: group)
    let task = Task { try await group.waitUntilDrained() }
    task.cancel()
    await #expect(throws: CancellationError.self) { try await task.value }
    #expect(!group.isDrained)
    _ = consume slot
  }
}
