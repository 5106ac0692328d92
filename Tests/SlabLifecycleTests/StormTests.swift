// SPDX-License-Identifier: Apache-2.0
// Threads that do everything at random at the same time, with every object's pattern checked when
// it is freed, and nothing left at the end.

import Glibc
import SlabPlatform
import SlabTestSupport
import Testing

@testable import SlabCore

@Suite(.inTurn) struct StormTests {
  @Test(arguments: [1, 3], [LifecycleDesign.current, .linux410])
  func everythingAtOnce(workerLimit: Int, design: LifecycleDesign) throws {
    try withSeed { seed in
      var configuration = AllocatorConfiguration()
      configuration.design = design
      configuration.workerLimit = workerLimit
      configuration.freeBytesToKeep = 1 << 20
      try withAllocator(configuration: configuration) { allocator in
        let sizes = [8, 24, 64, 200, 512, 1000, 3000, 9000]
        let roots = try sizes.map { try allocator.makeCache("cache-\($0)", size: $0) }
        let storm = Storm(allocator: allocator, roots: roots)
        onThreads(4) { thread in
          var player = StormPlayer(storm, seed: seed &* 31 &+ UInt64(thread), name: thread)
          for _ in 0..<(isDebugBuild ? 6000 : 40000) { player.step() }
          player.leave()
        }
        // What the mailbox still has is nobody's any more.
        for object in storm.mailbox.with({ $0 }) { #expect(object.free(to: allocator)) }
        allocator.waitUntilIdle()
        for root in roots {
          #expect(try allocator.liveObjects(of: root) == 0)
          try allocator.destroy(root)
        }
      }
    }
  }

  /// Threads come, use the CPU layer on every CPU, and go with objects of theirs in sheaves.
  @Test func threadsExitAndMove() throws {
    try withAllocator { allocator in
      let roots = try [32, 256].map { try allocator.makeCache("cache-\($0)", size: $0) }
      let group = try allocator.makeGroup("group")
      let storm = Storm(allocator: allocator, roots: roots)
      for round in 0..<40 {
        onThreads(3) { thread in
          func play(_ count: Int) {
            for step in 0..<count {
              let tag = UInt64(round * 100_000 + thread * 10_000 + step)
              guard
                let object = try? TestObject(
                  from: roots[step % 2], in: group, of: allocator, tag: tag)
              else {
                Issue.record("no object")
                return
              }
              let other = storm.mailbox.with { mailbox -> TestObject? in
                mailbox.append(object)
                return mailbox.count > 60 ? mailbox.removeFirst() : nil
              }
              if let other, !other.free(to: allocator) { Issue.record("overwritten") }
            }
          }
          // On one CPU, then wherever the kernel puts it, which it does while a thread yields.
          onOneCPU { play(60) }
          sched_yield()
          play(60)
        }
      }
      for object in storm.mailbox.with({ $0 }) { #expect(object.free(to: allocator)) }
      for root in roots { #expect(try allocator.liveObjects(of: root) == 0) }
      expectWhole(allocator)
      allocator.release(group)
      for root in roots { try allocator.destroy(root) }
    }
  }
}

/// What the threads of a storm share.
final class Storm: Sendable {
  let allocator: Allocator
  let roots: [Pointer<RootCache>]
  /// Objects that change their thread.
  let mailbox = Shared<[TestObject]>([])

  init(allocator: Allocator, roots: [Pointer<RootCache>]) {
    self.allocator = allocator
    self.roots = roots
  }
}

/// One thread of a storm.
struct StormPlayer {
  private let storm: Storm
  private let name: Int
  private var random: SeededGenerator
  private var tag: UInt64 = 0
  private var groups: [Pointer<Group>] = []
  private var ownRoots: [Pointer<RootCache>] = []
  private var objects: [TestObject] = []

  private var allocator: Allocator { storm.allocator }

  init(_ storm: Storm, seed: UInt64, name: Int) {
    self.storm = storm
    self.name = name
    random = SeededGenerator(seed: seed)
  }

  mutating func step() {
    switch Int.random(in: 0..<1000, using: &random) {
    case 0..<480: allocate()
    case 480..<800: free()
    case 800..<860: exchange()
    case 860..<900: makeGroup()
    case 900..<930: close()
    case 930..<955: release()
    case 955..<965: makeOrDestroyRoot()
    case 965..<975: shrink()
    case 975..<990: setLimit()
    case 990..<995: setSheafCapacity()
    case 995: allocator.trim()
    case 996: _ = try? allocator.slabinfo(pieceBytes: 512)
    default: _ = allocator.statistics
    }
  }

  private mutating func allocate() {
    tag += 1
    let root = (storm.roots + ownRoots).randomElement(using: &random)!
    let group =
      Int.random(in: 0..<8, using: &random) == 0 ? nil : groups.randomElement(using: &random)
    do throws(AllocatorError) {
      objects.append(
        try TestObject(from: root, in: group, of: allocator, tag: tag << 3 | UInt64(name)))
    } catch {
      switch error {
      case .groupOffline, .groupLimit: break
      default: Issue.record("\(error)")
      }
    }
    while objects.count > 300 { free() }
  }

  private mutating func free() {
    guard let index = objects.indices.randomElement(using: &random) else { return }
    objects.swapAt(index, objects.count - 1)
    if !objects.removeLast().free(to: allocator) { Issue.record("an object was overwritten") }
  }

  /// Gives objects away, and takes those of others.
  private mutating func exchange() {
    let count = min(objects.count, Int.random(in: 0..<20, using: &random))
    let given = Array(objects.suffix(count))
    objects.removeLast(count)
    let taken = storm.mailbox.with { mailbox -> [TestObject] in
      let taken = Array(mailbox.prefix(20))
      mailbox.removeFirst(taken.count)
      mailbox += given
      return taken
    }
    objects += taken
  }

  private mutating func makeGroup() {
    guard groups.count < 40 else { return release() }
    let parent = Bool.random(using: &random) ? nil : groups.randomElement(using: &random)
    let max = Bool.random(using: &random) ? Group.unlimited : 64 << 10
    do throws(AllocatorError) {
      let endings = Bool.random(using: &random) ? EndingPolicy.keep : .reparent
      let memory = Bool.random(using: &random) ? MemoryPolicy.isolated : .shared
      groups.append(
        try allocator.makeGroup(
          "storm", below: parent, max: max, endings: endings, memory: memory))
    } catch {
      if error != .groupOffline, error != .groupTooDeep { Issue.record("\(error)") }
    }
  }

  private mutating func close() {
    guard let group = groups.randomElement(using: &random) else { return }
    do throws(AllocatorError) {
      try allocator.close(group)
    } catch {
      if error != .groupOffline { Issue.record("\(error)") }
    }
  }

  /// Gives the handle of a group back whose child groups, which are all this thread's, have ended.
  private mutating func release() {
    guard let index = groups.indices.randomElement(using: &random) else { return }
    let group = groups[index]
    guard !groups.contains(where: { $0.pointee.parent == group && $0.isOnline }) else { return }
    groups.remove(at: index)
    allocator.release(group)
  }

  private mutating func makeOrDestroyRoot() {
    if ownRoots.count < 4 {
      tag += 1
      if let root = try? allocator.makeCache(
        "own-\(name)-\(tag)", size: Int.random(in: 1...2000, using: &random))
      {
        ownRoots.append(root)
      }
      return
    }
    let root = ownRoots.removeFirst()
    do throws(AllocatorError) {
      try allocator.destroy(root)
    } catch {
      // Objects of it are live, here or with another thread.
      if case .cacheBusy = error { ownRoots.append(root) } else { Issue.record("\(error)") }
    }
  }

  private mutating func shrink() {
    if Bool.random(using: &random), let group = groups.randomElement(using: &random) {
      group.giveBackIdle()
    } else {
      storm.roots.randomElement(using: &random)!.cache.shrink()
    }
  }

  private mutating func setLimit() {
    guard let group = groups.randomElement(using: &random) else { return }
    let limits = [0, 4096, 32 << 10, 1 << 20, Group.unlimited]
    try? allocator.setMax(limits.randomElement(using: &random)!, of: group)
  }

  private mutating func setSheafCapacity() {
    let root = storm.roots.randomElement(using: &random)!
    try? allocator.setSheafCapacity([0, 1, 7, 31, 511].randomElement(using: &random)!, of: root)
    try? allocator.setMinPartial([0, 1, 5].randomElement(using: &random)!, of: root)
  }

  /// Frees half of what it has, gives the rest away, and ends its groups and caches.
  mutating func leave() {
    while objects.count > 100 { free() }
    let rest = objects
    objects = []
    // Its own roots must be free of objects, which may be with anybody.
    var mine = rest.filter { object in
      let root = allocator.cache(of: object.address)?.pointee.root
      return ownRoots.contains { $0 == root }
    }
    let others = rest.filter { object in !mine.contains { $0.address == object.address } }
    storm.mailbox.with { $0 += others }
    while !groups.isEmpty { release() }
    let deadline = SystemCall.monotonicNanoseconds + 20_000_000_000
    while let root = ownRoots.popLast() {
      for object in mine where !object.free(to: allocator) { Issue.record("overwritten") }
      mine = []
      while (try? allocator.destroy(root)) == nil {
        let found = storm.mailbox.with { mailbox -> [TestObject] in
          let found = mailbox.filter {
            allocator.cache(of: $0.address)?.pointee.root == root
          }
          mailbox.removeAll { object in found.contains { $0.address == object.address } }
          return found
        }
        for object in found where !object.free(to: allocator) { Issue.record("overwritten") }
        if SystemCall.monotonicNanoseconds > deadline {
          Issue.record("objects of a cache never come back")
          return
        }
        sched_yield()
      }
    }
  }
}
