// SPDX-License-Identifier: Apache-2.0
internal import SlabCore
internal import SlabPlatform

/// Something that holds objects it could do without: a cache of results, of connections, of pages.
/// A group that is short of memory asks its shrinkers to give some back (the kernel's shrinkers).
///
/// Both calls come from whichever thread allocates in the group, in the middle of the allocation, and
/// from several at a time. So neither may wait for a lock that is held while something is allocated in
/// the group, nor allocate in it: take the lock if it is free, and return `nil` else.
public protocol Shrinker: AnyObject, Sendable {
  /// How many objects could be freed now; 0 if none, or if that cannot be said at the moment.
  func countObjects() -> Int

  /// Frees up to so many objects, those first that are missed least.
  ///
  /// - Returns: how many, or `nil` to be asked no more this time.
  func scanObjects(_ count: Int) -> Int?
}

/// Keeps a shrinker registered with a group until it ends. It holds the group but not the shrinker,
/// which so may hold it.
@safe
public final class ShrinkerRegistration: Sendable {
  private let core: Pointer<SlabCore.Shrinker>
  private let group: GroupHandle
  /// The core's, until it says that no reclaim asks any more: perhaps after the end of this registration.
  private let target: Unmanaged<ShrinkerTarget>

  init(
    _ shrinker: any Shrinker, seeks: Int, batch: Int, group: GroupHandle
  ) throws(SlabError) {
    self.group = group
    unsafe target = Unmanaged.passRetained(ShrinkerTarget(shrinker))
    do {
      core = try unsafe group.allocator.core.registerShrinker(
        ShrinkerConfiguration(
          count: { unsafe ShrinkerTarget.at($0).countObjects() },
          scan: { unsafe ShrinkerTarget.at($0).scanObjects($1) },
          end: { unsafe Unmanaged<ShrinkerTarget>.fromOpaque($0).release() },
          context: target.toOpaque(), seeks: seeks, batch: batch),
        for: group.core)
    } catch {
      unsafe target.release()
      throw SlabError(error, of: MemoryGroup(group))
    }
  }

  /// Waits while the shrinker is being asked. In a call of a shrinker, its own or another's, it does not wait:
  /// then it is asked no more as soon as the calls that go on have ended.
  deinit {
    let isEnding = group.allocator.ifMapped { $0.unregisterShrinker(core) }
    // The allocator is gone, and its shrinkers with it.
    if !isEnding { unsafe target.release() }
  }
}

extension MemoryGroup {
  /// Asks a shrinker for memory from now on, whenever this group is at its limits or one above it is. O(1);
  /// takes a short lock; no group is charged. In its calls the current group is that of the allocation.
  ///
  /// - Parameters:
  ///   - shrinker: is not held.
  ///   - seeks: how dear it is to make an object again; twice the number, half the pressure. 0 for
  ///     objects that cost nothing.
  ///   - batch: objects that are asked for at a time.
  /// - Returns: what keeps it registered.
  /// - Throws: `.outOfMemory`, `.groupOffline`, `.invalidLimit` for numbers below 0 or an empty batch.
  public func register(
    _ shrinker: some Shrinker, seeks: Int = 2, batch: Int = 128
  ) throws(SlabError) -> ShrinkerRegistration {
    try ShrinkerRegistration(shrinker, seeks: seeks, batch: batch, group: handle)
  }
}

/// Leads from the core to a shrinker that may be gone.
private final class ShrinkerTarget: @unchecked Sendable {
  // Unchecked: the reference is set once; reading a weak one is atomic.
  private weak var shrinker: (any Shrinker)?

  init(_ shrinker: any Shrinker) { self.shrinker = shrinker }

  /// SAFETY: the core passes the context that it owns until it calls `end`.
  static func at(_ context: UnsafeMutableRawPointer) -> ShrinkerTarget {
    unsafe Unmanaged.fromOpaque(context).takeUnretainedValue()
  }

  func countObjects() -> Int { shrinker?.countObjects() ?? 0 }

  /// -1 to stop.
  func scanObjects(_ count: Int) -> Int { shrinker?.scanObjects(count) ?? -1 }
}
