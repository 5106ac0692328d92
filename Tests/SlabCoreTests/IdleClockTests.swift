// SPDX-License-Identifier: Apache-2.0
// What idles is given back by itself: what the idle clock takes, what it leaves, and who moves it.

import SlabPlatform
import SlabTestSupport
import Synchronization
import Testing

@testable import SlabCore

@Suite(.inTurn) struct IdleClockTests {
  /// A cache that was used since the hand came keeps its sheaf; one that was not has nothing left but what is live.
  @Test(arguments: [64, 256, 1024]) func aCacheOutOfUseGivesAllBack(_ size: Int) throws {
    try withAllocator { allocator in
      let root = try allocator.makePlainCache("cache", size: size)
      let group = try allocator.makeGroup("group")
      try onOneCPU {
        try fillBarn(of: root, allocator, in: group)
        let child = group.child(of: root)!
        #expect(allocator.idleClock.pointee.count.load(ordering: .relaxed) == 1)
        let live = try allocator.allocate(from: root, in: group)
        let capacity = child.sheaf.capacity
        #expect(!allocator.moveIdleHand())
        #expect(child.pointee.isResting == true)
        // In use: its sheaf is open again, as large as it was.
        allocator.free(try allocator.allocate(from: root, in: group))
        #expect(child.sheafWord.capacity == capacity)
        #expect(!allocator.moveIdleHand())
        #expect(child.sheafObjects > 0)
        #expect(!allocator.moveIdleHand())
        #expect(child.sheaf.isClosed)
        #expect(child.pointee.barn == nil)
        #expect(child.pointee.objectsInUse == 1)
        #expect(child.pointee.slabCount == 1)
        #expect(group.pointee.barnBytes.load(ordering: .relaxed) == 0)
        #expect(allocator.idleClock.pointee.count.load(ordering: .relaxed) == 0)
        #expect(allocator.counters.pointee.coldCaches.value == 1)
        #expect(allocator.barnSum(.bytes) == 0)
        allocator.free(live)
      }
      expectWhole(allocator)
      allocator.release(group)
      try allocator.destroy(root)
    }
  }

