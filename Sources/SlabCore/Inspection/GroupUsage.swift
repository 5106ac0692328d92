// What a group's charge consists of (memory.stat): by cache, and by kind, in parts that add up.

package import SlabPlatform
internal import Synchronization

/// What one child cache of a group has.
package struct CacheUsage: Sendable {
  package let name: CacheName
  /// In bytes, as its user asked for it.
  package let objectBytes: Int
  /// Objects that users have, and that the slabs can hold.
  package let objectsInUse: Int
  package let objectsTotal: Int
  /// Bytes of all slabs.
  package let slabBytes: Int
  /// Whether it was a group's below, which has ended.
  package let isInherited: Bool
}

extension Allocator {
  /// Visits the child caches of a group, on which the caller has a handle. Takes the registry lock for 16
  /// of them at a time, and runs the body without it. One that is there all the while is visited once.
  package func forEachCache(of group: Pointer<Group>, _ body: (CacheUsage) -> Void) {
    var found = InlineArray<16, CacheUsage?>(repeating: nil)
    state.pointee.registry.lock.lock()
    // The cursor stands on this thread's stack.
    state.takeInHand()
    withCursor(in: group.caches) { cursor in
      var count = 16
      while count == 16 {
        count = 0
        while count < 16, let node = cursor.advance(in: group.caches) {
          found[count] = Pointer<Cache>(groupNode: node).usage
          count += 1
        }
        state.pointee.registry.lock.unlock()
        for index in 0..<count { body(found[index]!) }
        state.pointee.registry.lock.lock()
      }
    }
    state.putDown()
    state.pointee.registry.lock.unlock()
  }

  /// Bytes that are charged to the groups below a group, ended ones too. O(children).
  package func bytesBelow(_ group: Pointer<Group>) -> Int {
    var bytes = 0
    forEachChild(of: group, endedToo: true) { child in
      bytes += child.pointee.current.load(ordering: .relaxed)
      release(child)
    }
    return bytes
  }
}

extension Pointer where Pointee == Cache {
  /// Under the registry lock.
  fileprivate var usage: CacheUsage {
    pointee.lock.lock()
    defer { pointee.lock.unlock() }
    let root = pointee.root
    return CacheUsage(
      name: root.pointee.name, objectBytes: root.pointee.objectSize,
      objectsInUse: Int(pointee.objectsInUse) - objectsInSheaf,
      objectsTotal: Int(pointee.objectsTotal),
      slabBytes: Int(pointee.units) * UnitMap.unitBytes, isInherited: pointee.isInherited)
  }
}
