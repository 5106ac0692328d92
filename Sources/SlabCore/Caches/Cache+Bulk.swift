// SPDX-License-Identifier: Apache-2.0
// Many objects at once: one sequence for those in the sheaf, one turn of the lock for the rest.

package import SlabPlatform

extension Pointer where Pointee == Cache {
  /// Fills the buffer with objects, or throws and has allocated none.
  package func allocate(
    bulk objects: UnsafeMutableBufferPointer<UInt>
  ) throws(AllocatorError) {
    let count = objects.count
    var have = unsafe pointee.allocator.region.pointee.popBatch(words, into: objects)
    // The rest of a sheaf on another CPU is not worth a loop.
    while have < count {
      do throws(AllocatorError) {
        let object = try allocateSlow()
        unsafe objects[have] = object
        have += 1
      } catch {
        unsafe free(bulk: UnsafeMutableBufferPointer(rebasing: objects[..<have]))
        throw error
      }
      // What came into the sheaf with it.
      let more = unsafe UnsafeMutableBufferPointer(rebasing: objects[have...])
      have += unsafe pointee.allocator.region.pointee.popBatch(words, into: more)
      let lock = pointee.lock.lock()
      let before = pointee.objectsInUse
      let rest = unsafe UnsafeMutableBufferPointer(rebasing: objects[have...])
      have += unsafe takeObjects(into: rest, under: lock)
      countObjects(since: before, under: lock)
    }
  }

  /// Frees objects that are known to be all of this cache, which may be gone when this returns.
  package func free(bulk objects: UnsafeMutableBufferPointer<UInt>) {
    guard objects.count > 0 else { return }
    guard pointee.kind != .gate else {
      for index in 0..<objects.count { unsafe freeShared(objects[index]) }
      return
    }
    // All but the last may go to the sheaf in one sequence. The last is freed by itself: until
    // then it keeps the cache alive.
    let last = objects.count - 1
    let many = unsafe UnsafeMutableBufferPointer(rebasing: objects[..<last])
    let put = unsafe pointee.allocator.region.pointee.pushBatch(words, many)
    if put < last {
      var chain = SlabChain()
      let lock = pointee.lock.lock()
      let before = pointee.objectsInUse
      let rest = unsafe UnsafeMutableBufferPointer(rebasing: many[put...])
      unsafe putObjects(rest, emptied: &chain, under: lock)
      countObjects(since: before, under: lock)
      let isNews = isNewlyIdle(under: lock)
      lock.unlock()
      release(chain)
      if isNews { tellOwner() }
    }
    unsafe free(objects[last])
  }
}
