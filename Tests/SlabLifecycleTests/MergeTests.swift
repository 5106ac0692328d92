// Merging: which caches share a root, whose name it has, and who ends it.

import Glibc
import SlabTestSupport
import Synchronization
import Testing

@testable import SlabCore
@testable import SlabPlatform

private func withMergingAllocator(
  sourceLocation: SourceLocation = #_sourceLocation, _ body: (Allocator) throws -> Void
) throws {
  var configuration = AllocatorConfiguration()
  configuration.mergesCaches = true
  try withAllocator(configuration: configuration, sourceLocation: sourceLocation) { allocator in
    try body(allocator)
    let figures = allocator.statistics
    #expect(figures.aliasesCreated == figures.aliasesDropped, sourceLocation: sourceLocation)
    #expect(allocator.aliasObjects == 0, sourceLocation: sourceLocation)
  }
}

/// What a cache looks like to those who compare.
struct Wanted: Sendable, CustomTestStringConvertible {
  var size: Int
  var alignment = 0
  var options: CacheOptions = []
  var hasConstructor = false

  var testDescription: String {
    "size \(size), alignment \(alignment)\(options.isEmpty ? "" : ", cache-aligned")"
      + (hasConstructor ? ", constructor" : "")
  }
}

private func doNothing(_ object: UnsafeMutableRawPointer) {}

extension Allocator {
  fileprivate func makeReference(_ name: String, size: Int) throws(AllocatorError)
    -> CacheReference
  {
    try makeReference(name, Wanted(size: size))
  }

  fileprivate func makeReference(
    _ name: String, _ wanted: Wanted
  ) throws(AllocatorError) -> CacheReference {
    let bytes = Array(name.utf8)
    return try unsafe makeReference(
      named: bytes.span, objectSize: wanted.size, alignment: wanted.alignment,
      options: wanted.options, constructor: wanted.hasConstructor ? doNothing : nil)
  }

  /// Names in slabinfo of the caches of users, newest first.
  fileprivate func namesInSlabinfo() throws -> [String] {
    return try slabinfo().split(separator: "\n").dropFirst(2).map {
      String($0.split(separator: " ")[0])
    }.filter { !$0.hasPrefix("core:") }
  }

  /// Objects that are taken from the general cache of the aliases' size and not free.
  fileprivate var aliasObjects: Int {
    (try? liveObjects(of: state.pointee.general[2]!)) ?? -1
  }
}

@Suite(.inTurn) struct MergeTests {
  @Test(arguments: [
    // The first cache, the second one, and whether they share a root.
    (Wanted(size: 64), Wanted(size: 64), true),
    (Wanted(size: 64), Wanted(size: 57), true),
    (Wanted(size: 57), Wanted(size: 64), true),
    (Wanted(size: 64), Wanted(size: 56), false),
    (Wanted(size: 56), Wanted(size: 64), false),
    (Wanted(size: 64), Wanted(size: 65), false),
    (Wanted(size: 1), Wanted(size: 8), true),
    (Wanted(size: 64), Wanted(size: 64, alignment: 64), true),
    (Wanted(size: 64, alignment: 64), Wanted(size: 64), true),
    (Wanted(size: 72), Wanted(size: 72, alignment: 16), false),
    (Wanted(size: 80), Wanted(size: 72, alignment: 16), true),
    (Wanted(size: 72, alignment: 16), Wanted(size: 80), true),
    (Wanted(size: 72, alignment: 16), Wanted(size: 72), false),
    (Wanted(size: 100), Wanted(size: 100, options: .hardwareCacheAligned), false),
    (Wanted(size: 128), Wanted(size: 100, options: .hardwareCacheAligned), true),
    (Wanted(size: 100, options: .hardwareCacheAligned), Wanted(size: 121), true),
    (Wanted(size: 4096), Wanted(size: 4096, alignment: 4096), true),
    (Wanted(size: 64, hasConstructor: true), Wanted(size: 64), false),
    (Wanted(size: 64), Wanted(size: 64, hasConstructor: true), false),
    // Caches of the core's own have these sizes.
    (Wanted(size: 1000), Wanted(size: 192), false),
  ])
  func whichAreAlike(first: Wanted, second: Wanted, merged: Bool) throws {
    try withMergingAllocator { allocator in
      let one = try allocator.makeReference("one", first)
      let two = try allocator.makeReference("two", second)
      #expect((one.root == two.root) == merged)
      let isInternal = two.root.pointee.isInternal
      #expect(!isInternal)
      let objectSize = two.root.pointee.objectSize
      #expect(objectSize == (merged ? max(first.size, second.size) : second.size))
      let group = try allocator.makeGroup("group")
      for wanted in [(one, first), (two, second)] {
        let objects = try (0..<50).map { _ in
          try allocator.allocate(from: wanted.0.root, in: group)
        }
        for object in objects {
          #expect(object % UInt(max(wanted.1.alignment, 8)) == 0)
          allocator.free(object, to: wanted.0.root)
        }
      }
      expectWhole(allocator)
      #expect(allocator.statistics.aliasesCreated == (merged ? 1 : 0))
      allocator.release(group)
      try allocator.destroy(one)
      try allocator.destroy(two)
    }
  }

