// SPDX-License-Identifier: Apache-2.0
// Readings of slabinfo and of snapshots, in pieces. A reading stands in the core's memory.
// The names are those of C.
// swift-format-ignore-file: AlwaysUseLowerCamelCase

public import CSlab
internal import SlabCore
internal import SlabPlatform

/// What is behind a handle: one of the two, and the group, which is held.
struct Report: ~Copyable {
  let group: Pointer<Group>
  var slabinfo: SlabinfoReader?
  var snapshot: SnapshotText?
}

@c @implementation
public func slab_slabinfo_open(
  _ group: OpaquePointer!, _ report: UnsafeMutablePointer<OpaquePointer?>!
) -> slab_error {
  unsafe open(report, of: group) { group throws(AllocatorError) in
    let isWhole = group.parent == nil
    let reader = try SlabinfoReader(of: Allocator(of: group), group: isWhole ? nil : group)
    return Report(group: group, slabinfo: reader, snapshot: nil)
  }
}

@c @implementation
public func slab_snapshot_open(
  _ group: OpaquePointer!, _ report: UnsafeMutablePointer<OpaquePointer?>!
) -> slab_error {
  unsafe open(report, of: group) { group throws(AllocatorError) in
    Report(group: group, slabinfo: nil, snapshot: try SnapshotText(atAndBelow: group))
  }
}

@c @implementation
public func slab_report_read(
  _ report: OpaquePointer!, _ buffer: UnsafeMutablePointer<CChar>!, _ size: Int
) -> Int {
  let report = unsafe Pointer<Report>(report)
  // SAFETY: the buffer is the caller's, and has as many bytes; they need not hold anything yet.
  let room = unsafe UnsafeMutableBufferPointer<UInt8>(
    start: UnsafeMutableRawPointer(buffer)?.assumingMemoryBound(to: UInt8.self),
    count: max(0, size))
  var span = unsafe OutputSpan(buffer: room, initializedCount: 0)
  _ = report.pointee.slabinfo?.read(into: &span)
  report.pointee.snapshot?.read(into: &span)
  return unsafe span.finalize(for: room)
}

@c @implementation
public func slab_report_close(_ report: OpaquePointer!) {
  guard let report = unsafe report else { return }
  let address = unsafe Pointer<Report>(report)
  // SAFETY: the report was initialised by `open`, and is not used again.
  var closed = unsafe address.unsafePointer.move()
  let group = closed.group
  closed.slabinfo?.close()
  closed.snapshot?.close()
  Allocator(of: group).freeRecord(address.address)
  drop(group)
}

/// Makes a reading, which the caller owns.
private func open(
  _ report: UnsafeMutablePointer<OpaquePointer?>, of group: OpaquePointer?,
  _ body: (Pointer<Group>) throws(AllocatorError) -> Report
) -> slab_error {
  answer { () throws(AllocatorError) in
    let group = unsafe try groupOrCurrent(group)
    let allocator = Allocator(of: group)
    let address = try allocator.allocateRecord(bytes: MemoryLayout<Report>.size)
    do throws(AllocatorError) {
      // SAFETY: the memory is ours and large enough.
      let place = unsafe Pointer<Report>(nonzeroAddress: address)
      unsafe place.unsafePointer.initialize(to: try body(group))
      hold(group)
      unsafe report.pointee = place.handle
    } catch {
      allocator.freeRecord(address)
      throw error
    }
  }
}
