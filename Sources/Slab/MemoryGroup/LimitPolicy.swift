// SPDX-License-Identifier: Apache-2.0
// What happens where there is no room within the limits.

internal import SlabCore
internal import SlabPlatform
internal import Synchronization

extension MemoryGroup {
  /// What becomes of an allocation that finds no room.
  public typealias LimitPolicy = SlabTypes.LimitPolicy

  /// What becomes of allocations for which there is no room: `.fail` at first, or what the parent had when the group was
  /// made. In a program with the product SlabMalloc `.overcharge` at first. O(1).
  public var limitPolicy: LimitPolicy { core.policy }

  /// Changes the policy, for allocations from then on. Groups below keep theirs. O(1).
  ///
  /// - Throws: `.rootGroup`.
  public func setLimitPolicy(_ policy: LimitPolicy) throws(SlabError) {
    do { try allocator.setPolicy(policy, of: core) } catch { throw SlabError(error, of: self) }
  }

  /// Bytes beyond which no allocation goes that overcharges, in the group or below it. Those above 32 KiB are refused
  /// from halfway between `max` and it. `nil` for none, as at first. O(1).
  public var stop: Int? {
    let bytes = core.pointee.stop.load(ordering: .relaxed)
    return bytes == Group.unlimited ? nil : bytes
  }

  /// Changes `stop`; one below `max` is `max`. O(1).
  ///
  /// - Throws: `.invalidLimit` below 0, `.rootGroup`.
  public func setStop(_ bytes: Int?) throws(SlabError) {
    do { try allocator.setStop(bytes ?? Group.unlimited, of: core) } catch {
      throw SlabError(error, of: self)
    }
  }
}
