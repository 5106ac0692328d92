// Groups that are to die.

import Slab

/// Groups with one live object in each of some caches.
struct Population: Sendable {
  let allocator: SlabAllocator
  private(set) var groups: [MemoryGroup] = []
  private var objects: [UInt] = []

  init(count: Int, _ allocator: SlabAllocator, _ caches: ArraySlice<SlabCache>) throws {
    self.allocator = allocator
    groups.reserveCapacity(count)
    objects.reserveCapacity(count * caches.count)
    for _ in 0..<count {
      let group = try allocator.makeGroup(named: "tenant")
      groups.append(group)
      for cache in caches {
        let object = try unsafe UInt(bitPattern: cache.allocate(in: group))
        objects.append(object)
      }
    }
  }

  /// All offline with their objects live, then the objects freed, and until the last is released.
  func die() {
    let released = allocator.statistics.groupsReleased
    for group in groups {
      do { try group.offline() } catch { fatalError("slab-bench: \(error)") }
    }
    freeAndRelease()
    while allocator.statistics.groupsReleased - released < groups.count {
      Time.spin(nanoseconds: 100_000)
    }
  }

  func freeAndRelease() {
    for group in groups { group.release() }
    for object in objects {
      // SAFETY: an object of `init`, freed once.
      unsafe allocator.free(UnsafeMutableRawPointer(bitPattern: object)!)
    }
  }
}
