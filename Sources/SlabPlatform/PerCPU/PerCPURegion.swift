// The memory of the CPU layer: one stride of addresses per slot, a slot being a CPU (restartable
// sequences) or one of as many locks (locked slots). A block has the same offset in every slot, and
// a slot's pages are touched only where the slot is used. Below slot 0 is the *shared slot*, which is no
// CPU's: a counter whose sequence was restarted (percpu.h) is changed there, by an atomic addition.
//
//   offset 0            the slot's lock (locked slots, and the shared slot)
//   64 ...              counters, 64 bytes a block
//   8 MiB ... 64 MiB    sheaves, in blocks of 64, 256, 1,088 and 4,288 bytes
//
// The larger blocks are no powers of two, so that the words `current` of many sheaves do not share
// their lowest twelve bits: a store delays a later load of another address with the same ones, and
// with all of them at the start of a page a pair took a quarter longer (measured). The same is why
// the first sheaf does not start with a page.
//
// Blocks of sheaves come from free lists and a mark that only rises until all of them are free.
// A free block's `current` is 0 on every slot; the list runs through the first object's place of
// slot 0.

internal import CSlabPlatform

package struct PerCPURegion: ~Copyable {
  package let mode: PerCPUMode
  /// CPUs or locks; at least 1.
  package let slotCount: Int
  /// CPUs that there can be, or somewhat more; a guess where only locks hang on it.
  package let processorCount: Int
  let base: UInt
  let lock = Lock()
  // Under `lock`:
  var countersEnd: UInt = 64
  var countersCommitted: UInt = Self.commitStep
  var sheavesEnd: UInt = Self.firstSheaf
  var sheavesCommitted: UInt = Self.sheavesStart
  var freeSheaves = InlineArray<4, UInt>(repeating: 0)
  /// Sheaf blocks that are in use.
  package internal(set) var liveSheaves = 0
  /// Their bytes on each slot.
  var liveSheafBytes = 0

  /// With one slot, and the shared one.
  package static var fewestBytes: Int { 2 * Int(stride) }
  static var stride: UInt { 1 << UInt(slab_percpu_stride_shift) }
  static var sheavesStart: UInt { 8 << 20 }
  static var firstSheaf: UInt { sheavesStart + 0x740 }
  /// Bytes on each slot that blocks of sheaves can have.
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

  /// Reserves the addresses; fewer slots where the limit on address space refuses, since locked
  /// slots can be shared. Locked slots also where nobody knows how many CPUs there can be.
  package init(mode: PerCPUMode) throws(Errno) {
    var mode = mode
    do throws(Errno) { processorCount = try SystemCall.processorBound() } catch {
      processorCount = SystemCall.guessedProcessorCount
      mode = .lockedSlots
    }
    (base, self.mode, slotCount) = try Self.reserve(mode, processors: processorCount)
  }

  /// The reservation with its first step usable.
  private static func reserve(
    _ wanted: PerCPUMode, processors: Int
  ) throws(Errno) -> (base: UInt, mode: PerCPUMode, slots: Int) {
    var mode = wanted
    var slots = wanted == .lockedSlots ? min(processors, 64) : processors
    while true {
      do throws(Errno) {
        return (try reserve(slots: slots), mode, slots)
      } catch {
        guard slots > 1 else { throw error }
        mode = .lockedSlots
        slots = min(slots / 2, 64)
      }
    }
  }

  private static func reserve(slots: Int) throws(Errno) -> UInt {
    let bytes = (slots + 1) * Int(stride)
    let start = try SystemCall.reserve(bytes: bytes)
    do throws(Errno) {
      for slot in 0...slots {
        try SystemCall.protectReadWrite(
          at: start + UInt(slot) * stride, bytes: Int(commitStep))
      }
    } catch {
      try? SystemCall.unmap(at: start, bytes: bytes)
      throw error
    }
    // The locks need no initialising store: a free lock is all zeros.
    return start + stride
  }

  /// Ends the reservation. Nothing may use it any more.
  package func unmap() {
    try? SystemCall.unmap(at: base - Self.stride, bytes: (slotCount + 1) * Int(Self.stride))
  }

  /// Where a counter's copy on the shared slot is, from where its copy on slot 0 is.
  @inline(__always)
  func sharedAddress(_ first: UInt) -> UInt { first - Self.stride }

  /// Where a block is on a slot, from where it is on slot 0.
  @inline(__always)
  package func address(_ first: UInt, onSlot slot: Int) -> UInt {
    first + UInt(slot) * Self.stride
  }

  // MARK: - fork

  /// Takes every lock, so that a child finds the slots whole.
  package func prepareForFork() {
    lock.lock()
    sharedLock.pointee.lock()
    if mode == .lockedSlots {
      for slot in 0..<slotCount { slotLock(slot).pointee.lock() }
    }
  }

  /// Releases what `prepareForFork` took, in the parent and in the child.
  package func resumeAfterFork(inChild: Bool) {
    if mode == .lockedSlots {
      for slot in 0..<slotCount { slotLock(slot).pointee.unlock() }
    } else if inChild {
      // The registration is per process image; whether fork copies it differs between kernels.
      try? SystemCall.membarrier(.registerPrivateExpeditedRseq)
    }
    sharedLock.pointee.unlock()
    lock.unlock()
  }

  /// Held by a thread that reads a counter word and adds on the shared slot, which a fence waits for.
  var sharedLock: Pointer<Lock> { Pointer(address: sharedAddress(base))! }

  /// The lock of a slot; locked slots only.
  @inline(__always)
  func slotLock(_ slot: Int) -> Pointer<Lock> {
    Pointer(address: base + UInt(slot) * Self.stride)!
  }
}
