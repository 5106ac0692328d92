// SPDX-License-Identifier: Apache-2.0
// What is in the memory of a block: made zero, or moved to another place. Holding no lock. The kernel does both
// for whole pages without a look at them; where it does not, the bytes are written.

internal import SlabPlatform

extension Pointer where Pointee == PageAllocator {
  /// Bytes from which on the kernel is asked: a call, and a fault for each page that is used later, cost what as
  /// many bytes cost to be written.
  private static var leastBytesForKernel: Int { 1 << 20 }

  /// Makes a run read as zeros.
  func clear(_ run: Run) {
    let start = pointee.map.address(ofUnit: run.unit)
    let grain = SystemCall.pageBytes - 1
    if run.bytes >= 4 * Self.leastBytesForKernel, (Int(start) | run.bytes) & grain == 0 {
      do { return try SystemCall.giveBack(at: start, bytes: run.bytes) } catch {}
    }
    zeroMemory(at: start, bytes: run.bytes)
  }

  /// Moves whole pages from the start of one block to that of another one, which has nothing yet. Whether the kernel
  /// has done it, so that the old ones are zero.
  func moveContents(from source: UInt, to target: UInt, bytes: Int) -> Bool {
    if bytes >= Self.leastBytesForKernel {
      do {
        try SystemCall.movePages(from: source, to: target, bytes: bytes)
        return true
      } catch {}
    }
    copyMemory(from: source, to: target, bytes: bytes)
    return false
  }
}