  /// A cache that comes into use again has a sheaf one class smaller than before.
  @Test func aSheafComesBackOneClassSmaller() throws {
    try withAllocator { allocator in
      let root = try allocator.makePlainCache("cache", size: 64)
      try onOneCPU {
        try fillBarn(of: root, allocator)
        #expect(root.cache.pointee.sheafClass == 3)
        for _ in 0..<2 { #expect(!allocator.moveIdleHand()) }
        #expect(root.cache.sheaf.isClosed)
        for _ in 0..<16 { allocator.free(try allocator.allocate(from: root, in: nil)) }
        #expect(root.cache.hasSheaf)
        #expect(root.cache.pointee.sheafClass == 2)
        // A thread that needs memory leaves nothing of it.
        root.cache.shrink()
        for _ in 0..<16 { allocator.free(try allocator.allocate(from: root, in: nil)) }
        #expect(root.cache.hasSheaf)
        #expect(root.cache.pointee.sheafClass == 0)
      }
      expectWhole(allocator)
      try allocator.destroy(root)
    }
  }

  /// A cache is watched from the moment at which its sheaf is large enough, also where that grew, and as long as one is
  /// open: its load may be over with that operation.
  @Test func whatHasALargeSheafIsWatched() throws {
    try withAllocator { allocator in
      let root = try allocator.makePlainCache("cache", size: 64)
      let group = try allocator.makeGroup("group")
      let watched = { allocator.idleClock.pointee.count.load(ordering: .relaxed) }
      try onOneCPU {
        var objects: [UInt] = []
        var capacity = 0
        while capacity * 64 < Barn.leastWatched {
          #expect(watched() == 0)
          objects.append(try allocator.allocate(from: root, in: group))
          capacity = group.child(of: root)!.sheafWord.capacity
          #expect(objects.count < 10_000)
        }
        #expect(watched() == 1)
        allocator.freeAll(objects)
        // A thread that ends the barn finds that another one has opened a sheaf meanwhile.
        let child = group.child(of: root)!
        #expect(child.hasSheaf)
        child.endBarn()
        #expect(watched() == 1)
        for _ in 0..<2 { #expect(!allocator.moveIdleHand()) }
        #expect(watched() == 0 && group.currentBytes == 0)
      }
      expectWhole(allocator)
      allocator.release(group)
      try allocator.destroy(root)
    }
  }

  /// More caches than one look passes, some of them in use: the hand takes the others, once round and twice.
  @Test func theHandGoesRoundInPieces() throws {
    try withAllocator { allocator in
      let root = try allocator.makePlainCache("cache", size: 1024)
      let count = 2 * IdleClock.cachesPerLook + 3
      let groups = try (0..<count).map { try allocator.makeGroup("group-\($0)") }
      for group in groups { try fillBarn(of: root, allocator, in: group, objects: 20, rounds: 4) }
      #expect(allocator.idleClock.pointee.count.load(ordering: .relaxed) == count)
      for round in 0..<2 {
        for (index, group) in groups.enumerated() where index % 2 == 0 {
          allocator.free(try allocator.allocate(from: root, in: group))
        }
        #expect(allocator.moveIdleHand())
        #expect(allocator.moveIdleHand())
        #expect(!allocator.moveIdleHand(), "round \(round)")
      }
      for (index, group) in groups.enumerated() {
        let child = group.child(of: root)!
        #expect(child.sheaf.isClosed == (index % 2 == 1))
        #expect((child.pointee.slabCount > 0) == (index % 2 == 0))
      }
      expectWhole(allocator)
      for group in groups { allocator.release(group) }
      try allocator.destroy(root)
    }
  }

  /// All the barns of a group have one bound, in bytes: a second size gets what the first one leaves.
  @Test func aGroupHasOneBound() throws {
    try withAllocator { allocator in
      let group = try allocator.makeGroup("group")
      let roots = try (0..<4).map { try allocator.makePlainCache("cache-\($0)", size: 1024) }
      try onOneCPU {
        for root in roots {
          try fillBarn(of: root, allocator, in: group, objects: 1500, rounds: 80)
        }
      }
      var objects = 0
      for root in roots {
        let child = group.child(of: root)!
        let lock = child.pointee.lock.lock()
        objects += child.objectsInBarn(under: lock)
      }
      let granted = group.pointee.barnBytes.load(ordering: .relaxed)
      #expect(granted <= BarnBounds.leastBytes)
      #expect(granted > BarnBounds.leastBytes / 2)
      #expect(objects * 1024 <= granted)
      #expect(allocator.barnSum(.bytes) == objects * 1024)
      allocator.release(group)
      allocator.waitUntilIdle()
      #expect(allocator.barnSum(.bytes) == 0)
      for root in roots { try allocator.destroy(root) }
    }
  }

  /// The worker does it, though nobody calls the allocator.
  @Test func theWorkerMovesTheHand() throws {
    try withAllocator(givesBackIdle: true) { allocator in
      let root = try allocator.makePlainCache("cache", size: 1024)
      let group = try allocator.makeGroup("group")
      let watched = { allocator.idleClock.pointee.count.load(ordering: .relaxed) }
      // A thread that has to wait for its CPU is idle for the hand, too: the load is over when the cache is watched behind it.
      repeat { try fillBarn(of: root, allocator, in: group) } while watched() == 0
      #expect(eventually { group.currentBytes == 0 })
      #expect(eventually { watched() == 0 })
      allocator.release(group)
      try allocator.destroy(root)
    }
  }

  /// Free pages go back after the load, and the process is idle again.
  @Test func theWorkerGivesPagesBack() throws {
    try withAllocator(givesBackIdle: true) { allocator in
      let root = try allocator.makeColdCache("cache", size: 8192)
      let objects = try allocator.allocate(4000, from: root)
      for object in objects { allocator.free(object) }
      let pages = allocator.pages
      #expect(eventually { allocator.nanosecondsUntilIdleRound == 0 })
      let lock = pages.pointee.lock.lock()
      let (dirty, kept) = (pages.pointee.dirtyPages, pages.pointee.pagesToKeep)
      lock.unlock()
      #expect(dirty <= 2 * kept)
      try allocator.destroy(root)
    }
  }

  /// Where `malloc` is served there is no worker: a slow operation does it, once a round is due.
  @Test func aSlowOperationMovesTheHand() throws {
    var configuration = AllocatorConfiguration()
    configuration.servesMalloc = true
    configuration.idleRoundMilliseconds = 1
    try withAllocator(configuration: configuration, givesBackIdle: true) { allocator in
      let root = try allocator.makePlainCache("cache", size: 1024)
      let group = try allocator.makeGroup("group")
      try fillBarn(of: root, allocator, in: group)
      #expect(group.currentBytes > 0)
      #expect(
        eventually {
          allocator.workIfWanted()
          return group.currentBytes == 0
        })
      #expect(allocator.statistics.workerThreads == 0)
      allocator.release(group)
      try allocator.destroy(root)
    }
  }

  /// Without memory for it the barn does not grow, objects go to their slabs, and what was granted is given back.
  @Test func aBarnWithoutMemory() async {
    await #expect(processExitsWith: .success) {
      try withAllocator { allocator in
        let root = try allocator.makePlainCache("cache", size: 1024)
        let group = try allocator.makeGroup("group")
        try onOneCPU {
          // One live object in each slab: no swing needs a new one.
          var live: [UInt] = []
          var others: [UInt] = []
          for index in 0..<1024 {
            let object = try allocator.allocate(from: root, in: group)
            if index % 8 == 0 { live.append(object) } else { others.append(object) }
          }
          allocator.freeAll(others)
          let child = group.child(of: root)!
          #expect(child.pointee.barn != nil)
          let granted = group.pointee.barnBytes.load(ordering: .relaxed)
          let most = child.barnFigures.most
          let runs = allocator.takeFreePages()
          let sheaves = allocator.cachesState.pointee.general[5]!.cache
          var taken: [UInt] = []
          FaultInjection.failCall(1, of: .protect, with: .noMemory, repeating: true)
          while let sheaf = try? sheaves.allocate() { taken.append(sheaf) }
          try fillBarn(of: root, allocator, in: group, objects: 500, rounds: 20)
          #expect(FaultInjection.end() > 0)
          #expect(child.barnFigures.most == most)
          #expect(group.pointee.barnBytes.load(ordering: .relaxed) == granted)
          for sheaf in taken { sheaves.free(sheaf) }
          allocator.freePages(runs)
          try fillBarn(of: root, allocator, in: group, objects: 500, rounds: 20)
          #expect(child.barnFigures.most > most)
          allocator.freeAll(live)
        }
        expectWhole(allocator)
        allocator.release(group)
        try allocator.destroy(root)
      }
    }
  }

