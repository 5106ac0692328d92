// SPDX-License-Identifier: Apache-2.0
// The limits of a group as one value.

internal import SlabCore
internal import SlabPlatform

extension MemoryGroup {
  /// The limits of a group, as a value: to be kept, compared, and set as a whole.
  ///
  ///     var limits = plan.limits
  ///     limits.high = limits.max.map { $0 / 4 * 3 }
  ///     try plan.setLimits(limits)
  public struct Limits: Sendable, Equatable, Hashable {
    /// The most bytes that may be charged; `nil` for no limit.
    public var max: Int?
    /// Bytes above which each charge reclaims; `nil` for none.
    public var high: Int?
    /// Bytes up to which the group is spared.
    public var low: Int
    /// What becomes of allocations for which there is no room.
    public var policy = LimitPolicy.fail
    /// Bytes beyond which none goes that overcharges; `nil` for none.
    public var stop: Int? = nil

    /// No limit but those that are given: `Limits()` is what a group has at first. O(1).
    public init(max: Int? = nil, high: Int? = nil, low: Int = 0) {
      self.max = max
      self.high = high
      self.low = low
    }
  }

  /// The limits as they are now, each of which may be changed meanwhile. O(1); no lock, charges no group.
  public var limits: Limits {
    var limits = Limits(max: max, high: high, low: low)
    limits.policy = limitPolicy
    limits.stop = stop
    return limits
  }

  /// Changes all limits and the policy, `max` last. As `setMax`, which may reclaim: O(1), or as
  /// `reclaim`.
  ///
  /// - Throws: `.invalidLimit` if one is below 0, `.rootGroup`. Then none has changed.
  public func setLimits(_ limits: Limits) throws(SlabError) {
    let (max, high) = (limits.max ?? Group.unlimited, limits.high ?? Group.unlimited)
    let stop = limits.stop ?? Group.unlimited
    // What is below 0 is refused before anything is set; the root group refuses the first of them.
    guard Swift.min(max, high, limits.low, stop) >= 0 else { throw .invalidLimit }
    do {
      try allocator.setLow(limits.low, of: core)
      try allocator.setHigh(high, of: core)
      try allocator.setStop(stop, of: core)
      try allocator.setPolicy(limits.policy, of: core)
      try allocator.setMax(max, of: core)
    } catch { throw SlabError(error, of: self) }
  }
}
