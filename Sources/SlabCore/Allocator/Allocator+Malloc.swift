// SPDX-License-Identifier: Apache-2.0
// What `malloc` needs of the size classes beyond a block: the cache itself, which it keeps at hand for the next
// block of the class.

package import SlabPlatform
internal import Synchronization

extension Allocator {
  /// The size class of so many bytes, at most `largestAllocation`: the same for the life of a process. O(1).
  package func sizeClass(forBytes bytes: Int) -> Int { sizeClasses.pointee.index(forBytes: bytes) }

  /// Bytes of a size class.
  package static func bytes(ofSizeClass index: Int) -> Int { SizeClasses.sizes[index] }

  /// The cache that serves a size class in a group, on which the caller holds a handle: it stays as long as
  /// that. `nil` if the group shares it with others. The first use in the group makes it. O(1) expected; takes the
  /// registry lock then.
  package func cache(
    ofSizeClass index: Int, in group: Pointer<Group>
  ) throws(AllocatorError) -> Pointer<Cache>? {
    let root = try rootCache(ofSizeClass: index)
    guard !group.pointee.isShared || !root.canBeShared else { return nil }
    let child = group.likelyChild(of: root)
    return child.pointee.root == root ? child : try group.makeOrFindChild(of: root)
  }

  /// What `malloc` needs to allocate in groups that share, and to free there: of a live object of a size class that the
  /// group has in a shared slab. `nil` if it has it in one of its own.
  package func sharedForMalloc(
    _ object: UInt, ofSizeClass index: Int, in group: Pointer<Group>
  ) -> SharedForMalloc? {
    guard let payer = group.pointee.payer, let root = try? rootCache(ofSizeClass: index),
      root.canBeShared
    else { return nil }
    // SAFETY: only numbers are made of them; an atomic has a stable address.
    return unsafe SharedForMalloc(
      // The object's thread has found the cache there.
      cache: root.pointee.sharedCache.load(ordering: .acquiring), payer: number(of: payer),
      ended: withUnsafePointer(to: payer.pointee.isEnded) { UInt(bitPattern: $0) },
      ends: withUnsafePointer(to: shared.pointee.ends) { UInt(bitPattern: $0) },
      stocks: stocks.address, lineMask: stocks.lineMask, most: UInt32(Stock.most))
  }

  /// See `giveBack` of Endings/Payers.swift. Of a payer that the bytes keep.
  package func giveBackForMalloc(_ bytes: Int, toPayer number: UInt32) {
    letForkGoFirst()
    giveBack(bytes, to: payer(number))
  }

  package func settleForMalloc(stockAt word: UInt) {
    letForkGoFirst()
    settle(StockWord(at: word))
  }

  /// Holding no lock, at the end of a slow operation: does what a worker would do, if something waits. See
  /// Endings/Workers.swift.
  package func workIfWanted() { helpIfWanted() }
}

/// Addresses, and what is there for the whole life of the allocator, but for the payer.
package struct SharedForMalloc {
  package let cache: UInt
  package let payer: UInt32
  /// Where the payer has ended.
  package let ended: UInt
  /// Where the shared groups that went offline are counted.
  package let ends: UInt
  /// The lines of the stocks, of which there are the mask and one.
  package let stocks: UInt
  package let lineMask: UInt
  /// Bytes in a word.
  package let most: UInt32
}
