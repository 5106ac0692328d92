// SPDX-License-Identifier: Apache-2.0
// What a group's charge consists of (memory.stat): by cache, and by kind, in parts that add up.

package import SlabPlatform
internal import Synchronization

/// What one cache has: a child cache of a group, or a root cache together with all its children.
package struct CacheUsage: Sendable {
  package let name: CacheName
  /// In bytes, as its user asked for it.
  package let objectBytes: Int
  /// How its slabs are laid out.
  package let geometry: SlabGeometry
  /// Objects that users have.
  package internal(set) var objectsInUse: Int
  /// Free objects in sheaves; those of a root with children count as in use.
  package internal(set) var objectsInSheaves: Int
  /// Objects that the slabs can hold.
  package internal(set) var objectsTotal: Int
  /// Bytes of all slabs.
  package internal(set) var slabBytes: Int
  /// Whether it was a group's below, which has ended.
  package let isInherited: Bool
}

/// What a group's charge consists of, in bytes: the kinds add up to `current`.
package struct GroupCharge: Sendable {
  /// What is charged to the group and below it.
  package private(set) var current: Int
  /// Slabs of its own caches, its part of shared ones, and of both what users have.
  private var slabs = 0
  package private(set) var objects = 0
  /// Slabs of caches that were groups' below, which have ended.
  package private(set) var inherited = 0
  /// What is charged to groups below.
  package let below: Int

  /// From what was read in this order; the caches are added afterwards.
  package init(current: Int, below: Int) {
    self.current = current
    self.below = below
  }

  /// A cache with the bytes of its slabs, and those of the objects that users have of it. What has been charged since
  /// `current` was read is in the caches already: then they say more than it, and the sum is theirs.
  package mutating func add(slabBytes: Int, objectBytes: Int, isInherited: Bool) {
    if isInherited {
      inherited += slabBytes
    } else {
      slabs += slabBytes
      objects += objectBytes
    }
    current = max(current, known)
  }

  /// Objects in slabs that groups share, what CPUs have in stock for them, and those of groups below that have ended.
  mutating func addShared(objects: Int, inStock: Int, inherited: Int) {
    slabs += objects + inStock
    self.objects += objects
    self.inherited += inherited
    current = max(current, known)
  }

  private var known: Int { slabs + inherited + below }
  /// Free objects, those in sheaves too, what slots and slabs have more than objects need, and what CPUs have in stock.
  package var freeInSlabs: Int { slabs - objects }
  /// Parts of the group's pages that no slab has.
  package var unused: Int { current - known }
}

extension Allocator {
  /// What the charge of a group consists of now, on which the caller has a handle; the body sees each of its
  /// caches. O(caches × CPUs + children), as `forEachCache` and `bytesBelow`.
  package func charge(
    of group: Pointer<Group>, _ body: (CacheUsage) -> Void = { _ in }
  ) -> GroupCharge {
    let current = group.pointee.current.load(ordering: .relaxed)
    var charge = GroupCharge(current: current, below: bytesBelow(group))
    forEachCache(of: group) { usage in
      charge.add(
        slabBytes: usage.slabBytes, objectBytes: usage.objectsInUse * usage.objectBytes,
        isInherited: usage.isInherited)
      body(usage)
    }
    addShared(of: group, to: &charge)
    return charge
  }

  /// O(CPUs); takes the page lock.
  private func addShared(of group: Pointer<Group>, to charge: inout GroupCharge) {
    let lock = pages.pointee.lock.lock()
    guard let payer = group.pointee.payer else { return }
    let charged = payer.pointee.charged.load(ordering: .relaxed)
    let inherited = payer.pointee.inherited
    let inStock = min(charged, bytesInStock(of: number(of: payer)))
    lock.unlock()
    charge.addShared(objects: charged - inStock, inStock: inStock, inherited: inherited)
  }

  /// Visits the child caches of a group, on which the caller has a handle. Takes the registry lock for 16
  /// of them at a time, and runs the body without it. One that is there all the while is visited once.
  package func forEachCache(of group: Pointer<Group>, _ body: (CacheUsage) -> Void) {
    var found = InlineArray<16, CacheUsage?>(repeating: nil)
    var registry = lockRegistry()
    // The cursor stands on this thread's stack.
    takeInHand(under: registry)
    withCursor(in: group.caches, under: &registry) { cursor, registry in
      var count = 16
      while count == 16 {
        count = 0
        while count < 16, let node = cursor.advance(in: group.caches) {
          found[count] = Pointer<Cache>(groupNode: node).usage(under: registry)
          count += 1
        }
        registry.letGo {
          for index in 0..<count { body(found[index]!) }
        }
      }
    }
    putDown()
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
  func usage(under registry: borrowing RegistryLocked) -> CacheUsage {
    let lock = pointee.lock.lock()
    let root = pointee.root
    let objectsInSheaf = objectsInSheaf(under: lock)
    return CacheUsage(
      name: root.pointee.name, objectBytes: root.pointee.objectSize,
      geometry: root.pointee.geometry,
      objectsInUse: Int(pointee.objectsInUse) - objectsInSheaf, objectsInSheaves: objectsInSheaf,
      objectsTotal: Int(pointee.objectsTotal),
      slabBytes: Int(pointee.units) * UnitMap.unitBytes, isInherited: pointee.isInherited)
  }
}

extension Pointer where Pointee == RootCache {
  /// From the running sums, whatever children exist. O(CPUs).
  func usage(under registry: borrowing RegistryLocked) -> CacheUsage {
    CacheUsage(
      name: pointee.name, objectBytes: pointee.objectSize, geometry: pointee.geometry,
      objectsInUse: sum(RootCache.Sum.objectsInUse), objectsInSheaves: 0,
      objectsTotal: sum(RootCache.Sum.objectsTotal),
      slabBytes: sum(RootCache.Sum.units) * UnitMap.unitBytes, isInherited: false)
  }
}
