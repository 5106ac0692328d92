// SPDX-License-Identifier: Apache-2.0
// What a cache knows of the group that it serves: the beginning of the group's descriptor.

internal import SlabPlatform
internal import Synchronization

struct CacheOwner: ~Copyable {
  /// The group's state, of which a cache knows only the first: `online`. Changes under the registry lock.
  let state = Atomic<UInt8>(CacheOwner.online)
  /// Whether one of its own caches may have idle memory. Set under that cache's lock or the registry lock,
  /// cleared under the latter.
  let hasIdle = Atomic<Bool>(false)

  static var online: UInt8 { 0 }

  /// Whether the group allocates. A hint, where it is not read under the registry lock.
  var isOnline: Bool {
    // Acquiring: pairs with the releasing stores under the registry lock.
    state.load(ordering: .acquiring) == Self.online
  }
}
