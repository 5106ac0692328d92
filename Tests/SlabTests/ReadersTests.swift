// SPDX-License-Identifier: Apache-2.0
// Read-side sections and grace periods in their public form. How they work is tested in
// SlabLifecycleTests and below; here: whatever a body does, its section ends, and what waits for
// sections does wait.

import Glibc
import SlabCore
import SlabTestSupport
import Synchronization
import Testing

@testable import Slab

@Suite(.inTurn) struct ReadersTests {
  let allocator: SlabAllocator
  struct Failure: Error {}

  init() throws { allocator = try SlabAllocator() }

  /// A section that stays open would be waited for without end.
  private func expectNoOpenSection(
    in allocator: SlabAllocator, at location: SourceLocation = #_sourceLocation
  ) async {
    let isOver = Flag()
    _ = TestThread {
      allocator.synchronize()
      isOver.set()
    }
    #expect(await eventually { isOver.isSet }, sourceLocation: location)
  }

  /// A section is known by the place where its user began it, and waiting for it in itself is found.
  @Test func trackedSectionsNameTheirUsersLine() async throws {
    let result = await #expect(
      processExitsWith: .signal(SIGABRT), observing: [\.standardErrorContent]
    ) {
      var configuration = SlabAllocator.Configuration()
      configuration.tracksReaders = true
      let allocator = try SlabAllocator(configuration: configuration)
      func wait() { allocator.synchronize() }
      allocator.read(file: "Here.swift", line: 7) { wait() }
    }
    let text = String(decoding: try #require(result).standardErrorContent, as: UTF8.self)
    #expect(text.hasPrefix("slab: ") && text.contains("Here.swift:7"))
  }

  @Test func sectionsEndHoweverTheirBodyDoes() async throws {
    #expect(allocator.read { 1 } == 1)
    await expectNoOpenSection(in: allocator)
    #expect(throws: Failure.self) {
      try allocator.read { () throws(Failure) -> Void in throw Failure() }
    }
    await expectNoOpenSection(in: allocator)
    let nested = allocator.read { allocator.read { 2 } }
    #expect(nested == 2)
    await expectNoOpenSection(in: allocator)
  }

  @Test func sectionsThatSuspendEndHoweverTheirBodyDoes() async throws {
    let three = await allocator.read {
      for _ in 0..<100 { await Task.yield() }
      return 3
    }
    #expect(three == 3)
    await expectNoOpenSection(in: allocator)
    await #expect(throws: Failure.self) {
      try await allocator.read { () async throws(Failure) -> Void in
        await Task.yield()
        throw Failure()
      }
    }
    await expectNoOpenSection(in: allocator)
    let isOpen = Gate()
    let task = Task { [allocator] in
      try await allocator.read {
        await isOpen.open()
        while true {
          try Task.checkCancellation()
          await Task.yield()
        }
      }
    }
    await isOpen.wait()
    task.cancel()
    await #expect(throws: CancellationError.self) { try await task.value }
    await expectNoOpenSection(in: allocator)
  }

  /// The same of the shared allocator, whose sections other tests have as well: but none for ever.
  @Test func sectionsOfTheSharedAllocatorEnd() async throws {
    #expect(RCU.read { 1 } == 1)
    #expect(throws: Failure.self) {
      try RCU.read { () throws(Failure) -> Void in throw Failure() }
    }
    let two = await RCU.read {
      await Task.yield()
      return 2
    }
    #expect(two == 2)
    await #expect(throws: Failure.self) {
      try await RCU.read { () async throws(Failure) -> Void in
        await Task.yield()
        throw Failure()
      }
    }
    await expectNoOpenSection(in: .shared)
  }

  /// A body that owns what it returns.
  @Test func sectionsReturnWhatCannotBeCopied() throws {
    let ends = Tracked.Ends()
    let cache = try SlabCache<Tracked>(named: "tracked", of: allocator)
    let group = allocator.rootGroup
    do {
      let slot = try allocator.read { try cache.allocate(Tracked(ends, 4), in: group) }
      #expect(slot.value.number == 4)
      #expect(ends.value == 0)
    }
    #expect(ends.value == 1)
  }

  @Test func synchronizeWaitsForASection() async throws {
    try await expectToWait { allocator, done in
      _ = TestThread {
        allocator.synchronize()
        done()
      }
    }
  }

  @Test func synchronizeWithoutBlockingWaitsForASection() async throws {
    try await expectToWait { allocator, done in
      Task {
        await allocator.synchronize()
        done()
      }
    }
  }

  /// Starts what waits for a grace period while a section is open: it is not over before the section.
  private func expectToWait(
    _ start: (SlabAllocator, @escaping @Sendable () -> Void) -> Void
  ) async throws {
    let section = await OpenSection(of: allocator)
    let (isOver, wasInTime) = (Flag(), Flag())
    let before = allocator.core.gracePeriodCookie()
    start(allocator) {
      if section.isEnding.isSet { wasInTime.set() }
      isOver.set()
    }
    // The next cookie is another one as soon as the grace period has begun.
    #expect(await eventually { allocator.core.gracePeriodCookie() != before || isOver.isSet })
    for _ in 0..<1000 { await Task.yield() }
    #expect(!isOver.isSet)
    #expect(!allocator.core.isOver(before))
    await section.end()
    #expect(await eventually { isOver.isSet })
    #expect(wasInTime.isSet)
    #expect(allocator.core.isOver(before))
  }

  /// A grace period waits for no section that begins after it: readers that never pause do not hold
  /// it up.
  @Test func synchronizeDoesNotWaitForLaterSections() async throws {
    let isOver = Flag()
    let allocator = allocator
    let readers = (0..<2).map { _ in
      TestThread { while !isOver.isSet { allocator.read {} } }
    }
    for _ in 0..<100 { await allocator.synchronize() }
    isOver.set()
    for reader in readers { reader.join() }
  }

  @Test func theSharedOneWaitsAsWell() async throws {
    let section = await OpenSection(of: .shared)
    let (blocking, suspending) = (Flag(), Flag())
    let early = Flag()
    _ = TestThread {
      RCU.synchronize()
      if !section.isEnding.isSet { early.set() }
      blocking.set()
    }
    Task {
      await RCU.synchronize()
      if !section.isEnding.isSet { early.set() }
      suspending.set()
    }
    for _ in 0..<1000 { await Task.yield() }
    #expect(!blocking.isSet && !suspending.isSet)
    await section.end()
    #expect(await eventually { blocking.isSet && suspending.isSet })
    #expect(!early.isSet)
  }
}

/// A section in a task of its own, open until it is told to end.
struct OpenSection: Sendable {
  /// Set before it ends.
  let isEnding = Flag()
  private let mayEnd = Gate()
  private let task: Task<Void, Never>

  init(of allocator: SlabAllocator) async {
    let isOpen = Gate()
    task = Task { [isEnding, mayEnd] in
      await allocator.read {
        await isOpen.open()
        await mayEnd.wait()
        isEnding.set()
      }
    }
    await isOpen.wait()
  }

  func end() async {
    await mayEnd.open()
    await task.value
  }
}
