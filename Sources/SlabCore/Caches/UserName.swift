// SPDX-License-Identifier: Apache-2.0
// Names of caches: unique among the users of an allocator, which may share a root, and found in O(1) however
// many there are (Tables/NameIndex.swift). Linux 4.10's rules walk all caches instead, as that kernel did.

internal import SlabPlatform

/// A user's name: the first one's in the root, the others' in their aliases. In the index until its user leaves
/// the root. Under the registry lock, but for its user.
struct UserName: Named, ~Copyable {
  /// When the first user has left, the root's becomes that of its oldest user; it is out of the index then.
  var name: CacheName
  let nameHash: UInt32
  var nextNamed: Pointer<UserName>? = nil

  init(_ name: CacheName) {
    self.name = name
    nameHash = name.hash
  }
}

extension CacheName {
  var hash: UInt32 {
    var hash = NameHash()
    for index in 0..<Int(count) { hash.add(bytes[index]) }
    return hash.value
  }
}

extension Pointer where Pointee: HasCaches & ~Copyable {
  /// Whether a user has this name. O(1) expected.
  func hasUser(named name: CacheName, under registry: borrowing RegistryLocked) -> Bool {
    let hash = name.hash
    var next = cachesState.pointee.tables.names.first(hash: hash)
    while let user = next {
      counters.pointee.listSteps += 1
      if user.pointee.nameHash == hash, user.pointee.name == name { return true }
      next = user.pointee.nextNamed
    }
    return false
  }

  /// From here on the user's name is taken, which it was not, and for which there is room.
  func addName(of user: CacheReference, under registry: borrowing RegistryLocked) {
    cachesState.pointee.tables.names.insert(user.indexedName)
  }

  /// From here on the user's name is free.
  func removeName(of user: CacheReference, under registry: borrowing RegistryLocked) {
    cachesState.pointee.tables.names.remove(user.indexedName)
  }
}

extension CacheReference {
  fileprivate var indexedName: Pointer<UserName> {
    if let alias { return Pointer<UserName>(of: &alias.pointee.userName) }
    return Pointer<UserName>(of: &root.pointee.userName)
  }
}
