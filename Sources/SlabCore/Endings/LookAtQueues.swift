// SPDX-License-Identifier: Apache-2.0
// What the workers do, in one look: the batches and queues of Lifecycle.swift, each of which has a file. And the same
// by a thread that cannot wait for them.

internal import SlabPlatform
internal import Synchronization

extension Pointer where Pointee: HasEndings & ~Copyable {
  /// One look at everything there is to do. True if there was something.
  func lookAtQueues() -> Bool {
    let fenced = runFenceBatch()
    // A fork that waits for the busy lock gets it before the rest, which another look does.
    guard !ForkGate.isForkingSoon else { return true }
    let destroyed = runDestroyQueue()
    let released = runBarrierBatch()
    let reparented = runReparentQueue()
    let discarded = runDiscardQueue()
    let tookBack = takeBackColdSheaves()
    let gaveBack = giveBackCold()
    return fenced || destroyed || released || reparented || discarded || tookBack || gaveBack
  }

  /// Does what waits for the workers at and below a group, as far as no other thread is at it: for a thread
  /// that needs the memory now. Bounded: see `takeBatch`. Holding no lock.
  func helpWorkers(below group: Pointer<Group>) {
    guard lifecycle.pointee.pending.load(ordering: .relaxed) > 0, group.hasEndings else { return }
    // A busy lock, so that fork waits for us as for them.
    for index in 0..<Workers.most {
      guard let busy = lifecycle.pointee.workers.busy[index].tryLock() else { continue }
      _ = runFenceBatch(below: group)
      _ = runDiscardQueue(below: group)
      return busy.unlock()
    }
  }
}
