// SPDX-License-Identifier: Apache-2.0
internal import SlabCore
internal import SlabPlatform

extension Slot where Object: Sendable & ~Copyable {
  /// Ends the object and frees it after a grace period: to readers whose section is open it stays what
  /// it is until they are done. It stays charged until then, and has no owner: `destroy` of its cache is
  /// not refused for it.
  ///
  /// A restartable sequence if the object needs no deinitialisation; otherwise a record of 64 bytes that
  /// no group is charged for, and the object ends on a thread of the allocator's, in the root group. A
  /// flood is slowed: with 260,000 objects waiting some calls wait for 0.2 ms.
  ///
  /// Takes nothing from the heap. Where the system has no memory even for a record, the call waits for the
  /// grace period, for 1 s at most; in a read-side section of the caller's own the object is lost then, and
  /// a line on standard error says so. Where the system gives the allocator no thread, objects end in some
  /// of these calls, and wherever one waits.
  public consuming func freeAfterGracePeriod() {
    let address = UInt(bitPattern: unsafe leak())
    let allocator = Allocator(of: SharedHeap.cache(of: address)!)
    guard !_isPOD(Object.self) else { return allocator.freeAfterGracePeriod(address) }
    allocator.deferObject(address)
    DeferredRecord.end(address, by: EndOfObject<Object>.self, after: allocator)
  }
}
