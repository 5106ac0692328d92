// Many objects at once: one sequence for those in the sheaf, one turn of the lock for the rest.

package import SlabPlatform

extension Pointer where Pointee == Cache {
  /// Fills the buffer with objects, or throws and has allocated none.
  package func allocate(
    bulk objects: UnsafeMutableBufferPointer<UInt>
  ) throws(AllocatorError) {
    let count = objects.count
    var have = unsafe pointee.allocator.pointee.region.popBatch(words, into: objects)
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
      pointee.lock.lock()
      let before = pointee.objectsInUse
      while have < count, pointee.partialFirst != nil {
        unsafe objects[have] = takeObject()
        have += 1
      }
      countObjects(since: before)
      pointee.lock.unlock()
    }
  }

  /// Frees objects that are known to be all of this cache, which may be gone when this returns.
  package func free(bulk objects: UnsafeMutableBufferPointer<UInt>) {
    guard objects.count > 0 else { return }
    // All but the last may go to the sheaf in one sequence. The last is freed by itself: until
    // then it keeps the cache alive.
    let last = objects.count - 1
    let many = unsafe UnsafeMutableBufferPointer(rebasing: objects[..<last])
    let put = unsafe pointee.allocator.pointee.region.pushBatch(words, many)
    if put < last {
      var chain = SlabChain()
      pointee.lock.lock()
      let before = pointee.objectsInUse
      for index in put..<last { unsafe putObject(many[index], emptied: &chain) }
      countObjects(since: before)
      let isNews = isNewlyIdle()
      pointee.lock.unlock()
      release(chain)
      if isNews { listGroup() }
    }
    unsafe free(objects[last])
  }
}
