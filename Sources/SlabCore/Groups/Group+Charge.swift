// SPDX-License-Identifier: Apache-2.0
// Charging: hierarchical page counters. A charge raises `current` of the group and of each
// ancestor, or of none; no counter exceeds its `max` at any moment, since each is raised by
// compare-and-swap, but for those of groups that overcharge. (The kernel's page counters add first and take
// back, and so can be seen above their limit.)
//
// Charges are whole pages, since what a group holds no other group can use. Groups that share slabs are charged by the byte
// (Caches/Cache+Shared.swift).

package import SlabPlatform
internal import Synchronization

/// What a charge is for.
enum ChargeKind {
  case ordinary
  /// Of a group that overcharges: up to the stops.
  case over
  /// For slabs ahead of need: up to `high` as well.
  case ahead
}

extension Pointer where Pointee == Group {
  /// Charges bytes here and upwards. O(depth). Returns the group that refused, `nil` if none did:
  /// then every counter is as it was. A group that has ended refuses as one at its limit does.
  func charge(bytes: Int, _ kind: ChargeKind = .ordinary) -> Pointer<Group>? {
    guard let current = pointee.current.add(bytes, atMost: limit(of: kind, bytes: bytes))
    else { return self }
    guard kind == .over || current <= pointee.max.load(ordering: .sequentiallyConsistent) else {
      // Lowered meanwhile, by a thread that may not have seen the charge.
      takeBack(bytes)
      return self
    }
    if let parent = pointee.parent, let refusing = parent.charge(bytes: bytes, kind) {
      takeBack(bytes)
      return refusing
    }
    raisePeak(to: current)
    return nil
  }

  /// Up to what a charge may lead here.
  @inline(__always)
  func limit(of kind: ChargeKind, bytes: Int) -> Int {
    let most = pointee.max.load(ordering: .relaxed)
    switch kind {
    case .ordinary: return most
    case .over: return limitOfOvercharge(forBytes: bytes)
    case .ahead: return min(most, pointee.high.load(ordering: .relaxed))
    }
  }

  /// Takes a charge back, here and upwards. O(depth).
  func uncharge(bytes: Int) {
    var group: Pointer<Group>? = self
    while let charged = group {
      charged.takeBack(bytes)
      group = charged.pointee.parent
    }
  }

  /// Takes a charge back from this group alone.
  private func takeBack(_ bytes: Int) {
    if pointee.current.subtract(bytes) { noteChange() }
  }

  /// A value that `current` really had. It may contain a charge of another thread that an ancestor
  /// refused a moment later, as the kernel's watermark may.
  private func raisePeak(to value: Int) {
    var peak = pointee.peak.load(ordering: .relaxed)
    while value > peak {
      let (done, now) = pointee.peak.compareExchange(
        expected: peak, desired: value, ordering: .relaxed)
      if done { break }
      peak = now
    }
    raiseRecentPeak(to: value)
  }

  private func raiseRecentPeak(to value: Int) {
    let pages = UInt32(clamping: (value + 4095) >> 12)
    var peak = pointee.recentPeakPages.load(ordering: .relaxed)
    while pages > peak {
      let (done, now) = pointee.recentPeakPages.compareExchange(
        expected: peak, desired: pages, ordering: .relaxed)
      if done { return }
      peak = now
    }
  }

  /// The most bytes that were charged since `resetRecentPeak`, which lets it begin again with what is charged now
  /// (the kernel's `local_watermark`), and says what it was.
  package var recentPeak: Int {
    min(
      Int(pointee.recentPeakPages.load(ordering: .relaxed)) << 12,
      pointee.peak.load(ordering: .relaxed))
  }

  package func resetRecentPeak() -> Int {
    // In this order: a charge that is not in what is loaded afterwards raises it by itself.
    let before = pointee.recentPeakPages.exchange(0, ordering: .sequentiallyConsistent)
    raiseRecentPeak(to: pointee.current.load(ordering: .sequentiallyConsistent))
    return min(Int(before) << 12, pointee.peak.load(ordering: .relaxed))
  }
}

extension Pointer where Pointee == Group {
  /// The lowest of the limits here and above. O(depth).
  var leastLimit: Int {
    var least = Group.unlimited
    var next: Pointer<Group>? = self
    while let group = next {
      least = min(
        least, group.pointee.max.load(ordering: .relaxed),
        group.pointee.high.load(ordering: .relaxed))
      next = group.pointee.parent
    }
    return least
  }
}
