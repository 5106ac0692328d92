// SPDX-License-Identifier: Apache-2.0
// No thread holds a lock over what takes long: debug builds see it, and nothing here needs it.

import Glibc
import SlabPlatform
import SlabTestSupport
import Synchronization
import Testing

@testable import SlabCore

#if DEBUG
  @Suite(.inTurn) struct HeldLockTests {
    /// The process ends with a line that names the lock and what is done under it.
    @Test(arguments: [
      "a fence", "a walk of slabs", "a shrinker", "a constructor", "a wait", "starting a thread",
    ])
    func whatTakesLongEndsTheProcess(_ what: String) async {
      // What may be done under the others as well: threads that wait for them wait for this.
      let least = what == "starting a thread" ? ["page lock"] : ["registry lock"]
      // A slab is made before its constructors run.
      let all = ["registry lock", "a cache's lock", "page lock"]
      for lock in ["a constructor", "starting a thread"].contains(what) ? least : all {
        let result = await #expect(
          processExitsWith: .signal(SIGABRT), observing: [\.standardErrorContent]
        ) { [what = what as String, lock = lock as String] in
          let allocator = try Allocator()
          let root = try allocator.makeCache("cache", size: 64)
          let built = try unsafe allocator.makeCache("built", size: 64) { _ in }
          let group = try allocator.makeGroup("group")
          let oracle = Oracle(freeable: 1)
          let shrinker = try oracle.register(with: allocator, for: group)
          switch lock {
          case "registry lock": unsafe allocator.lockRegistry().leaveLocked()
          case "a cache's lock": unsafe root.cache.pointee.lock.lock().leaveLocked()
          default: unsafe allocator.pages.pointee.lock.lock().leaveLocked()
          }
          switch what {
          case "a fence": try allocator.fence()
          case "a walk of slabs":
            var batch = SheafBatch()
            batch.finish(of: root.cache.pointee.allocator, as: .shrunk)
          case "a shrinker": _ = shrinker.shrink(priority: 0)
          case "a constructor": _ = try built.cache.makeSlabs(1, afterUnits: 0)
          case "a wait": allocator.pause(afterLooks: 1000)
          default: _ = unsafe allocator.startThread({ _ in nil }, argument: 0)
          }
        }
        let text = String(decoding: result?.standardErrorContent ?? [], as: UTF8.self)
        #expect(text == "slab: \(lock): held over \(what)\n")
      }
    }

    /// Users' objects come and go under no lock.
    @Test(arguments: ["waiting for a fork", "an object", "a fork"])
    func whatIsInHandIsTheOutermost(_ what: String) async {
      let result = await #expect(
        processExitsWith: .signal(SIGABRT), observing: [\.standardErrorContent]
      ) { [what = what as String] in
        let allocator = try Allocator()
        let root = try allocator.makeCache("cache", size: 64)
        unsafe allocator.lockRegistry().leaveLocked()
        switch what {
        case "waiting for a fork": allocator.letForkGoFirst()
        case "an object": _ = try root.cache.allocateSlow()
        default: _ = forkProcess()
        }
      }
      let text = String(decoding: result?.standardErrorContent ?? [], as: UTF8.self)
      #expect(text == "slab: registry lock: held over \(what)\n")
    }

    /// While a sheaf grows nobody needs to wait, neither for its cache nor for the registry; and a setting
    /// that is made meanwhile is not lost.
    @Test func aSheafGrowsOutsideOfEveryLock() async {
      await #expect(processExitsWith: .success) {
        try withAllocator { allocator in
          let root = try allocator.makeCache("cache", size: 64)
          let group = try allocator.makeGroup("group")
          PausePoints.arm(.beforeGrowing)
          let thread = TestThread {
            var objects: [UInt] = []
            for _ in 0..<2_000 {
              if let object = try? allocator.allocate(from: root, in: group) {
                objects.append(object)
              }
            }
            for object in objects { allocator.free(object) }
          }
          #expect(PausePoints.waitUntilReached(.beforeGrowing))
          let other = try allocator.allocate(from: root, in: group)
          let cache = allocator.cache(of: other)!
          let registry = allocator.base.pointee.registryLock.tryLock()
          let isFree = registry != nil
          #expect(isFree)
          registry?.unlock()
          try allocator.setSheafCapacity(0, of: root)
          PausePoints.resume(.beforeGrowing)
          thread.join()
          #expect(cache.pointee.words.load(mode: allocator.statistics.mode).isClosed)
          allocator.free(other)
          expectWhole(allocator)
          allocator.release(group)
          try allocator.destroy(root)
        }
      }
    }

    /// The group ends while a sheaf of its grows: the fence worker empties it, and nothing stays.
    @Test func aGroupEndsWhileASheafGrows() async {
      await #expect(processExitsWith: .success) {
        try withAllocator { allocator in
          let root = try allocator.makeCache("cache", size: 64)
          let group = try allocator.makeGroup("group")
          let held = try allocator.allocate(from: root, in: group)
          let cache = allocator.cache(of: held)!
          PausePoints.arm(.beforeGrowing)
          let thread = TestThread {
            var objects: [UInt] = []
            for _ in 0..<2_000 {
              if let object = try? allocator.allocate(from: root, in: group) {
                objects.append(object)
              }
            }
            for object in objects { allocator.free(object) }
          }
          #expect(PausePoints.waitUntilReached(.beforeGrowing))
          try allocator.close(group)
          #expect(eventually { cache.state == .deactivated })
          PausePoints.resume(.beforeGrowing)
          thread.join()
          allocator.free(held)
          allocator.release(group)
          try allocator.destroy(root)
        }
      }
    }
  }
#endif
