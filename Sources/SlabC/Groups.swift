// SPDX-License-Identifier: Apache-2.0
// Groups: a handle is the address of the core's descriptor. The core closes a group with its last handle, and wants
// that no group loses it before the groups below do: so a hold on a group is a handle on it and on all above it.
// The names are those of C.
// swift-format-ignore-file: AlwaysUseLowerCamelCase

public import CSlab
internal import SlabCore
internal import SlabPlatform

@c @implementation
public func slab_group_root() -> OpaquePointer! {
  do throws(AllocatorError) { return unsafe try sharedAllocator().rootGroup.handle } catch {
    return nil
  }
}

@c @implementation
public func slab_group_create(
  _ parent: OpaquePointer!, _ name: UnsafePointer<CChar>!, _ max: Int,
  _ group: UnsafeMutablePointer<OpaquePointer?>!
) -> slab_error {
  answer { () throws(AllocatorError) in
    let parent = unsafe try groupOrCurrent(parent)
    let name = unsafe Text(name)
    guard name.isUTF8 else { throw .invalidName }
    let allocator = Allocator(of: parent)
    let made = try allocator.makeGroup(
      named: name.bytes, below: parent, isUnique: name.isThere, max: bytes(max))
    hold(parent)
    unsafe group.pointee = made.handle
  }
}

@c @implementation
public func slab_group_share(_ group: OpaquePointer!) -> slab_error {
  answer { () throws(AllocatorError) in
    let group = unsafe try groupOrCurrent(group)
    try Allocator(of: group).share(group)
  }
}

@c @implementation
public func slab_group_find(
  _ from: OpaquePointer!, _ path: UnsafePointer<CChar>!,
  _ group: UnsafeMutablePointer<OpaquePointer?>!
) -> slab_error {
  var isFound = false
  let error = answer { () throws(AllocatorError) in
    let path = unsafe Text(path).bytes
    var start = 0
    var found = unsafe try groupOrCurrent(from)
    if !path.isEmpty, path[0] == UInt8(ascii: "/") {
      found = Allocator(of: found).rootGroup
      start = 1
    }
    hold(found)
    while start < path.count {
      var end = start
      while end < path.count, path[end] != UInt8(ascii: "/") { end += 1 }
      let name = path.extracting(start..<end)
      guard let child = Allocator(of: found).child(named: name, of: found) else {
        return drop(found)
      }
      found = child
      start = end + 1
    }
    isFound = true
    unsafe group.pointee = found.handle
  }
  return error == SLAB_OK && !isFound ? SLAB_NO_SUCH_GROUP : error
}

@c @implementation
public func slab_group_hold(_ group: OpaquePointer!) { unsafe hold(Pointer(group)) }

@c @implementation
public func slab_group_drop(_ group: OpaquePointer!) {
  guard let group = unsafe group else { return }
  unsafe drop(Pointer(group))
}

@c @implementation
public func slab_group_close(_ group: OpaquePointer!) -> slab_error {
  let error = answer { () throws(AllocatorError) in
    let group = unsafe try groupOrCurrent(group)
    try Allocator(of: group).close(group)
  }
  return error == SLAB_GROUP_OFFLINE ? SLAB_OK : error
}

@c @implementation
public func slab_group_discard(_ group: OpaquePointer!) -> slab_error {
  answer { () throws(AllocatorError) in
    let group = unsafe try groupOrCurrent(group)
    try Allocator(of: group).discard(group)
  }
}

/// Takes a handle on a group and on each above it, on which the caller has some.
func hold(_ group: Pointer<Group>) {
  var next: Pointer<Group>? = group
  // The root group has none.
  while let held = next, let parent = held.parent {
    Allocator(of: held).retain(held)
    next = parent
  }
}

/// The opposite, from below: a group's handle keeps it until those below are given back.
func drop(_ group: Pointer<Group>) {
  var next: Pointer<Group>? = group
  while let held = next, let parent = held.parent {
    Allocator(of: held).release(held)
    next = parent
  }
}
