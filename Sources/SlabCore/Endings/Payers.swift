// SPDX-License-Identifier: Apache-2.0
// Charges of objects in shared slabs: from the free of an object to the group that is charged by then, and what
// becomes of them when the group goes offline: what CPUs have in stock of it goes back, and from then on what is freed is
// uncharged at once. The thread that takes off the last charge of a group that only its charges kept releases it
// (Release.swift).

internal import SlabPlatform
internal import Synchronization

extension Pointer where Pointee: HasEndings & ~Copyable {
  /// Bytes of a payer are not in use any more, which keep it until then: into the CPU's stock, or to the group that is
  /// charged. Holding no lock. The payer may be gone when this returns. A compare-and-swap, mostly.
  func giveBack(_ bytes: Int, to payer: Pointer<Payer>) {
    let ends = shared.pointee.ends.load(ordering: .sequentiallyConsistent)
    guard !payer.pointee.isEnded.load(ordering: .sequentiallyConsistent) else {
      uncharge { _ in Stock(payer: self.number(of: payer), bytes: bytes) }
      return
    }
    let number = number(of: payer)
    let word = stockWord(of: number)
    pausePoint(.beforeStocking)
    if !word.put(bytes, of: number) {
      // The page lock, so that a child of fork finds what was in the word there or uncharged.
      uncharge { _ in word.exchange(Stock(payer: number, bytes: bytes)) }
    }
    // The group may have gone offline meanwhile, and have looked at the word before.
    guard ends != shared.pointee.ends.load(ordering: .sequentiallyConsistent) else { return }
    settle(word)
  }

  /// Uncharges what is in a word if its group has gone offline. Holding no lock. Nothing is taken out to be put back: another
  /// thread that looks meanwhile finds all there is.
  func settle(_ word: StockWord) {
    uncharge { _ in
      // Bytes in a word are charged, and are uncharged under this lock: they keep their payer.
      guard let stock = word.value,
        self.payer(stock.payer).pointee.isEnded.load(ordering: .sequentiallyConsistent)
      else { return nil }
      return word.takeAll(of: stock.payer)
    }
  }

  /// Uncharges what a body has taken, under the page lock. Its bytes.
  @discardableResult
  private func uncharge(_ body: (borrowing PagesLocked) -> Stock?) -> Int {
    var released = ReleasedPayers()
    let lock = pages.pointee.lock.lock()
    guard let stock = body(lock) else { return 0 }
    let group = uncharge(stock, released: &released, under: lock)
    lock.unlock()
    released.free(to: groupsState)
    if let group { letGo(of: group) }
    return stock.bytes
  }

  /// Takes bytes off a payer and the group that is charged, and those above. That group, if they were all that kept it. O(depth).
  private func uncharge(
    _ stock: Stock, released: inout ReleasedPayers, under lock: borrowing PagesLocked
  ) -> Pointer<Group>? {
    let payer = payer(stock.payer)
    let paying = payer.paying(under: lock)
    let left = payer.pointee.charged.subtract(stock.bytes, ordering: .relaxed).newValue
    invariant(left >= 0, "payer: more given back than was charged")
    if paying != payer { paying.pointee.inherited -= stock.bytes }
    let group = paying.pointee.group!
    group.uncharge(bytes: stock.bytes)
    let isLast = paying.pointee.keeping == .group && paying.chargedToGroup(under: lock) == 0
    if isLast { paying.pointee.keeping = .groupForAMoment }
    released.addIfUnused(payer, under: lock)
    return isLast ? group : nil
  }

  /// The last charge of a group that only its charges kept is gone.
  private func letGo(of group: Pointer<Group>) {
    var released = ReleasedDescriptors()
    let registry = lockRegistry()
    let lock = pages.pointee.lock.lock()
    group.pointee.payer!.pointee.keeping = .nothing
    lock.unlock()
    releaseIfUnused(group, released: &released, under: registry)
    let hasWork = lifecycle.pointee.reparentQueue != nil
    // The descriptors outlive the lock in this thread's hand.
    takeInHand(under: registry)
    registry.unlock()
    released.free(to: endingsState)
    putDown()
    if hasWork { kickWorkers() }
  }
}

// MARK: - Before a refusal

extension Pointer where Pointee: HasEndings & ~Copyable {
  /// Uncharges what CPUs have in stock for groups at and below one. Its bytes. O(CPUs + what is found × depth). Holding no lock.
  func drainStocks(atOrBelow group: Pointer<Group>) -> Int {
    var bytes = 0
    forEachStockWord { word in
      guard word.value != nil else { return }
      bytes += uncharge { lock in
        // As in `settle`.
        guard let stock = word.value else { return nil }
        let paying = payer(stock.payer).paying(under: lock)
        guard paying.pointee.group!.isAtOrBelow(group) else { return nil }
        return word.takeAll(of: stock.payer)
      }
    }
    return bytes
  }
}

// MARK: - The end of a group

extension Pointer where Pointee: HasEndings & ~Copyable {
  /// Whether objects of a group, or of one below it, may be in shared slabs.
  func hasShared(atOrBelow group: Pointer<Group>) -> Bool {
    let lock = pages.pointee.lock.lock()
    let hasChildren = (group.pointee.payer?.pointee.children ?? 0) > 0
    lock.unlock()
    return group.pointee.isShared || hasChildren
  }

  /// Of a group that is offline from now on. O(CPUs + depth).
  func endStocks(of group: Pointer<Group>, under registry: borrowing RegistryLocked) {
    guard group.pointee.isShared, let payer = group.pointee.payer else { return }
    // In this order, and before the words are looked at: see `giveBack`.
    payer.pointee.isEnded.store(true, ordering: .sequentiallyConsistent)
    shared.pointee.ends.add(1, ordering: .sequentiallyConsistent)
    let number = number(of: payer)
    // Once for all words: behind the lock the look is behind the change of `ends`, whatever the processor.
    var released = ReleasedPayers()
    let lock = pages.pointee.lock.lock()
    forEachStockWord(of: number) { word in
      guard let stock = word.takeAll(of: number) else { return }
      // The group keeps its payer, and is not settled: nothing ends here.
      _ = uncharge(stock, released: &released, under: lock)
    }
    lock.unlock()
    released.free(to: groupsState)
  }
}
