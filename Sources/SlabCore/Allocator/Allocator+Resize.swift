// SPDX-License-Identifier: Apache-2.0
// Another size for a block (`realloc`). In place where it can be; where the contents move, whole pages are moved by
// the kernel (Pages/PageAllocator+Contents.swift).
//
//   up to 32 KiB      stays while at least half of it is used; else an object of another class
//   a block           gives its last pages back, or takes those behind it; a group pays for the difference alone
//   a large object    is of its size, in pages: another one is another object

package import SlabPlatform

extension Allocator {
  /// Makes a live block of variable-size storage at least so many bytes long. Its address, perhaps another one; what
  /// it had is there, as far as it fits. What becomes longer is charged to a group from then on, whichever group
  /// was charged before; the rest stays charged as it was. When it throws, the block is as it was. O(bytes) where the contents
  /// move and the kernel does not move them; locks and system calls as `allocate`.
  ///
  /// - Throws: `.invalidObjectSize` above `largestAllocation` or below 0; what an allocation throws.
  package func resize(
    _ block: UInt, toBytes bytes: Int, in group: Pointer<Group>
  ) throws(AllocatorError) -> UInt {
    guard bytes >= 0, bytes <= Self.largestAllocation else { throw .invalidObjectSize }
    guard let cache = cache(of: block) else { reportForeignPointer() }
    let usable = usableBytes(of: block)
    let pages = SizeClasses.pages(forBytes: bytes)
    let wanted = pages * PageAllocator.pageBytes
    if bytes <= usable {
      if isGoodFit(bytes, in: usable) || wanted == usable { return block }
      if cache.hasBlocks, bytes > SizeClasses.largestSmall {
        cache.shrinkBlock(block, toUnits: pages * UnitMap.unitsOfPage)
        return block
      }
    } else if cache.hasBlocks, group.child(of: cache.pointee.root) == cache {
      return try cache.growBlock(block, toUnits: pages * UnitMap.unitsOfPage)
    }
    do throws(AllocatorError) {
      return try move(block, ofBytes: usable, toBytes: bytes, in: group)
    } catch {
      // It has room for what is wanted.
      guard bytes > usable else { return block }
      throw error
    }
  }

  private func isGoodFit(_ bytes: Int, in usable: Int) -> Bool {
    usable <= SizeClasses.largestSmall && bytes >= usable / 2
  }

  private func move(
    _ block: UInt, ofBytes usable: Int, toBytes bytes: Int, in group: Pointer<Group>
  ) throws(AllocatorError) -> UInt {
    let target = try allocate(bytes: bytes, in: group)
    let kept = min(usable, usableBytes(of: target))
    if kept > SizeClasses.largestSmall {
      // Both are runs of pages of their own.
      _ = pages.moveContents(from: block, to: target, bytes: kept)
    } else {
      copyMemory(from: block, to: target, bytes: kept)
    }
    free(block)
    return target
  }
}
