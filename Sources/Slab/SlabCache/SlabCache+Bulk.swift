// Many objects at once: one sequence for those in the sheaf, one turn of the cache's lock for each
// slab's worth of the rest.

internal import SlabCore
internal import SlabPlatform

extension SlabCache where Object: ~Copyable {
  /// Objects that move between the cache and a caller in one turn.
  private static var turn: Int { 128 }

  /// Fills the rest of a span with objects that are charged to a group, or throws and has allocated
  /// none. O(free capacity of the span); locks and system calls as `allocate`.
  ///
  /// - Parameters:
  ///   - slots: the span to fill, for example of `SlabArray.append(addingCapacity:)`.
  ///   - group: who is charged.
  ///   - make: makes an object; called with 0, 1, 2 and so on.
  public func allocate(
    filling slots: inout OutputSpan<Slot<Object>>, in group: MemoryGroup,
    _ make: (Int) -> Object
  ) throws(SlabError) {
    var made = 0
    while slots.freeCapacity > 0 {
      let wanted = min(slots.freeCapacity, Self.turn)
      do throws(AllocatorError) {
        try unsafe withBuffer(wanted) { buffer throws(AllocatorError) in
          try unsafe Allocator(of: core.cache).allocate(bulk: buffer, from: core, in: group.core)
          for index in 0..<wanted {
            let slot = unsafe Slot<Object>(uninitializedAt: buffer[index])
            // SAFETY: the memory is ours and uninitialised.
            unsafe slot.pointer.initialize(to: make(made))
            slots.append(slot)
            made += 1
          }
        }
      } catch {
        for _ in 0..<made { _ = slots.removeLast() }
        throw SlabError(error, allocatingFrom: core, in: group.core)
      }
    }
  }

  /// Empties a span and frees the objects in it. O(count).
  public static func free(_ slots: inout OutputSpan<Slot<Object>>) {
    while !slots.isEmpty {
      let count = min(slots.count, turn)
      unsafe withBuffer(count) { buffer in
        for index in 0..<count {
          let address = slots.removeLast().endObject()
          unsafe buffer[index] = address
        }
        unsafe SharedHeap.free(bulk: buffer)
      }
    }
  }

  /// Runs a body with a buffer of addresses on the stack.
  private static func withBuffer<Failure: Error>(
    _ count: Int, _ body: (UnsafeMutableBufferPointer<UInt>) throws(Failure) -> Void
  ) throws(Failure) {
    var failure: Failure?
    // SAFETY: the buffer is used within its scope and its count.
    unsafe withUnsafeTemporaryAllocation(of: UInt.self, capacity: count) { buffer in
      do throws(Failure) { try unsafe body(buffer) } catch { failure = error }
    }
    if let failure { throw failure }
  }

  private func withBuffer<Failure: Error>(
    _ count: Int, _ body: (UnsafeMutableBufferPointer<UInt>) throws(Failure) -> Void
  ) throws(Failure) {
    try unsafe Self.withBuffer(count, body)
  }
}
