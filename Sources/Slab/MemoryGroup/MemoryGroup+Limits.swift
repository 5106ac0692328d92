// SPDX-License-Identifier: Apache-2.0
// What is charged to a group, and how much may be.

internal import SlabCore
internal import SlabPlatform
internal import Synchronization

extension MemoryGroup {
  /// Bytes charged to the group and below it: whole pages (`memory.current`). O(1).
  public var usage: Int { core.pointee.current.load(ordering: .relaxed) }

  /// The most bytes that were ever charged at one time. O(1).
  public var peak: Int { core.pointee.peak.load(ordering: .relaxed) }

  /// The most bytes that may be charged; `nil` for no limit. O(1).
  public var max: Int? {
    let bytes = core.pointee.max.load(ordering: .relaxed)
    return bytes == Group.unlimited ? nil : bytes
  }

  /// Changes `max`. If more is charged, it is reclaimed first; what cannot be had stays, and further
  /// charges are refused. O(1), or as `reclaim`.
  ///
  /// - Parameter bytes: 0 refuses every charge; `nil` is no limit, as is `Int.max`.
  /// - Throws: `.invalidLimit` below 0, `.rootGroup`.
  public func setMax(_ bytes: Int?) throws(SlabError) {
    do { try allocator.setMax(bytes ?? Group.unlimited, of: core) } catch {
      throw SlabError(error, of: self)
    }
  }

  /// Above so many bytes each charge reclaims what is above, and counts an event; it never refuses.
  /// `nil` for none. O(1).
  public var high: Int? {
    let bytes = core.pointee.high.load(ordering: .relaxed)
    return bytes == Group.unlimited ? nil : bytes
  }

  /// Changes `high`, which reclaims nothing by itself. O(1).
  ///
  /// - Throws: `.invalidLimit` below 0, `.rootGroup`.
  public func setHigh(_ bytes: Int?) throws(SlabError) {
    do { try allocator.setHigh(bytes ?? Group.unlimited, of: core) } catch {
      throw SlabError(error, of: self)
    }
  }

  /// Up to so many bytes the group is spared when one above it is short of memory, as long as others
  /// have something to give; 0 at first. O(1).
  public var low: Int { core.pointee.low.load(ordering: .relaxed) }

  /// Changes `low`. O(1).
  ///
  /// - Throws: `.invalidLimit` below 0, `.rootGroup`.
  public func setLow(_ bytes: Int) throws(SlabError) {
    do { try allocator.setLow(bytes, of: core) } catch {
      throw SlabError(error, of: self)
    }
  }

  /// Tries to make room: endings that wait for workers, then shrinkers, empty slabs and what sheaves
  /// hold, of this group first and then of those below it. O(groups and caches below); calls shrinkers;
  /// may wait for fences, and some 40 ms for memory that other threads are giving back, at each group that it looks at. Nothing
  /// in a shrinker's call.
  ///
  /// - Returns: by how many bytes `usage` fell; it may be more or less.
  @discardableResult
  public func reclaim(bytes: Int) -> Int { allocator.reclaim(bytes: bytes, of: core) }
}
