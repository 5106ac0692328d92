internal import SlabCore
internal import SlabPlatform

/// A closure that waits for a grace period: in a block of its own, which ends with the call.
@safe
struct DeferredClosure: ~Copyable {
  /// First: its address is the block's.
  private var head = GracePeriodCallback()
  private let body: () -> Void

  private init(_ body: @escaping () -> Void) { self.body = body }

  /// Calls a closure after a grace period, on a thread of the allocator's.
  static func call(_ body: @escaping () -> Void, after allocator: Allocator) {
    unsafe allocator.call(makeHead(body), run)
  }

  /// Calls a closure after a barrier, on a thread of the allocator's or, if that waits for nothing, here.
  static func call(_ body: @escaping () -> Void, afterBarrierOf allocator: Allocator) {
    unsafe allocator.barrier(callingAfter: makeHead(body), run)
  }

  private static func makeHead(_ body: @escaping () -> Void) -> Pointer<GracePeriodCallback> {
    let block = UnsafeMutablePointer<DeferredClosure>.allocate(capacity: 1)
    unsafe block.initialize(to: DeferredClosure(body))
    return Pointer(nonzeroAddress: UInt(bitPattern: block))
  }

  private static let run: GracePeriodCallback.Function = { head in
    // SAFETY: the head is the first field of the block, which is ours again.
    let block = unsafe head.assumingMemoryBound(to: DeferredClosure.self)
    let closure = unsafe block.move()
    unsafe block.deallocate()
    closure.body()
  }
}
