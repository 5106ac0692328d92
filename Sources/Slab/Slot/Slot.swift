// SPDX-License-Identifier: Apache-2.0
public import SlabCore
internal import SlabPlatform

/// The owner of one object of a `SlabCache`: one pointer wide, not copyable, frees the object when it
/// ends.
///
/// An object may outlive the group that it is charged to, and its cache. It is `Sendable` if the object
/// is; where it is freed does not matter.
///
/// For an object with several owners there is `SharedSlot`.
@frozen @safe
public struct Slot<Object: ~Copyable>: ~Copyable {
  /// Of a live, initialised object that no other slot owns.
  @usableFromInline let pointer: UnsafeMutablePointer<Object>

  /// For a caller that initialises the object next, before anything else happens to the slot.
  @inlinable @inline(__always)
  init(uninitializedAt address: UInt) {
    // SAFETY: the address of an object, never 0, aligned for its type by its cache.
    unsafe pointer = UnsafeMutablePointer(bitPattern: address).unsafelyUnwrapped
  }

  @inlinable @inline(__always)
  init(owning pointer: UnsafeMutablePointer<Object>) { unsafe self.pointer = pointer }

  @inlinable @inline(__always)
  deinit {
    // SAFETY: the object is initialised and ours; it cannot be reached any more.
    unsafe pointer.deinitialize(count: 1)
    SharedHeap.free(UInt(bitPattern: unsafe pointer))
  }

  /// The object. O(1), no lock.
  @inlinable
  public var value: Object {
    // SAFETY: the object is initialised, and the slot's own exclusivity is that of the object.
    @inline(__always) _read { yield unsafe pointer.pointee }
    @inline(__always) _modify { yield unsafe &pointer.pointee }
  }

  /// Moves the object out and frees its memory: a restartable sequence, or a short lock; never waits for an
  /// ending. The group is uncharged by the page, when slabs go back.
  @inlinable @inline(__always)
  public consuming func consume() -> Object {
    // SAFETY: the object is initialised; its memory is freed as uninitialised.
    let value = unsafe pointer.move()
    SharedHeap.free(UInt(bitPattern: unsafe pointer))
    discard self
    return value
  }

  /// Gives up ownership without freeing, for C or for structures of one's own. `SlabCache.adopt` takes
  /// the object back; until then it stays charged. O(1).
  @inlinable @inline(__always)
  public consuming func leak() -> UnsafeMutablePointer<Object> {
    let pointer = unsafe self.pointer
    discard self
    return unsafe pointer
  }

  /// Ends the object, and gives up its memory to the caller, which frees it.
  @inlinable @inline(__always)
  consuming func endObject() -> UInt {
    // SAFETY: the object is initialised and ours.
    unsafe pointer.deinitialize(count: 1)
    let address = UInt(bitPattern: unsafe pointer)
    discard self
    return address
  }
}

extension Slot: @unchecked Sendable where Object: Sendable & ~Copyable {
  // It owns its object alone, as a value would.
}

extension SlabCache where Object: ~Copyable {
  /// Takes an object back that a slot of this cache has leaked. O(1).
  ///
  /// - Precondition: the object is live and initialised, and no slot owns it. What is no object of this
  ///   cache ends the process.
  @unsafe
  public func adopt(_ object: UnsafeMutablePointer<Object>) -> Slot<Object> {
    SharedHeap.checkObject(UInt(bitPattern: object), of: core)
    return unsafe Slot(owning: object)
  }
}
