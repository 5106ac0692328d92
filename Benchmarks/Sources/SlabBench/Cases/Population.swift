// SPDX-License-Identifier: Apache-2.0
// Groups that are to die.

import Slab

/// Groups with one live object in each of some caches.
final class Population: @unchecked Sendable {
  // Unchecked: one thread at a time has it, and changes it.
  let allocator: SlabAllocator
  private(set) var groups: [MemoryGroup] = []
  private var objects: [UInt] = []

  init(count: Int, _ allocator: SlabAllocator, _ caches: ArraySlice<RawSlabCache>) throws {
    self.allocator = allocator
    groups.reserveCapacity(count)
    objects.reserveCapacity(count * caches.count)
    for _ in 0..<count {
      let group = try allocator.makeTenant("tenant")
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
    let count = groups.count
    for group in groups {
      do { try group.close() } catch { fatalError("slab-bench: \(error)") }
    }
    freeAndRelease()
    while allocator.statistics.groupsReleased - released < count {
      Time.spin(nanoseconds: 100_000)
    }
  }

  func freeAndRelease() {
    groups = []
    for object in objects {
      // SAFETY: an object of `init`, freed once.
      unsafe allocator.free(UnsafeMutableRawPointer(bitPattern: object)!)
    }
  }
}
