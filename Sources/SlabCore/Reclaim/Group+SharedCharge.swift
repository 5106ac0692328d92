// SPDX-License-Identifier: Apache-2.0
// Charging a shared group for an object, by the byte: from the CPU's stock, which is refilled by pages where there
// is room for that. Near a limit the object alone is charged, and before a refusal what other CPUs have in stock comes first.

internal import SlabPlatform
internal import Synchronization

extension Pointer where Pointee == Group {
  /// Charges a shared group, on which the caller holds a handle. A compare-and-swap, mostly; else as a new slab of another
  /// group. The bytes keep the payer.
  func chargeShared(bytes: Int, to payer: Pointer<Payer>) throws(AllocatorError) {
    let allocator = Pointer<EndingsState>(seenAs: pointee.allocator)
    let number = allocator.number(of: payer)
    let word = allocator.stockWord(of: number)
    if word.take(bytes, of: number) { return }
    allocator.letForkGoFirst()
    // A charge that is not a payer's yet.
    let lock = allocator.pages.pointee.lock.lock()
    allocator.takeInHand(under: lock)
    lock.unlock()
    defer { allocator.putDown() }
    let refill = chargeStock(for: bytes, goesOn: word.value?.payer == number)
    if refill > 0 {
      payer.pointee.charged.add(refill, ordering: .relaxed)
      if refill > bytes { allocator.giveBack(refill - bytes, to: payer) }
    } else {
      try chargeExactly(bytes, in: allocator)
      payer.pointee.charged.add(bytes, ordering: .relaxed)
    }
    reclaimAboveHigh()
  }

  /// Charges an object and more to put into the stock. Bytes; 0 if there is no room for that below each `max` and `high`.
  private func chargeStock(for bytes: Int, goesOn: Bool) -> Int {
    if goesOn, chargeAhead(Stock.furtherRefill, atLeast: bytes) { return Stock.furtherRefill }
    return chargeAhead(Stock.refill, atLeast: bytes) ? Stock.refill : 0
  }

  private func chargeAhead(_ amount: Int, atLeast bytes: Int) -> Bool {
    amount > bytes && hasRoomAhead(forBytes: amount) && charge(bytes: amount, .ahead) == nil
  }

  /// The object alone: there is less room than a page. A refusal that a stock could have avoided is none.
  private func chargeExactly(
    _ bytes: Int, in allocator: Pointer<EndingsState>
  ) throws(AllocatorError) {
    while let refusing = charge(bytes: bytes) {
      guard allocator.drainStocks(atOrBelow: refusing) == 0 else { continue }
      _ = try takeRun(RunShape(chargedBytes: bytes), orAtLeast: RunShape(chargedBytes: bytes))
      return
    }
  }
}
