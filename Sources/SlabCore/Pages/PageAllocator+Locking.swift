// The page allocator for many threads: each of these takes the page lock, and none holds it over a
// call that gives memory back.

internal import SlabPlatform
internal import Synchronization

extension Pointer where Pointee == PageAllocator {
  func allocate(order: Int, for tenant: Tenant) -> Run? {
    pointee.lock.lock()
    defer { pointee.lock.unlock() }
    return pointee.allocate(order: order, for: tenant)
  }

  func free(_ run: Run, of tenant: Tenant) {
    pointee.lock.lock()
    defer { pointee.lock.unlock() }
    pointee.free(run, of: tenant)
  }

  /// Gives dirty memory back to the system until at most `keeping` dirty pages are left, or what is
  /// worth keeping, largest runs first, one system call each. Stops where the system refuses; with work left after the
  /// most runs it sets `hasExcess` again.
  func giveBack(keeping: Int? = nil, runsAtMost: Int = .max) {
    for _ in 0..<runsAtMost {
      pointee.lock.lock()
      let taken = pointee.takeDirtyRun(keeping: keeping ?? pointee.pagesToKeep)
      pointee.lock.unlock()
      guard let run = taken else { return }
      var refused = false
      do {
        try SystemCall.giveBack(
          at: pointee.map.address(ofUnit: run.unit), bytes: UnitMap.unitBytes << run.order)
      } catch {
        refused = true
      }
      pointee.lock.lock()
      pointee.putBack(run, refused: refused)
      pointee.lock.unlock()
      if refused { return }
    }
    pointee.hasExcess.store(true, ordering: .relaxed)
  }

  func shrinkHeap() {
    pointee.lock.lock()
    defer { pointee.lock.unlock() }
    pointee.shrinkHeap()
  }

  /// As the method of the type.
  func brokenInvariant() -> StaticString? {
    pointee.lock.lock()
    defer { pointee.lock.unlock() }
    return pointee.brokenInvariant()
  }
}
