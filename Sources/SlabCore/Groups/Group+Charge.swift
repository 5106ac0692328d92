// Charging: hierarchical page counters. A charge raises `current` of the group and of each
// ancestor, or of none; no counter exceeds its `max` at any moment, since each is raised by
// compare-and-swap. (The kernel's page counters add first and take back, and so can be seen above
// their limit.)
//
// Charges are whole pages: what a group holds, nobody else can use.

internal import SlabPlatform
internal import Synchronization

extension Pointer where Pointee == Group {
  /// Charges bytes here and upwards. O(depth). Returns the group that refused, `nil` if none did:
  /// then every counter is as it was. A group that has ended refuses as one at its limit does.
  func charge(bytes: Int) -> Pointer<Group>? {
    guard let current = pointee.current.add(bytes, atMost: pointee.max) else { return self }
    guard current <= pointee.max.load(ordering: .sequentiallyConsistent) else {
      // Lowered meanwhile, and whoever did so may not have seen the charge.
      takeBack(bytes)
      return self
    }
    if let parent = pointee.parent, let refusing = parent.charge(bytes: bytes) {
      takeBack(bytes)
      return refusing
    }
    raisePeak(to: current)
    return nil
  }

  /// Takes a charge back, here and upwards. O(depth).
  func uncharge(bytes: Int) {
    var group: Pointer<Group>? = self
    while let charged = group {
      charged.takeBack(bytes)
      group = charged.pointee.parent
    }
  }

  /// Of this group alone.
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
      if done { return }
      peak = now
    }
  }
}