  #if DEBUG
    /// A cache whose sheaf is closed because it grows is in use: the hand neither waits for it nor ends its barn.
    @Test func aCacheThatGrowsIsNotCold() async {
      await #expect(processExitsWith: .success) {
        try withAllocator { allocator in
          let root = try allocator.makePlainCache("cache", size: 1024)
          let group = try allocator.makeGroup("group")
          try fillBarn(of: root, allocator, in: group, objects: 20, rounds: 4)
          let child = try #require(group.child(of: root))
          let capacity = child.sheafWord.capacity
          PausePoints.arm(.beforeGrowing)
          let helper = Helper {
            try! fillBarn(of: root, allocator, in: group, objects: 200, rounds: 4)
          }
          #expect(PausePoints.waitUntilReached(.beforeGrowing))
          let hasPassed = Atomic(false)
          let hand = Helper {
            for _ in 0..<2 { _ = allocator.moveIdleHand() }
            hasPassed.store(true, ordering: .releasing)
          }
          #expect(eventually { hasPassed.load(ordering: .acquiring) })
          #expect(child.pointee.barn != nil)
          #expect(allocator.counters.pointee.coldCaches.value == 0)
          PausePoints.resume(.beforeGrowing)
          helper.thread.join()
          hand.thread.join()
          #expect(child.sheafWord.capacity > capacity)
          #expect(allocator.idleClock.pointee.count.load(ordering: .relaxed) == 1)
          expectWhole(allocator)
          allocator.release(group)
          try allocator.destroy(root)
        }
      }
    }

    /// The cache ends its sheaf while memory for its barn is on the way: the barn is not put on the list.
    @Test(arguments: [true, false]) func aBarnThatComesTooLate(hasBarn: Bool) async {
      await #expect(processExitsWith: .success) { [hasBarn] in
        try withAllocator { allocator in
          let root = try allocator.makePlainCache("cache", size: 1024)
          let group = try allocator.makeGroup("group")
          if hasBarn { try fillBarn(of: root, allocator, in: group, objects: 20, rounds: 4) }
          PausePoints.arm(.beforeGrowingBarn)
          let helper = Helper {
            try! fillBarn(of: root, allocator, in: group, objects: 1000, rounds: 4)
          }
          #expect(PausePoints.waitUntilReached(.beforeGrowingBarn))
          let child = try #require(group.child(of: root))
          #expect((child.pointee.barn != nil) == hasBarn)
          child.shrink()
          #expect(child.pointee.barn == nil)
          PausePoints.resume(.beforeGrowingBarn)
          helper.thread.join()
          child.shrink()
          #expect(child.pointee.barn == nil)
          #expect(group.pointee.barnBytes.load(ordering: .relaxed) == 0)
          expectWhole(allocator)
          allocator.release(group)
          try allocator.destroy(root)
        }
      }
    }
  #endif
}
