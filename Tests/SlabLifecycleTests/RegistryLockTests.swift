// Nobody holds the registry lock over what takes long: debug builds see it, and nothing here needs it.

import Glibc
import SlabPlatform
import SlabTestSupport
import Synchronization
import Testing

@testable import SlabCore

#if DEBUG
  @Suite(.inTurn) struct RegistryLockTests {
    /// The process ends with a line that names what is done under the lock.
    @Test func whatTakesLongEndsTheProcess() async {
      for what in ["fence", "walk of slabs", "shrinker", "constructor"] {
        let result = await #expect(
          processExitsWith: .signal(SIGABRT), observing: [\.standardErrorContent]
        ) { [what = what as String] in
          let allocator = try Allocator()
          let root = try allocator.makeCache("cache", size: 64)
          let built = try unsafe allocator.makeCache("built", size: 64) { _ in }
          let group = try allocator.makeGroup("group")
          let oracle = Oracle(freeable: 1)
          let shrinker = try oracle.register(with: allocator, for: group)
          allocator.state.pointee.registry.lock.lock()
          switch what {
          case "fence": try allocator.state.fence()
          case "walk of slabs": root.cache.shrink()
          case "shrinker": _ = shrinker.shrink(priority: 0)
          default: _ = try allocator.allocate(from: built, in: nil)
          }
        }
        let text = String(decoding: result?.standardErrorContent ?? [], as: UTF8.self)
        #expect(text == "slab: registry lock: held over a \(what)\n")
      }
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
          let isFree = allocator.state.pointee.registry.lock.tryLock()
          #expect(isFree)
          if isFree { allocator.state.pointee.registry.lock.unlock() }
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
          try allocator.offline(group)
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
