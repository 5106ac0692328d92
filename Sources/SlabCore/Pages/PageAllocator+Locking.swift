// SPDX-License-Identifier: Apache-2.0
// The page allocator for many threads: each of these takes the page lock, and none holds it over a
// call that gives memory back.

internal import SlabPlatform
internal import Synchronization

extension Pointer where Pointee == PageAllocator {
  func allocate(order: Int, for tenant: Tenant) -> Run? {
    allocating { lock in pointee.allocate(order: order, for: tenant, under: lock) }
  }

  /// Some runs by one visit to the lock.
  func allocate(_ count: Int, order: Int, for tenant: Tenant, into runs: inout RunBatch) {
    let lock = pointee.lock.lock()
    pointee.allocate(count, order: order, for: tenant, into: &runs, under: lock)
  }

  func allocate(_ shape: RunShape, for tenant: Tenant) -> Run? {
    allocating { lock in pointee.allocate(shape, for: tenant, under: lock) }
  }

  /// What a body takes under the page lock. Where the heap cannot grow, free pages may be there that are no run as long
  /// as is wanted: dirty runs and clean ones do not merge. So before a refusal what is dirty goes back, and the body tries
  /// again.
  func allocating(_ body: (borrowing PagesLocked) -> Run?) -> Run? {
    if let run = locked(body) { return run }
    giveBack(keeping: 0)
    return locked(body)
  }

  private func locked(_ body: (borrowing PagesLocked) -> Run?) -> Run? {
    let lock = pointee.lock.lock()
    return body(lock)
  }

  func free(_ run: Run, of tenant: Tenant) {
    let lock = pointee.lock.lock()
    pointee.free(run, of: tenant, under: lock)
  }

  /// Gives dirty memory back to the system until at most `keeping` dirty pages are left, or
  /// `pagesToLeave`, largest runs first, one system call each. Stops where the system refuses; with work left after the
  /// most runs it sets `hasExcess` again.
  func giveBack(keeping: Int? = nil, runsAtMost: Int = .max) {
    for _ in 0..<runsAtMost {
      guard let run = takeDirtyRun(keeping: keeping) else { return }
      var refused = false
      do {
        try SystemCall.giveBack(
          at: pointee.map.address(ofUnit: run.unit), bytes: UnitMap.unitBytes << run.order)
      } catch {
        refused = true
      }
      putBack(run, refused: refused)
      if refused { return }
    }
    pointee.hasExcess.store(true, ordering: .relaxed)
  }

  private func takeDirtyRun(keeping: Int?) -> (unit: Int, order: Int)? {
    let lock = pointee.lock.lock()
    return pointee.takeDirtyRun(keeping: keeping ?? pointee.pagesToLeave, under: lock)
  }

  private func putBack(_ run: (unit: Int, order: Int), refused: Bool) {
    let lock = pointee.lock.lock()
    pointee.putBack(run, refused: refused, under: lock)
  }

  func shrinkHeap() {
    let lock = pointee.lock.lock()
    pointee.shrinkHeap(under: lock)
  }

  /// As the method of the type.
  func brokenInvariant() -> StaticString? {
    let lock = pointee.lock.lock()
    return pointee.brokenInvariant(under: lock)
  }
}
