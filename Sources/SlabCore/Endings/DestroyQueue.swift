// SPDX-License-Identifier: Apache-2.0
// Dying caches, between the thread that gave the last slab back, which may be any thread that frees, and the destroy
// worker, which shuts them down (Shutdown.swift).

internal import SlabPlatform
internal import Synchronization

extension Pointer where Pointee: HasEndings & ~Copyable {
  /// Puts a dying cache on the destroy queue. The caller must not touch it any more: it may be
  /// released before this returns.
  func enqueueDying(_ cache: Pointer<Cache>) {
    notePending()
    var head = lifecycle.pointee.destroyQueue.load(ordering: .relaxed)
    while true {
      // SAFETY: what has been pushed keeps its descriptor until it is taken off.
      cache.pointee.nextInChain = unsafe Pointer<Cache>(address: head)
      // Releasing: pairs with the acquiring exchange in `takeDying`.
      let (done, now) = lifecycle.pointee.destroyQueue.compareExchange(
        expected: head, desired: cache.address, ordering: .acquiringAndReleasing)
      if done { break }
      head = now
    }
    kickWorkers()
  }

  /// Takes the whole destroy queue.
  func takeDying() -> Pointer<Cache>? {
    guard lifecycle.pointee.destroyQueue.load(ordering: .relaxed) != 0 else { return nil }
    // SAFETY: what has been pushed keeps its descriptor until it is taken off.
    return unsafe Pointer<Cache>(
      address: lifecycle.pointee.destroyQueue.exchange(0, ordering: .acquiring))
  }

  /// The destroy worker: shuts down every cache that was on the queue. True if there was one.
  func runDestroyQueue() -> Bool {
    var next = takeDying()
    guard next != nil else { return false }
    while let cache = next {
      next = cache.pointee.nextInChain
      shutDown(cache)
      noteDone(1)
    }
    return true
  }
}
