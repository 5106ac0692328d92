// SPDX-License-Identifier: Apache-2.0
// Blocks of the per-CPU region: handing them out, taking them back, and the memory behind them.
//
// Methods of a pointer to the region and not of the region: they take its lock, and a method that
// changes a value has it for itself from its first to its last instruction, lock or no lock.

internal import CSlabPlatform

extension Pointer where Pointee == PerCPURegion {
  /// Makes offsets usable on every stripe.
  private func commit(from start: UInt, to end: UInt) throws(Errno) {
    for stripe in 0..<pointee.stripeCount {
      try SystemCall.protectReadWrite(
        at: pointee.base + UInt(stripe) * PerCPURegion.stride + start, bytes: Int(end - start))
    }
  }

  /// Bytes that may have been touched, over all stripes: an upper bound, since a stripe's pages are
  /// touched only where the stripe is used.
  package var usedBytes: Int {
    pointee.lock.lock()
    defer { pointee.lock.unlock() }
    return usedBytes(sheavesEnd: pointee.sheavesEnd)
  }

  /// The most that these were.
  package var usedBytesPeak: Int {
    pointee.lock.lock()
    defer { pointee.lock.unlock() }
    return usedBytes(sheavesEnd: max(pointee.sheavesEnd, pointee.sheavesEndBeforeTrim))
  }

  /// Bytes of sheaves that were ever given back to the system.
  package var returnedBytes: Int {
    pointee.lock.lock()
    defer { pointee.lock.unlock() }
    return pointee.returnedBytes
  }

  private func usedBytes(sheavesEnd: UInt) -> Int {
    func pages(_ bytes: UInt) -> Int { Int((bytes + 4095) & ~4095) }
    return pointee.stripeCount
      * (pages(pointee.countersEnd) + pages(sheavesEnd - PerCPURegion.sheavesStart))
  }

  /// Bytes on each stripe of the blocks of sheaves that are in use.
  package var sheafBytes: Int {
    pointee.lock.lock()
    defer { pointee.lock.unlock() }
    return pointee.liveSheafBytes
  }

  // MARK: - Sheaf blocks

  /// A block for a sheaf, empty on every stripe; `nil` if there is no memory for it.
  package func allocateSheaf(ofClass index: Int) -> UInt? {
    pointee.lock.lock()
    defer { pointee.lock.unlock() }
    let free = pointee.freeSheaves[index]
    if free != 0 {
      pointee.freeSheaves[index] = UInt(Words(at: free)[1])
      noteTaken(ofClass: index)
      return free
    }
    let start = pointee.sheavesEnd
    let end = start + UInt(PerCPURegion.sheafBytes(ofClass: index))
    if end > pointee.sheavesCommitted {
      guard pointee.sheavesCommitted + PerCPURegion.commitStep <= PerCPURegion.stride else {
        return nil
      }
      do {
        try commit(
          from: pointee.sheavesCommitted, to: pointee.sheavesCommitted + PerCPURegion.commitStep)
      } catch {
        return nil
      }
      pointee.sheavesCommitted += PerCPURegion.commitStep
    }
    pointee.sheavesEnd = end
    noteTaken(ofClass: index)
    return pointee.base + start
  }

  private func noteTaken(ofClass index: Int) {
    pointee.liveSheaves += 1
    pointee.liveSheafBytes += PerCPURegion.sheafBytes(ofClass: index)
  }

  /// Takes a block back. Its `current` must be 0 on every stripe and no sequence may use it: the
  /// caller has closed it, fenced and flushed.
  package func freeSheaf(_ first: UInt, ofClass index: Int) {
    pointee.lock.lock()
    defer { pointee.lock.unlock() }
    Words(at: first)[1] = UInt64(pointee.freeSheaves[index])
    pointee.freeSheaves[index] = first
    pointee.liveSheaves -= 1
    pointee.liveSheafBytes -= PerCPURegion.sheafBytes(ofClass: index)
  }

  /// Gives the memory of the sheaves back if none is in use; the bytes of address space given.
  package func trim() -> Int {
    pointee.lock.lock()
    defer { pointee.lock.unlock() }
    guard pointee.liveSheaves == 0, pointee.sheavesEnd > PerCPURegion.firstSheaf else { return 0 }
    let bytes = Int(pointee.sheavesCommitted - PerCPURegion.sheavesStart)
    for stripe in 0..<pointee.stripeCount {
      let start = pointee.base + UInt(stripe) * PerCPURegion.stride + PerCPURegion.sheavesStart
      do { try SystemCall.giveBack(at: start, bytes: bytes) } catch {
        // The memory stays ours; new blocks must find it zero all the same.
        zeroMemory(at: start, bytes: bytes)
      }
    }
    pointee.sheavesEndBeforeTrim = max(pointee.sheavesEnd, pointee.sheavesEndBeforeTrim)
    let before = usedBytes(sheavesEnd: pointee.sheavesEnd)
    pointee.sheavesEnd = PerCPURegion.firstSheaf
    pointee.returnedBytes += before - usedBytes(sheavesEnd: pointee.sheavesEnd)
    pointee.freeSheaves = InlineArray(repeating: 0)
    return bytes * pointee.stripeCount
  }

  // MARK: - Counter blocks

  /// Eight counters of 8 bytes, zero on every stripe; `nil` if there is no memory for them.
  ///
  /// Freed blocks are kept by the caller (a root cache's counters, of which there are few).
  package func allocateCounters() -> UInt? {
    pointee.lock.lock()
    defer { pointee.lock.unlock() }
    if pointee.countersEnd + 64 > pointee.countersCommitted {
      guard pointee.countersCommitted + PerCPURegion.commitStep <= PerCPURegion.sheavesStart else {
        return nil
      }
      do {
        let end = pointee.countersCommitted + PerCPURegion.commitStep
        try commit(from: pointee.countersCommitted, to: end)
        try SystemCall.protectReadWrite(
          at: pointee.sharedAddress(pointee.base + pointee.countersCommitted),
          bytes: Int(PerCPURegion.commitStep))
      } catch {
        return nil
      }
      pointee.countersCommitted += PerCPURegion.commitStep
    }
    defer { pointee.countersEnd += 64 }
    return pointee.base + pointee.countersEnd
  }

  /// Sets the counters of a block to zero, on every stripe. No thread may be adding to them.
  package func clearCounters(_ block: UInt) {
    zeroMemory(at: pointee.sharedAddress(block), bytes: 64)
    for stripe in 0..<pointee.stripeCount {
      zeroMemory(at: pointee.address(block, onStripe: stripe), bytes: 64)
    }
  }
}
