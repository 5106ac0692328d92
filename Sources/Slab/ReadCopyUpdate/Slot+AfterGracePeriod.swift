internal import SlabCore
internal import SlabPlatform

extension Slot where Object: Sendable & ~Copyable {
  /// Ends the object and frees it after a grace period: to readers whose section is open it stays what
  /// it is until they are done. It stays charged until then, and is nobody's: `destroy` of its cache is
  /// not refused for it.
  ///
  /// A restartable sequence if the object needs no deinitialisation; otherwise a small allocation of
  /// the runtime's as well, and the object ends on a thread of the allocator's, in the root group. A
  /// flood is slowed: with 260,000 objects waiting some calls wait for 0.2 ms.
  ///
  /// May be called in a read-side section. But where the system has no memory even for a page of
  /// addresses, an object that needs no deinitialisation is waited for, which in a section is for ever.
  public consuming func freeAfterGracePeriod() {
    let address = UInt(bitPattern: unsafe leak())
    let allocator = Allocator(of: SharedHeap.cache(of: address)!)
    guard !_isPOD(Object.self) else { return allocator.freeAfterGracePeriod(address) }
    allocator.deferObject(address)
    DeferredClosure.call(
      {
        _ = Slot(uninitializedAt: address).endObject()
        allocator.freeDeferred(address)
      }, after: allocator)
  }
}
