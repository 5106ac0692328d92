// SPDX-License-Identifier: Apache-2.0
// How an allocator ends groups and caches, as one table: `current`, or `linux410` of the room Linux410, against which
// the other is measured. The table is chosen when the allocator is made; what the two do differently is a call of
// it or one of its settings, and nothing else asks which of them it is.
//
// The functions get addresses of descriptors and of the state, as those of `CachesAbove`. C functions cannot get the
// proof of a lock: those that are called under the registry lock are called by a function below, which has it, and by
// nothing else.

internal import SlabPlatform

@safe
package struct EndingRules: Sendable {
  typealias OfAllocator = @convention(c) (_ state: UInt) -> Void
  typealias OfGroup = @convention(c) (_ group: UInt) -> Void
  typealias OfCache = @convention(c) (_ cache: UInt) -> Void
  /// Leaves an error, if there is one, in the `Refusal` at the other address.
  typealias EndOfGroup = @convention(c) (_ group: UInt, _ refusal: UInt) -> Void

  // What a user calls; of a group below the root group, holding no lock.
  let close: EndOfGroup
  let discard: EndOfGroup
  /// Gives back the last handle of a group, or one that was the last a moment ago.
  let releaseLast: OfGroup
  /// Ends a user's share of a root that may have live objects.
  let abandon: @convention(c) (_ root: UInt, _ alias: UInt) -> Void

  /// Under the registry lock, which it lets go of: a root that no user has any more.
  let endRoot: @convention(c) (_ root: UInt) -> Void
  /// The last slab of a deactivated cache is back. The cache may be released before this returns.
  let isDying: OfCache
  /// Under the registry lock: one of the things that held a group has gone, and it may have been the last.
  let isLetGo: OfGroup
  /// A worker's look at everything there is to do, under its busy lock. True if there was something.
  let look: @convention(c) (_ state: UInt) -> Bool

  // A lock that operations on groups take first.
  let lockGroups: OfAllocator
  let unlockGroups: OfAllocator
  /// Under the registry lock: an id has been taken for a group.
  let idIsTaken: @convention(c) (_ state: UInt, _ id: Int) -> Void
  /// Under the registry lock: whether a user of a cache has this `CacheName`.
  let isNameInUse: @convention(c) (_ state: UInt, _ name: UnsafeRawPointer) -> Bool

  /// The policy of all groups, where their makers have no choice.
  let endings: EndingPolicy?
  /// Whether a group counts the ends that are under way, and what awaits a grace period, at and below it; so
  /// that a charge that is refused can wait for them.
  let countsAwaited: Bool
  /// Whether a child without slabs stays on the lists until its group ends.
  let childrenEndWithTheirGroup: Bool
  /// Whether a reading of slabinfo goes on at a number of entries, and not at a cursor.
  let readsSlabinfoByPosition: Bool
}

/// Where a function of the table leaves what a Swift function would throw.
struct Refusal {
  var error: AllocatorError? = nil

  /// For the functions of a table.
  static func note(
    at place: UInt, _ body: () throws(AllocatorError) -> Void
  ) {
    do throws(AllocatorError) { try body() } catch {
      // SAFETY: the place of `throwing`, which lives as long as the call.
      unsafe Pointer<Refusal>(nonzeroAddress: place).pointee.error = error
    }
  }

  /// For the caller of one.
  static func throwing(
    _ function: EndingRules.EndOfGroup, of group: Pointer<Group>
  ) throws(AllocatorError) {
    var refusal = Refusal()
    // SAFETY: the refusal lives as long as the call.
    unsafe withUnsafeMutablePointer(to: &refusal) { place in
      function(group.address, UInt(bitPattern: place))
    }
    if let error = refusal.error { throw error }
  }
}

extension Pointer where Pointee: HasEndings & ~Copyable {
  var rules: Pointer<EndingRules> { Pointer<EndingRules>(of: &endingsState.pointee.rules) }

  func lockGroups() { rules.pointee.lockGroups(address) }
  func unlockGroups() { rules.pointee.unlockGroups(address) }

  /// An id has been taken for a group.
  func noteTaken(id: Int, under registry: borrowing RegistryLocked) {
    rules.pointee.idIsTaken(address, id)
  }

  /// One of the things that held a group has gone, and it may have been the last.
  func isLetGo(_ group: Pointer<Group>, under registry: borrowing RegistryLocked) {
    rules.pointee.isLetGo(group.address)
  }

  /// A root that no user has any more ends. Lets go of the lock.
  func endRoot(_ root: Pointer<RootCache>, under registry: consuming RegistryLocked) {
    // SAFETY: the function of the table lets go of the lock.
    unsafe registry.leaveLocked()
    rules.pointee.endRoot(root.address)
  }

  /// What a cache calls that has become dying; see `CachesAbove`.
  func isDying(_ cache: Pointer<Cache>) { rules.pointee.isDying(cache.address) }
}

extension Pointer where Pointee == Group {
  /// The life cycle that the group is in.
  var lifecycleState: Pointer<EndingsState> { Pointer<EndingsState>(seenAs: pointee.allocator) }
}
