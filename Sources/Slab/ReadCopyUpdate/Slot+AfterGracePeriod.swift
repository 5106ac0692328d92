internal import SlabCore
internal import SlabPlatform

extension Slot where Object: Sendable & ~Copyable {
  /// Ends the object and frees it after a grace period: to readers whose section is open it stays what
  /// it is until they are done. It stays charged until then. Never waits.
  ///
  /// A restartable sequence if the object needs no deinitialisation; otherwise a small allocation of
  /// the runtime's as well, and the object ends on a thread of the allocator's.
  public consuming func freeAfterGracePeriod() {
    let address = UInt(bitPattern: unsafe leak())
    let allocator = Allocator(of: SharedHeap.cache(of: address)!)
    if _isPOD(Object.self) {
      allocator.freeAfterGracePeriod(address)
    } else {
      DeferredClosure.call({ _ = Slot(uninitializedAt: address) }, after: allocator)
    }
  }
}
