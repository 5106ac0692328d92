// SPDX-License-Identifier: Apache-2.0
public import SlabCore
public import Synchronization

/// What a cache of shared objects is made of: the value and, beside it, the count of its owners.
///
///     let sessions = try SlabCache<SharedObject<Session>>(named: "session")
///     let session = try sessions.allocate(sharing: Session(user: 42), in: tenant)
///     let other = session.share()
@frozen
public struct SharedObject<Value: ~Copyable>: ~Copyable {
  @usableFromInline let owners: Atomic<Int>
  @usableFromInline var value: Value

  @inlinable @inline(__always)
  init(_ value: consuming Value) {
    owners = Atomic(1)
    self.value = value
  }
}

/// One of several owners of an object: the last one frees it. One pointer wide; the count is in the
/// object's own slot, so sharing allocates nothing.
///
/// The value cannot be changed while it is shared: what has to, brings its own lock or atomics.
@frozen @safe
public struct SharedSlot<Value: ~Copyable>: ~Copyable {
  @usableFromInline let pointer: UnsafeMutablePointer<SharedObject<Value>>

  @inlinable @inline(__always)
  init(owning pointer: UnsafeMutablePointer<SharedObject<Value>>) { unsafe self.pointer = pointer }

  @inlinable @inline(__always)
  deinit {
    // Releasing, and acquiring for the last: what all owners did comes before the object's end.
    let left = unsafe pointer.pointee.owners.subtract(1, ordering: .acquiringAndReleasing)
      .newValue
    guard left == 0 else { return }
    // SAFETY: no other slot owns the object. Of the two fields only the value needs an end; ending them
    // together would go through the type's metadata.
    unsafe withUnsafeMutablePointer(to: &pointer.pointee.value) {
      _ = unsafe $0.deinitialize(count: 1)
    }
    SharedHeap.free(UInt(bitPattern: unsafe pointer))
  }

  /// The object. O(1), no lock.
  @inlinable
  public var value: Value {
    // SAFETY: the object is initialised, and it does not change while it is shared.
    @inline(__always) _read { yield unsafe pointer.pointee.value }
  }

  /// One owner more. An atomic addition.
  @inlinable @inline(__always)
  public borrowing func share() -> SharedSlot<Value> {
    // Relaxed: the caller's own share keeps the object; how the new one gets elsewhere orders the rest.
    unsafe pointer.pointee.owners.add(1, ordering: .relaxed)
    return unsafe SharedSlot(owning: pointer)
  }

  /// Whether there is no other owner. O(1).
  @inlinable
  public var isUnique: Bool {
    // Acquiring: pairs with the decrements of the other owners, which are done with it.
    unsafe pointer.pointee.owners.load(ordering: .acquiring) == 1
  }

  /// Changes the object if there is no other owner. O(1).
  ///
  /// - Returns: what the body returns, or `nil` without a call if it is shared.
  @inlinable
  public mutating func withUniqueValue<Result: ~Copyable, Failure: Error>(
    _ body: (inout Value) throws(Failure) -> Result
  ) throws(Failure) -> Result? {
    guard isUnique else { return nil }
    // SAFETY: a further owner can only come from `share` of this one, which is ours exclusively.
    return try unsafe body(&pointer.pointee.value)
  }
}

extension SharedSlot: @unchecked Sendable where Value: Sendable & ~Copyable {
  // Owners on several threads only look at the value; the last one ends it.
}

extension SlabCache where Object: ~Copyable {
  /// Allocates an object for several owners, charged to a group, and above it up to the root group, until
  /// the last owner ends. Costs as `allocate(_:in:)`.
  ///
  /// - Parameters:
  ///   - value: what the object is to be; if the call throws it is gone.
  ///   - group: the group that is charged.
  /// - Returns: the first owner.
  /// - Throws: `.limitReached`, `.groupOffline`, `.outOfMemory`, `.cacheDestroyed`.
  @inlinable @inline(__always)
  public func allocate<Value: ~Copyable>(
    sharing value: consuming Value, in group: MemoryGroup
  ) throws(SlabError) -> SharedSlot<Value> where Object == SharedObject<Value> {
    unsafe SharedSlot(owning: try allocate(SharedObject(value), in: group).leak())
  }

  /// The same, charged to the current group: see `MemoryGroup.withCurrent`.
  ///
  /// - Throws: `.limitReached`, `.groupOffline`, `.outOfMemory`, `.cacheDestroyed`.
  @inlinable @inline(__always)
  public func allocate<Value: ~Copyable>(
    sharing value: consuming Value
  ) throws(SlabError) -> SharedSlot<Value> where Object == SharedObject<Value> {
    unsafe SharedSlot(owning: try allocate(SharedObject(value)).leak())
  }

  /// Allocates an object for several owners if there is memory for it within the limits, and makes it only
  /// then. As `allocateIfPossible(in:_:)`.
  @inlinable @inline(__always)
  public func allocateSharedIfPossible<Value: ~Copyable, Failure: Error>(
    in group: MemoryGroup, _ make: () throws(Failure) -> Value
  ) throws(Failure) -> SharedSlot<Value>? where Object == SharedObject<Value> {
    let slot = try allocateIfPossible(in: group) { () throws(Failure) in SharedObject(try make()) }
    guard let slot else { return nil }
    return unsafe SharedSlot(owning: slot.leak())
  }

  /// The same, charged to the current group.
  @inlinable @inline(__always)
  public func allocateSharedIfPossible<Value: ~Copyable, Failure: Error>(
    _ make: () throws(Failure) -> Value
  ) throws(Failure) -> SharedSlot<Value>? where Object == SharedObject<Value> {
    let slot = try allocateIfPossible { () throws(Failure) in SharedObject(try make()) }
    guard let slot else { return nil }
    return unsafe SharedSlot(owning: slot.leak())
  }
}
