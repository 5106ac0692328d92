// SPDX-License-Identifier: Apache-2.0
// What `malloc` keeps at hand of a group: the addresses of its children of the size classes, which C code finds by the
// group's address alone (docs/malloc.md). A child that is not there is `vacant`, whose sheaf is closed, so a look at it
// misses.
//
// Behind them stands the number of the payer of a group that shares slabs, as long as it is online; else 0.
//
// The memory is the group's until no thread can be in it any more. When the group goes offline its children are taken
// out, as its table is: a thread that puts one in looks afterwards whether the group is online still, and takes it out
// again if not.

package import SlabPlatform
internal import Synchronization

extension Pointer where Pointee == Group {
  /// Addresses of children; the first is never one.
  package static var mallocChildrenCount: Int { 36 }

  private static var mallocChildrenBytes: Int { (mallocChildrenCount + 1) * 8 }

  /// From a group's address to where its `mallocChildren` stand.
  package var mallocChildrenOffset: UInt {
    // SAFETY: only a number is made of it; an atomic has a stable address.
    unsafe withUnsafePointer(to: pointee.mallocChildren) { UInt(bitPattern: $0) } - address
  }

  /// Keeps a child at hand, on whose group the caller has a handle. Without memory for it, it is not. O(1); takes no
  /// lock. The first child makes the memory.
  package func keepForMalloc(_ child: Pointer<Cache>, at index: Int) {
    guard let children = try? mallocChildren() else { return }
    keep(UInt64(child.address), at: children + UInt(index) * 8)
  }

  /// The same with the payer of a group that shares slabs.
  package func keepPayerForMalloc() {
    guard let payer = pointee.payer, let children = try? mallocChildren() else { return }
    let number = UInt64(pointee.allocator.number(of: payer))
    let word = children + UInt(Self.mallocChildrenCount) * 8
    if AtomicWord(at: word).load() != number { keep(number, at: word) }
  }

  private func keep(_ value: UInt64, at word: UInt) {
    AtomicWord(at: word).store(value)
    // Partner: the one in `emptyMallocChildren`. Of the two threads at least one sees what the other has stored.
    atomicMemoryFence(ordering: .sequentiallyConsistent)
    if !isOnline { emptyMallocChildren() }
  }

  private func mallocChildren() throws(AllocatorError) -> UInt {
    // Acquiring: pairs with the releasing exchange below, so that what is found is filled.
    let found = pointee.mallocChildren.load(ordering: .acquiring)
    guard found == 0 else { return found }
    let made = try pointee.allocator.allocateInternal(bytes: Self.mallocChildrenBytes)
    fill(made)
    let (isOurs, other) = pointee.mallocChildren.compareExchange(
      expected: 0, desired: made, ordering: .acquiringAndReleasing)
    if !isOurs { pointee.allocator.freeInternal(made) }
    return isOurs ? made : other
  }

  private func fill(_ children: UInt) {
    let vacant = UInt64(pointee.allocator.groupsState.pointee.vacantCache)
    for index in 0..<Self.mallocChildrenCount {
      AtomicWord(at: children + UInt(index) * 8).store(vacant)
    }
    AtomicWord(at: children + UInt(Self.mallocChildrenCount) * 8).store(0)
  }

  /// When the group has gone offline.
  func emptyMallocChildren() {
    // Partner: the one in `keep`, between the child and the look at the state, which has changed before.
    atomicMemoryFence(ordering: .sequentiallyConsistent)
    let children = pointee.mallocChildren.load(ordering: .acquiring)
    if children != 0 { fill(children) }
  }

  /// When no thread can read them any more.
  func freeMallocChildren() {
    let children = pointee.mallocChildren.load(ordering: .relaxed)
    if children != 0 { pointee.allocator.freeInternal(children) }
  }
}
