// SPDX-License-Identifier: Apache-2.0
// Giving back to the system what is not in use.

package import SlabPlatform
internal import Synchronization

extension Allocator {
  /// Gives back what is not in use: the empty slabs and sheaves of the core's own
  /// caches and of the size classes (of large objects groups' as well), the free pages, the free end of the
  /// heap, tables and sheaves' memory with nothing in them. Not the indices of roots that are gone, nor the blocks
  /// of their sums: both are few, and are used again. System calls for each run of pages. Waits for what the
  /// workers are at.
  package func trim() {
    releaseDeferredSheaf()
    var registry = lockRegistry()
    // The cursor stands on this thread's stack.
    takeInHand(under: registry)
    withCursor(in: rootsList, under: &registry) { cursor, registry in
      while let node = cursor.advance(in: rootsList) {
        let root = Pointer<RootCache>(rootNode: node)
        // The others are the core's for ever.
        guard root.pointee.kind != .user else { continue }
        registry.letGo {
          if root.cache.hasLargeObjects {
            giveBackIdle(of: root) { $0.hasIdle(under: $1) }
          } else {
            root.shrink()
          }
        }
      }
    }
    putDown()
    // A run on its way back is on no list.
    takeInHand(under: registry)
    registry.letGo {
      pages.giveBack(keeping: 0)
      putDown()
      // A worker may have a run in hand, at the end of the heap perhaps; there is no other one to take.
      waitForWorkersAtWork()
      pages.shrinkHeap()
    }
    trimTables(under: registry)
    registry.unlock()
    _ = region.trim()
  }

  /// Bytes of the tables of caches and groups that have been touched.
  func tableBytes(under registry: borrowing RegistryLocked) -> Int {
    cachesState.pointee.tables.usedBytes + groupsState.pointee.tables.usedBytes
  }

  /// The most that they were.
  func tableBytesPeak(under registry: borrowing RegistryLocked) -> Int {
    max(tableBytes(under: registry), counters.pointee.tableBytesBeforeTrim.value)
  }

  /// The tables shrink nowhere else.
  private func trimTables(under registry: borrowing RegistryLocked) {
    let before = tableBytes(under: registry)
    counters.pointee.tableBytesBeforeTrim.set(tableBytesPeak(under: registry))
    cachesState.pointee.tables.trim()
    groupsState.pointee.tables.trim()
    counters.pointee.tableBytesReturned += before - tableBytes(under: registry)
  }
}
