// SPDX-License-Identifier: Apache-2.0
// What a group says about itself, and its limits.
// The names are those of C.
// swift-format-ignore-file: AlwaysUseLowerCamelCase

public import CSlab
internal import SlabCore
internal import SlabPlatform
internal import Synchronization

/// A number of bytes of C's, as the core has it: what is beyond its numbers is no limit.
@inline(__always)
func bytes(_ size: Int) -> Int { size < 0 ? Group.unlimited : size }

/// The opposite, for limits.
private func size(_ limit: Int) -> Int { limit == Group.unlimited ? -1 : limit }

/// A group that is asked about. The root group has no allocator before the first use, nor anything to tell.
private func read<Result>(
  _ group: OpaquePointer?, otherwise: Result, _ body: (Pointer<Group>) -> Result
) -> Result {
  do throws(AllocatorError) { return body(unsafe try groupOrCurrent(group)) } catch {
    return otherwise
  }
}

private func change(
  _ group: OpaquePointer?, _ body: (Pointer<Group>) throws(AllocatorError) -> Void
) -> slab_error {
  answer { () throws(AllocatorError) in try body(unsafe groupOrCurrent(group)) }
}

@c @implementation
public func slab_group_is_online(_ group: OpaquePointer!) -> Bool {
  unsafe read(group, otherwise: true) { $0.isOnline }
}

@c @implementation
public func slab_group_is_shared(_ group: OpaquePointer!) -> Bool {
  unsafe read(group, otherwise: false) { $0.isShared }
}

@c @implementation
public func slab_group_is_drained(_ group: OpaquePointer!) -> Bool {
  unsafe read(group, otherwise: false) { Allocator(of: $0).isDrained($0) }
}

@c @implementation
public func slab_group_parent(_ group: OpaquePointer!) -> OpaquePointer! {
  unsafe read(group, otherwise: nil) { unsafe $0.parent?.handle }
}

@c @implementation
public func slab_group_usage(_ group: OpaquePointer!) -> Int {
  unsafe read(group, otherwise: 0) { $0.pointee.current.load(ordering: .relaxed) }
}

@c @implementation
public func slab_group_peak(_ group: OpaquePointer!) -> Int {
  unsafe read(group, otherwise: 0) { $0.pointee.peak.load(ordering: .relaxed) }
}

@c @implementation
public func slab_group_max(_ group: OpaquePointer!) -> Int {
  unsafe read(group, otherwise: -1) { size($0.pointee.max.load(ordering: .relaxed)) }
}

@c @implementation
public func slab_group_high(_ group: OpaquePointer!) -> Int {
  unsafe read(group, otherwise: -1) { size($0.pointee.high.load(ordering: .relaxed)) }
}

@c @implementation
public func slab_group_low(_ group: OpaquePointer!) -> Int {
  unsafe read(group, otherwise: 0) { size($0.pointee.low.load(ordering: .relaxed)) }
}

@c @implementation
public func slab_group_set_max(_ group: OpaquePointer!, _ size: Int) -> slab_error {
  unsafe change(group) { (group) throws(AllocatorError) in
    try Allocator(of: group).setMax(bytes(size), of: group)
  }
}

@c @implementation
public func slab_group_set_high(_ group: OpaquePointer!, _ size: Int) -> slab_error {
  unsafe change(group) { (group) throws(AllocatorError) in
    try Allocator(of: group).setHigh(bytes(size), of: group)
  }
}

@c @implementation
public func slab_group_set_low(_ group: OpaquePointer!, _ size: Int) -> slab_error {
  unsafe change(group) { (group) throws(AllocatorError) in
    try Allocator(of: group).setLow(bytes(size), of: group)
  }
}

@c @implementation
public func slab_group_policy(_ group: OpaquePointer!) -> slab_limit_policy {
  unsafe read(group, otherwise: SLAB_FAIL) {
    $0.policy == .overcharge ? SLAB_OVERCHARGE : SLAB_FAIL
  }
}

@c @implementation
public func slab_group_stop(_ group: OpaquePointer!) -> Int {
  unsafe read(group, otherwise: -1) { size($0.pointee.stop.load(ordering: .relaxed)) }
}

@c @implementation
public func slab_group_set_policy(
  _ group: OpaquePointer!, _ policy: slab_limit_policy
) -> slab_error {
  unsafe change(group) { (group) throws(AllocatorError) in
    try Allocator(of: group).setPolicy(
      policy == SLAB_OVERCHARGE ? .overcharge : .fail, of: group)
  }
}

@c @implementation
public func slab_group_set_stop(_ group: OpaquePointer!, _ size: Int) -> slab_error {
  unsafe change(group) { (group) throws(AllocatorError) in
    try Allocator(of: group).setStop(bytes(size), of: group)
  }
}

@c @implementation
public func slab_group_reclaim(_ group: OpaquePointer!, _ size: Int) -> Int {
  unsafe read(group, otherwise: 0) { max(0, Allocator(of: $0).reclaim(bytes: bytes(size), of: $0)) }
}

@c @implementation
public func slab_group_events(_ group: OpaquePointer!) -> slab_events {
  unsafe read(group, otherwise: slab_events()) {
    slab_events(Allocator(of: $0).events(of: $0, local: false))
  }
}

@c @implementation
public func slab_group_local_events(_ group: OpaquePointer!) -> slab_events {
  unsafe read(group, otherwise: slab_events()) {
    slab_events(Allocator(of: $0).events(of: $0, local: true))
  }
}

@c @implementation
public func slab_group_statistics(_ group: OpaquePointer!) -> slab_usage {
  unsafe read(group, otherwise: slab_usage()) {
    let charge = Allocator(of: $0).charge(of: $0)
    return slab_usage(
      current: charge.current, objects: charge.objects, free_in_slabs: charge.freeInSlabs,
      inherited: charge.inherited, unused: charge.unused, below: charge.below)
  }
}

@c @implementation
public func slab_group_path(
  _ group: OpaquePointer!, _ buffer: UnsafeMutablePointer<CChar>!, _ size: Int
) -> Int {
  unsafe read(group, otherwise: 0) { group in
    var count = 0
    let room = size < 0 ? Int.max : size
    group.forEachByteOfPath { byte in
      if count + 1 < room { unsafe buffer[count] = CChar(bitPattern: byte) }
      count += 1
    }
    if room > 0 { unsafe buffer[min(count, room - 1)] = 0 }
    return count
  }
}

extension slab_events {
  fileprivate init(_ events: GroupEvents) {
    self.init(
      low: UInt64(events.low), high: UInt64(events.high), max: UInt64(events.max),
      oom: UInt64(events.oom), overcharge: UInt64(events.overcharge))
  }
}

extension Pointer where Pointee == Group {
  /// The names from the root group's children down, each behind a slash; a slash for the root group. O(depth + length).
  func forEachByteOfPath(_ body: (UInt8) -> Void) {
    guard parent != nil else { return body(UInt8(ascii: "/")) }
    var groups = InlineArray<64, Pointer<Group>?>(repeating: nil)
    var depth = 0
    var next = self
    while let parent = next.parent {
      groups[depth] = next
      depth += 1
      next = parent
    }
    for index in (0..<depth).reversed() {
      body(UInt8(ascii: "/"))
      groups[index]!.withName { name in
        for index in name.indices { body(name[index]) }
      }
    }
  }
}
