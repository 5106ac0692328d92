// SPDX-License-Identifier: Apache-2.0
// The group that a thread has entered.
// The names are those of C.
// swift-format-ignore-file: AlwaysUseLowerCamelCase

internal import CSlab
internal import SlabCore
internal import SlabPlatform

@c @implementation
public func slab_group_enter(_ group: OpaquePointer!) -> OpaquePointer! {
  let former = unsafe slab_group_save()
  unsafe slab_group_restore(group)
  return unsafe former
}

@c @implementation
public func slab_group_current() -> OpaquePointer! {
  unsafe slab_group_save() ?? slab_group_root()
}

/// The group that a caller names, or else the current one.
@inline(__always)
func groupOrCurrent(_ group: OpaquePointer?) throws(AllocatorError) -> Pointer<Group> {
  if let group = unsafe group ?? slab_group_save() { return unsafe Pointer(group) }
  return try sharedAllocator().rootGroup
}

extension Pointer where Pointee: ~Copyable {
  /// What is behind a handle of C's, which is the descriptor's address.
  @inline(__always)
  init(_ handle: OpaquePointer) {
    // SAFETY: the handle is one that this library has given out, and its caller holds it.
    unsafe self.init(nonzeroAddress: UInt(bitPattern: handle))
  }

  @inline(__always)
  var handle: OpaquePointer { unsafe OpaquePointer(unsafePointer) }
}
