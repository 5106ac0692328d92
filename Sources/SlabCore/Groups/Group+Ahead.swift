// SPDX-License-Identifier: Apache-2.0
// Runs for slabs ahead of need, charged at once: see Caches/SlabsAhead.swift.

internal import SlabPlatform
internal import Synchronization

extension Pointer where Pointee == Group {
  /// By what the threads are counted that have slabs ahead in hand, here and below the topmost group above. O(depth).
  private var ahead: AheadInHand {
    var top = self
    while let parent = top.pointee.parent, parent.pointee.parent != nil { top = parent }
    return AheadInHand(number: top.pointee.tenant.number)
  }

  /// Takes all runs of a request, or as many as there are. False if a limit is in the way of all of them together: then
  /// nothing has happened.
  func takeRunsAhead(for request: inout RunRequest) -> Bool {
    let bytes = request.shape.chargedBytes
    guard hasRoomAhead(forBytes: request.count * bytes) else { return false }
    let ahead = ahead
    let allocator = pointee.allocator
    allocator.beginAhead(ahead)
    pausePoint(.beforeCharging)
    guard charge(bytes: request.count * bytes, .ahead) == nil else {
      allocator.endAhead(ahead)
      return false
    }
    allocator.pages.allocate(
      request.count, order: request.shape.units.trailingZeroBitCount, for: pointee.tenant,
      into: &request.runs)
    let missing = request.count - request.runs.count
    if missing > 0 { uncharge(bytes: missing * bytes) }
    guard request.runs.count > 0 else {
      allocator.endAhead(ahead)
      return false
    }
    request.ahead = ahead
    return true
  }

  /// Whether bytes ahead of need would fit everywhere. A charge that a group above refuses stands in those below for a moment, and
  /// another one that needs the bytes may be refused for it; at a limit every attempt would be one. O(depth).
  func hasRoomAhead(forBytes bytes: Int) -> Bool {
    var next: Pointer<Group>? = self
    while let group = next {
      // Relaxed: a guess; the charge itself decides.
      let current = group.pointee.current.load(ordering: .relaxed)
      guard bytes <= group.limit(of: .ahead, bytes: bytes) - current else { return false }
      next = group.pointee.parent
    }
    return true
  }

  /// Waits until no thread has slabs ahead in hand that were charged here or below; with a bound. Holding no lock. Whether there was one.
  func waitForSlabsAhead() -> Bool {
    let ahead = ahead
    let allocator = pointee.allocator
    var looks = 0
    while looks < Self.mostLooks, allocator.hasAhead(ahead) {
      looks += 1
      allocator.pause(afterLooks: looks)
    }
    return looks > 0
  }

  /// About 40 ms.
  private static var mostLooks: Int { 280 }
}
