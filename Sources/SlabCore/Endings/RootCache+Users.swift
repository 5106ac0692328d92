// SPDX-License-Identifier: Apache-2.0
// How a user leaves a root: see CacheAlias.swift.

internal import SlabPlatform
internal import Synchronization

extension Pointer where Pointee: HasEndings & ~Copyable {
  /// Whether the user was not the last, and has left. If it is the last, no user joins from here on, until
  /// `lockToEnd` has decided: what is counted meanwhile is this user's, and is counted once.
  func leaveUnlessLast(_ reference: CacheReference) throws(AllocatorError) -> Bool {
    let root = reference.root
    let registry = lockRegistry()
    guard !root.pointee.isDestroying else { throw .cacheDestroyed }
    guard !root.isLastUser(reference, under: registry) else {
      root.pointee.usersEnding += 1
      root.closeToUsers(under: registry)
      return false
    }
    removeName(of: reference, under: registry)
    root.removeUser(reference, under: registry)
    if reference.alias != nil { counters.pointee.aliasesDropped += 1 }
    registry.unlock()
    freeAlias(of: reference)
    return true
  }

  /// For the last user, with the number of its live objects: if there is none, the root is the caller's to end. Else it
  /// throws, and the root can be joined again.
  func lockToEnd(
    _ reference: CacheReference, live: Int
  ) throws(AllocatorError) -> RegistryLocked {
    let root = reference.root
    let registry = lockRegistry()
    guard !root.pointee.isDestroying else { throw .cacheDestroyed }
    root.pointee.usersEnding -= 1
    guard live == 0 else {
      if root.pointee.usersEnding == 0 { root.reopenToUsers(under: registry) }
      throw .cacheBusy(objects: live)
    }
    if reference.alias != nil {
      root.pointee.oldestAlias = nil
      counters.pointee.aliasesDropped += 1
    }
    return registry
  }

  /// Without the lock, when the user is in no book any more.
  func freeAlias(of reference: CacheReference) {
    if let alias = reference.alias { freeInternal(alias.address) }
  }
}
