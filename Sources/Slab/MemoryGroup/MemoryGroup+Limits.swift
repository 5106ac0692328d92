// What is charged to a group, and how much may be.

internal import SlabCore
internal import SlabPlatform
internal import Synchronization

extension MemoryGroup {
  /// Bytes charged to the group and below it: whole pages. O(1).
  public var current: Int { core.pointee.current.load(ordering: .relaxed) }

  /// The most bytes that were ever charged at one time. O(1).
  public var peak: Int { core.pointee.peak.load(ordering: .relaxed) }

  /// The most bytes that may be charged; `nil` for no limit. O(1).
  public var max: Int? {
    let bytes = core.pointee.max.load(ordering: .relaxed)
    return bytes == Group.unlimited ? nil : bytes
  }

  /// Changes `max`. A value below `current` takes nothing away; it refuses further charges.
  public func setMax(_ bytes: Int?) throws(SlabError) {
    do { try allocator.setMax(bytes ?? Group.unlimited, of: core) } catch {
      throw SlabError(error)
    }
  }
}
