// SPDX-License-Identifier: Apache-2.0
// The memory of the CPU layer: *stripes* of addresses, one for each CPU (restartable sequences) or for each of
// as many locks (locked stripes), a stride apart. A block has the same offset in every stripe, and
// a stripe's pages are touched only where the stripe is used. Below stripe 0 is the *shared stripe*, which is no
// CPU's: a counter whose sequence was restarted (percpu.h) is changed there, by an atomic addition.
//
//   offset 0            the stripe's lock (locked stripes, and the shared stripe)
//   64 ...              counters, 64 bytes a block
//   8 MiB ... 64 MiB    sheaves, in blocks of 64, 256, 1,088 and 4,288 bytes
//
// The larger blocks are no powers of two, so that the words `current` of many sheaves do not share
// their lowest twelve bits: a store delays a later load of another address with the same ones, and
// with all of them at the start of a page a pair took a quarter longer (measured). The same is why
// the first sheaf does not start with a page.
//
// Blocks of sheaves come from free lists and a mark that only rises until all of them are free.
// A free block's `current` is 0 on every stripe; the list runs through the first object's place of
// stripe 0.

internal import CSlabPlatform

package struct PerCPURegion: ~Copyable {
  package let mode: PerCPUMode
  /// With sequences, `nil`.
  package let fallbackReason: PerCPUMode.FallbackReason?
  /// CPUs or locks; at least 1.
  package let stripeCount: Int
  /// CPUs that there can be, or somewhat more; a guess where only locks hang on it.
  package let processorCount: Int
  let base: UInt
  let lock = Lock(.region)
  // Under `lock`:
  var countersEnd: UInt = 64
  var countersCommitted: UInt = Self.commitStep
  var sheavesEnd: UInt = Self.firstSheaf
  /// The most that `sheavesEnd` was before the last trim, by which alone it falls.
  var sheavesEndBeforeTrim: UInt = 0
  /// Bytes of sheaves that were ever given back to the system.
  var returnedBytes = 0
  var sheavesCommitted: UInt = Self.sheavesStart
  var freeSheaves = InlineArray<4, UInt>(repeating: 0)
  /// Sheaf blocks that are in use.
  package internal(set) var liveSheaves = 0
  /// Their bytes on each stripe.
  var liveSheafBytes = 0

  /// With one stripe, and the shared one.
  package static var fewestBytes: Int { 2 * Int(stride) }
  static var stride: UInt { 1 << UInt(slab_percpu_stride_shift) }
  static var sheavesStart: UInt { 8 << 20 }
  static var firstSheaf: UInt { sheavesStart + 0x740 }
  /// Bytes on each stripe that blocks of sheaves can have.
  package static var sheafBytesLimit: Int { Int(stride - firstSheaf) }
  static var commitStep: UInt { 64 << 10 }

  /// Sizes of sheaf blocks in bytes, the first word included.
  package static var sheafClassCount: Int { 4 }
  package static func sheafCapacity(ofClass index: Int) -> Int {
    sheafBytes(ofClass: index) / 8 - 1
  }
  static func sheafBytes(ofClass index: Int) -> Int {
    switch index {
    case 0: 64
    case 1: 256
    case 2: 1024 + 64
    default: 4096 + 192
    }
  }

  /// Reserves the addresses; fewer stripes where the limit on address space refuses, since locked
  /// stripes can be shared. Locked stripes also where it is unknown how many CPUs there can be.
  package init(
    mode: PerCPUMode, fallbackReason: PerCPUMode.FallbackReason? = nil
  ) throws(Errno) {
    var wanted = mode
    do throws(Errno) { processorCount = try SystemCall.processorBound() } catch {
      processorCount = SystemCall.guessedProcessorCount
      wanted = .lockedStripes
    }
    (base, self.mode, stripeCount) = try Self.reserve(wanted, processors: processorCount)
    if mode == .lockedStripes {
      self.fallbackReason = fallbackReason
    } else if self.mode == .restartableSequences {
      self.fallbackReason = nil
    } else {
      self.fallbackReason = wanted == .lockedStripes ? .unknownProcessors : .addressSpace
    }
  }

  /// The reservation with its first step usable.
  private static func reserve(
    _ wanted: PerCPUMode, processors: Int
  ) throws(Errno) -> (base: UInt, mode: PerCPUMode, stripes: Int) {
    var mode = wanted
    var stripes = wanted == .lockedStripes ? min(processors, 64) : processors
    while true {
      do throws(Errno) {
        return (try reserve(stripes: stripes), mode, stripes)
      } catch {
        guard stripes > 1 else { throw error }
        mode = .lockedStripes
        stripes = min(stripes / 2, 64)
      }
    }
  }

  private static func reserve(stripes: Int) throws(Errno) -> UInt {
    let bytes = (stripes + 1) * Int(stride)
    let start = try SystemCall.reserve(bytes: bytes)
    do throws(Errno) {
      for stripe in 0...stripes {
        try SystemCall.protectReadWrite(
          at: start + UInt(stripe) * stride, bytes: Int(commitStep))
      }
    } catch {
      try? SystemCall.unmap(at: start, bytes: bytes)
      throw error
    }
    // The locks need no initialising store, which would touch a page for each stripe: a free lock is all zeros.
    #if DEBUG
      // SAFETY: usable since the call above, and no other thread knows it yet; a stripe begins with its lock.
      for stripe in 0...stripes {
        unsafe Pointer<Lock>(nonzeroAddress: start + UInt(stripe) * stride).unsafePointer
          .initialize(to: Lock(.stripe))
      }
    #endif
    return start + stride
  }

  /// Bytes of addresses that it has.
  package var reservedBytes: Int { (stripeCount + 1) * Int(Self.stride) }

  /// Ends the reservation. Nothing may use it any more.
  package func unmap() { try? SystemCall.unmap(at: base - Self.stride, bytes: reservedBytes) }

  /// Where a counter's copy on the shared stripe is, from where its copy on stripe 0 is.
  @inline(__always)
  func sharedAddress(_ first: UInt) -> UInt { first - Self.stride }

  /// Where a block is on a stripe, from where it is on stripe 0.
  @inline(__always)
  package func address(_ first: UInt, onStripe stripe: Int) -> UInt {
    first + UInt(stripe) * Self.stride
  }

  // MARK: - fork

  /// Takes every lock, so that a child finds the stripes whole.
  package func prepareForFork() {
    lock.lock()
    sharedLock.pointee.lock()
    if mode == .lockedStripes {
      for stripe in 0..<stripeCount { stripeLock(stripe).pointee.lock() }
    }
  }

  /// Releases what `prepareForFork` took, in the parent and in the child.
  package func resumeAfterFork(inChild: Bool) {
    if mode == .lockedStripes {
      for stripe in 0..<stripeCount { stripeLock(stripe).pointee.unlock() }
    } else if inChild {
      // The registration is per process image; whether fork copies it differs between kernels.
      try? SystemCall.membarrier(.registerPrivateExpeditedRseq)
    }
    sharedLock.pointee.unlock()
    lock.unlock()
  }

  /// Held by a thread that reads a counter word and adds on the shared stripe, which a fence waits for.
  // SAFETY: a lock's place in the region, which is mapped as long as the region is.
  var sharedLock: Pointer<Lock> { unsafe Pointer(address: sharedAddress(base))! }

  /// The lock of a stripe; locked stripes only.
  @inline(__always)
  func stripeLock(_ stripe: Int) -> Pointer<Lock> {
    // SAFETY: a stripe's lock is at the beginning of its stride.
    unsafe Pointer(address: base + UInt(stripe) * Self.stride)!
  }
}