  @Test func offByDefault() throws {
    #expect(!AllocatorConfiguration().mergesCaches)
    try withAllocator { allocator in
      let one = try allocator.makeReference("one", size: 64)
      let two = try allocator.makeReference("two", size: 64)
      #expect(one.root != two.root)
      #expect(one.alias == nil && two.alias == nil)
      #expect(try allocator.namesInSlabinfo() == ["two", "one"])
      try allocator.destroy(one)
      try allocator.destroy(two)
    }
  }

  @Test func theOldestIsTaken() throws {
    try withMergingAllocator { allocator in
      // Made without looking for one that is alike.
      let roots = try ["first", "second", "third"].map { try allocator.makeCache($0, size: 64) }
      let user = try allocator.makeReference("user", size: 60)
      #expect(user.root == roots[0])
      try allocator.destroy(roots[0])
      try allocator.destroy(user)
      let next = try allocator.makeReference("next", size: 64)
      #expect(next.root == roots[1])
      try allocator.destroy(next)
      for root in roots[1...] { try allocator.destroy(root) }
    }
  }

  @Test func names() throws {
    try withMergingAllocator { allocator in
      var users = try ["a", "b", "c", "d"].map { try allocator.makeReference($0, size: 64) }
      let root = users[0].root
      #expect(users.allSatisfy { $0.root == root })
      #expect(Set(users.map { $0.alias?.address ?? 0 }).count == 4)
      let other = try allocator.makeReference("other", size: 200)
      let group = try allocator.makeGroup("group")
      let object = try allocator.allocate(from: root, in: group)
      func check(_ expected: [String]) throws {
        #expect(users.map { $0.name.text } == expected)
        #expect(try allocator.namesInSlabinfo() == ["other", expected[0]])
        #expect(
          try allocator.slabinfo(of: group).split(separator: "\n")[2].hasPrefix(expected[0] + " "))
        for name in expected {
          allocator.expectError(.nameInUse) { () throws(AllocatorError) in
            try allocator.makeReference(name, size: 64)
          }
          allocator.expectError(.nameInUse) { () throws(AllocatorError) in
            try allocator.makeReference(name, size: 3000)
          }
        }
        expectWhole(allocator)
      }
      try check(["a", "b", "c", "d"])
      // Neither the oldest nor the newest: the line stays.
      try allocator.destroy(users.remove(at: 2))
      try check(["a", "b", "d"])
      // The oldest: the line goes on under the next one's name, and the first name is free at once.
      try allocator.destroy(users.removeFirst())
      try check(["b", "d"])
      users.append(try allocator.makeReference("a", size: 64))
      try check(["b", "d", "a"])
      try allocator.destroy(users.removeFirst())
      try check(["d", "a"])
      try allocator.destroy(users.removeLast())
      try check(["d"])
      allocator.free(object)
      try allocator.destroy(users.removeLast())
      #expect(try allocator.namesInSlabinfo() == ["other"])
      // A child of a root that ends is still under its last name.
      users.append(try allocator.makeReference("d", size: 64))
      try allocator.destroy(users.removeLast())
      try allocator.destroy(other)
      allocator.release(group)
    }
  }

  @Test func onlyTheLastUserIsRefused() throws {
    try withMergingAllocator { allocator in
      let one = try allocator.makeReference("one", size: 64)
      let two = try allocator.makeReference("two", size: 64)
      let group = try allocator.makeGroup("group")
      let objects = try (0..<7).map { index in
        try allocator.allocate(from: two.root, in: index < 3 ? group : nil)
      }
      let pending = allocator.statistics.pendingEndings
      // They are another one's: no reason to refuse, nothing to end, nothing to wait for.
      try allocator.destroy(one)
      #expect(allocator.statistics.pendingEndings == pending)
      #expect(two.root.cache.state == .active)
      let before = try allocator.slabinfo()
      for live in stride(from: objects.count, to: 0, by: -1) {
        allocator.expectError(.cacheBusy(objects: live)) { () throws(AllocatorError) in
          try allocator.destroy(two)
        }
        if live == objects.count {
          // Nothing has changed: its name, its line, and that it can be joined.
          #expect(try allocator.slabinfo() == before)
          let three = try allocator.makeReference("three", size: 64)
          #expect(three.root == two.root)
          try allocator.destroy(three)
        }
        allocator.free(objects[live - 1])
      }
      try allocator.destroy(two)
      allocator.expectError(.cacheDestroyed) { () throws(AllocatorError) in
        try allocator.liveObjects(of: two.root)
      }
      allocator.release(group)
    }
  }

  /// While the last user's objects are counted nobody joins: so they are counted once, whatever others do,
  /// and those who come get a root of their own.
  @Test(arguments: [false, true]) func nobodyJoinsWhileObjectsAreCounted(isBusy: Bool) throws {
    try withMergingAllocator { allocator in
      let last = try allocator.makeReference("last", size: 64)
      let object = isBusy ? try allocator.allocate(from: last.root, in: nil) : nil
      let hasLeft = try allocator.leaveUnlessLast(last)
      #expect(!hasLeft)
      let other = try allocator.makeReference("other", size: 64)
      #expect(other.root != last.root && other.alias == nil)
      // An alias elsewhere, whose making used to begin the end anew.
      let third = try allocator.makeReference("third", size: 64)
      #expect(third.root == other.root && third.alias != nil)
      allocator.expectError(.nameInUse) { () throws(AllocatorError) in
        try allocator.makeReference("last", size: 64)
      }
      let live = try allocator.liveObjects(of: last.root)
      #expect(live == (isBusy ? 1 : 0))
      if isBusy {
        allocator.expectError(.cacheBusy(objects: 1)) { () throws(AllocatorError) in
          try allocator.lockToEnd(last, live: live)
        }
        // The oldest can be joined again.
        let next = try allocator.makeReference("next", size: 64)
        #expect(next.root == last.root)
        try allocator.destroy(next)
      } else {
        try allocator.lockToEnd(last, live: live)
        allocator.state.pointee.registry.lock.unlock()
        #expect(last.root.pointee.usersEnding == 0)
      }
      if let object { allocator.free(object) }
      try allocator.destroy(last)
      try allocator.destroy(third)
      try allocator.destroy(other)
    }
  }

  /// A cache that is ending is on the lists until its workers are through.
  @Test func neverIntoOneThatIsEnding() throws {
    try withMergingAllocator { allocator in
      let one = try allocator.makeReference("one", size: 64)
      let two = try allocator.makeReference("two", size: 64)
      try withWorkersHeldOff(of: allocator) {
        try allocator.destroy(one)
        try allocator.destroy(two)
        let next = try allocator.makeReference("two", size: 64)
        #expect(next.root != two.root)
        #expect(next.alias == nil)
        let joined = try allocator.makeReference("one", size: 64)
        #expect(joined.root == next.root)
        expectNames(["two"], try allocator.namesInSlabinfo())
        try allocator.destroy(next)
        try allocator.destroy(joined)
      }
    }
  }

  private func expectNames(_ expected: [String], _ found: [String]) {
    #expect(found == expected)
  }

  @Test func zeroedForTheLargestUser() throws {
    try withMergingAllocator { allocator in
      let small = try allocator.makeReference("small", size: 57)
      let large = try allocator.makeReference("large", size: 64)
      let dirty = try (0..<20).map { _ in try allocator.allocate(from: large.root, in: nil) }
      for object in dirty {
        fillObject(object, size: 64, tag: 7)
        allocator.free(object)
      }
      for _ in 0..<20 {
        let object = try allocator.allocateZeroed(from: large.root, in: nil)
        #expect((0..<8).allSatisfy { Words(at: object)[$0] == 0 })
        fillObject(object, size: 64, tag: 9)
        allocator.free(object)
      }
      try allocator.destroy(large)
      try allocator.destroy(small)
    }
  }

  @Test func leavingTwice() async {
    await #expect(processExitsWith: .signal(SIGABRT)) {
      try withMergingAllocator { allocator in
        let one = try allocator.makeReference("one", size: 64)
        _ = try allocator.makeReference("two", size: 64)
        try allocator.destroy(one)
        try allocator.destroy(one)
      }
    }
    await #expect(processExitsWith: .signal(SIGABRT)) {
      try withMergingAllocator { allocator in
        _ = try allocator.makeReference("one", size: 64)
        let two = try allocator.makeReference("two", size: 64)
        try allocator.destroy(two)
        try allocator.destroy(two)
      }
    }
  }

  /// Threads make and destroy caches that are alike: whoever has a reference has a root that works,
  /// and that ends with its last user.
  @Test func makingAgainstDestroying() throws {
    let rounds = isDebugBuild ? 300 : 2000
    try withMergingAllocator { allocator in
      let joined = Atomic<Int>(0)
      let busy = Atomic<Int>(0)
      onThreads(4) { thread in
        for round in 0..<rounds {
          do throws(AllocatorError) {
            let user = try allocator.makeReference("user-\(thread)", size: 57 + round % 8)
            if user.alias != nil { joined.add(1, ordering: .relaxed) }
            #expect(user.name.text == "user-\(thread)")
            let object = try allocator.allocate(from: user.root, in: nil)
            fillObject(object, size: 57, tag: UInt64(thread))
            if round % 3 == 0 {
              // Refused if it is the last; what it says are objects that live.
              do throws(AllocatorError) { try allocator.destroy(user) } catch {
                guard case .cacheBusy(let objects) = error, objects >= 1 else {
                  Issue.record("\(error)")
                  return
                }
                busy.add(1, ordering: .relaxed)
                #expect(isFilled(object, size: 57, tag: UInt64(thread)))
                allocator.free(object, to: user.root)
                try endAmongOthers(user, of: allocator)
                continue
              }
              // It was not: the object is counted as another's, who may be waiting for it.
              #expect(isFilled(object, size: 57, tag: UInt64(thread)))
              allocator.free(object)
            } else {
              #expect(isFilled(object, size: 57, tag: UInt64(thread)))
              allocator.free(object, to: user.root)
              try endAmongOthers(user, of: allocator)
            }
          } catch {
            Issue.record("\(error)")
          }
        }
      }
      allocator.waitUntilDrained()
      expectWhole(allocator)
      let names = try allocator.namesInSlabinfo()
      #expect(names.isEmpty)
      #expect(joined.load(ordering: .relaxed) > 0)
      #expect(busy.load(ordering: .relaxed) > 0)
    }
  }
}

/// Ends a user whose own objects are free. As the last one he may meet objects that somebody who
/// left before him has not freed yet.
private func endAmongOthers(
  _ user: CacheReference, of allocator: Allocator
) throws(AllocatorError) {
  while true {
    do throws(AllocatorError) {
      try allocator.destroy(user)
      return
    } catch {
      guard case .cacheBusy = error else { throw error }
    }
  }
}

extension CacheName {
  fileprivate var text: String {
    String(decoding: (0..<byteCount).map { self[$0] }, as: UTF8.self)
  }
}
