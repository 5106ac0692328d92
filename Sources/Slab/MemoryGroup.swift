public import SlabCore
public import SlabPlatform
internal import Synchronization

/// A memory group: a tenant. Every cache that it uses has a child of its own for it, so its memory
/// is charged, limited and separate, and goes away as a whole.
///
/// A value is a handle, copied freely and used from any thread until `release`.
@safe
public struct MemoryGroup: Sendable {
  @usableFromInline let core: Pointer<Group>

  init(core: Pointer<Group>) { self.core = core }

  /// Takes the group offline: it allocates no more, frees go on working, and its memory goes back
  /// as its objects are freed. O(depth); waits for nothing but a short lock. What objects that
  /// outlive it do to the group is its `EndingPolicy`.
  ///
  /// - Throws: `.groupHasChildren` while a child group is online; `.groupOffline` if it is offline.
  public func offline() throws(SlabError) {
    do { try allocator.offline(core) } catch { throw SlabError(error) }
  }

  /// Gives the handle back: nobody may use it, or a copy of it, any more. A group that is online
  /// goes offline. O(child caches that have ended).
  public func release() { allocator.release(core) }

  /// Bytes charged to the group and below it: whole pages.
  public var current: Int { core.pointee.current.load(ordering: .relaxed) }

  /// The most bytes that were ever charged at one time.
  public var peak: Int { core.pointee.peak.load(ordering: .relaxed) }

  /// How often a charge was refused by this group's own `max`. One allocation may try up to three
  /// times before it fails: with a smaller slab, and after giving empty slabs back.
  public var maxEvents: Int { core.pointee.maxEvents.load(ordering: .relaxed) }

  /// The most bytes that may be charged; `nil` for no limit.
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

  /// Groups below this one that are online, and those that have ended but still exist
  /// (`nr_descendants` and `nr_dying_descendants`). O(1); takes a short lock.
  public var descendants: (online: Int, dying: Int) {
    let descendants = allocator.descendants(of: core)
    return (descendants.online, descendants.dying)
  }

  /// The name that it was made with.
  public var name: String {
    core.withName { name in String(decoding: (0..<name.count).map { name[$0] }, as: UTF8.self) }
  }

  private var allocator: Allocator { Allocator(state: core.pointee.allocator) }
}
