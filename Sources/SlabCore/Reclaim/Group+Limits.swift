// SPDX-License-Identifier: Apache-2.0
// Setting what a group may have, and what happens where that is not enough.

package import SlabPlatform
internal import Synchronization

extension Pointer where Pointee: HasEndings & ~Copyable {
  /// Sets the most bytes that may be charged to a group and below it. For a value below `current` it
  /// reclaims first; what is left above it stays, and further charges are refused.
  package func setMax(_ bytes: Int, of group: Pointer<Group>) throws(AllocatorError) {
    try checkLimit(bytes, of: group)
    // Sequentially consistent, with the look behind it: see `charge`.
    group.pointee.max.store(bytes, ordering: .sequentiallyConsistent)
    for _ in 0..<16 {
      let excess = group.pointee.current.load(ordering: .sequentiallyConsistent) - bytes
      if excess <= 0 || reclaim(bytes: excess, of: group) == 0 { return }
    }
  }

  /// Sets above how many bytes a group reclaims with its charges. Setting it reclaims nothing.
  package func setHigh(_ bytes: Int, of group: Pointer<Group>) throws(AllocatorError) {
    try checkLimit(bytes, of: group)
    group.pointee.high.store(bytes, ordering: .relaxed)
    group.pointee.fruitlessAt.store(0, ordering: .relaxed)
  }

  /// Sets up to how many bytes a group is spared while others have something to give.
  package func setLow(_ bytes: Int, of group: Pointer<Group>) throws(AllocatorError) {
    try checkLimit(bytes, of: group)
    group.pointee.low.store(bytes, ordering: .relaxed)
  }

  /// Sets beyond how many bytes no charge goes, of groups that overcharge either.
  package func setStop(_ bytes: Int, of group: Pointer<Group>) throws(AllocatorError) {
    try checkLimit(bytes, of: group)
    group.pointee.stop.store(bytes, ordering: .relaxed)
  }

  /// Sets what becomes of this group's own charges where there is no room for them, here or above. Children that are made
  /// from then on begin with it.
  package func setPolicy(
    _ policy: LimitPolicy, of group: Pointer<Group>
  ) throws(AllocatorError) {
    try checkLimit(0, of: group)
    group.pointee.overcharges.store(policy == .overcharge, ordering: .relaxed)
  }

  /// What groups have at first that are made below the root.
  package func setPolicyOfNewGroups(_ policy: LimitPolicy) {
    rootGroup.pointee.overcharges.store(policy == .overcharge, ordering: .relaxed)
  }

  private func checkLimit(_ bytes: Int, of group: Pointer<Group>) throws(AllocatorError) {
    guard group.pointee.parent != nil else { throw .rootGroup }
    guard bytes >= 0 else { throw .invalidLimit }
  }
}
