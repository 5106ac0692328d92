// SPDX-License-Identifier: Apache-2.0
// After the grace period: a page of addresses is one callback, which frees them.

internal import SlabPlatform
internal import Synchronization

/// A page of addresses that waits for a grace period.
struct DeferredPage: ~Copyable {
  /// First: its address is the page's.
  var callback = GracePeriodCallback()
  let allocator: Pointer<DeferredState>
  var count = 0
  // Behind it, `count` addresses.

  init(allocator: Pointer<DeferredState>) { self.allocator = allocator }

  static var bytes: Int { 4112 }
  /// Addresses behind the fields: 510. A sheaf that is full has 509, and the one that found no room comes
  /// with them.
  static var capacity: Int { (bytes - 32) / 8 }
}

extension Pointer where Pointee == DeferredPage {
  /// The addresses behind the fields.
  var objects: UnsafeMutablePointer<UInt> {
    // SAFETY: the page has room for `capacity` words there, aligned to 8.
    unsafe UnsafeMutablePointer(bitPattern: address + 32).unsafelyUnwrapped
  }

  func queue() {
    let allocator = pointee.allocator
    // SAFETY: the first `count` addresses are initialised.
    unsafe allocator.countDeferred(
      UnsafeMutableBufferPointer(start: objects, count: pointee.count))
    // SAFETY: the one is the first field of the other.
    let head = unsafe Pointer<GracePeriodCallback>(nonzeroAddress: address)
    let pages = allocator.deferredFrees.pointee.pages.add(1, ordering: .relaxed).newValue
    unsafe allocator.enqueue(head, freeDeferredPage)
    if pages % DeferredFrees.flood == 0 { allocator.kickCallbackWorker(isHurried: true) }
  }
}

private func freeDeferredPage(_ head: UnsafeMutableRawPointer) {
  // SAFETY: the head is the first field of its page.
  let page = unsafe Pointer<DeferredPage>(head.assumingMemoryBound(to: DeferredPage.self))
  let state = page.pointee.allocator
  // SAFETY: the first `count` addresses are initialised.
  unsafe state.freeDeferred(
    UnsafeMutableBufferPointer(start: page.objects, count: page.pointee.count))
  state.freeInternal(page.address)
  state.deferredFrees.pointee.pages.subtract(1, ordering: .relaxed)
}

extension Pointer where Pointee: HasDeferred & ~Copyable {
  /// After their grace period: runs of objects of one cache go together.
  func freeDeferred(_ objects: UnsafeMutableBufferPointer<UInt>) {
    let allocator = self
    beginFreeing()
    defer { deferredFrees.pointee.freeing.subtract(1, ordering: .sequentiallyConsistent) }
    var start = 0
    while start < objects.count {
      guard let cache = unsafe allocator.cache(of: objects[start]) else {
        fatal("free: an object that awaited a grace period is gone (was its group discarded?)")
      }
      var end = start + 1
      while end < objects.count, unsafe allocator.cache(of: objects[end]) == cache { end += 1 }
      // Before the objects are free: afterwards the cache may be gone.
      cache.pointee.root.add(start - end, to: RootCache.Sum.deferred)
      // Partner: the acquiring load of `objectCount`. A thread that counts an object as free has seen
      // that it is not deferred any more. Without the fence it would be taken off the live ones twice.
      atomicMemoryFence(ordering: .releasing)
      pausePoint(.beforeFreeingDeferred)
      unsafe cache.freeAwaited(UnsafeMutableBufferPointer(rebasing: objects[start..<end]))
      start = end
    }
  }

  /// When they have left the sheaf: for their groups, as `freeDeferred` expects.
  func countDeferred(_ objects: UnsafeMutableBufferPointer<UInt>) {
    let allocator = self
    var start = 0
    while start < objects.count {
      let cache = unsafe allocator.cache(of: objects[start])
      var end = start + 1
      while end < objects.count, unsafe allocator.cache(of: objects[end]) == cache { end += 1 }
      // One that is of no cache any more is found when it is to be freed.
      if let cache {
        unsafe cache.countAwaiting(
          1, of: UnsafeMutableBufferPointer(rebasing: objects[start..<end]))
      }
      start = end
    }
  }

  /// Waits while a thread counts. Sequentially consistent, as is the opposite: one of the two sees the other one.
  private func beginFreeing() {
    let deferred = deferredFrees
    var looks = 0
    while true {
      deferred.pointee.freeing.add(1, ordering: .sequentiallyConsistent)
      if deferred.pointee.counting.load(ordering: .sequentiallyConsistent) == 0 { return }
      deferred.pointee.freeing.subtract(1, ordering: .sequentiallyConsistent)
      looks += 1
      pause(afterLooks: looks)
    }
  }

  /// Runs a body while no thread frees objects after their grace period: every object is deferred, free or a user's.
  /// Waits for at most a page of objects for each thread that does. The caller holds no lock.
  func withoutFreeing<Result>(
    _ body: () throws(AllocatorError) -> Result
  ) throws(AllocatorError) -> Result {
    let deferred = deferredFrees
    deferred.pointee.counting.add(1, ordering: .sequentiallyConsistent)
    defer { deferred.pointee.counting.subtract(1, ordering: .sequentiallyConsistent) }
    var looks = 0
    while deferred.pointee.freeing.load(ordering: .sequentiallyConsistent) > 0 {
      looks += 1
      pause(afterLooks: looks)
    }
    return try body()
  }
}
