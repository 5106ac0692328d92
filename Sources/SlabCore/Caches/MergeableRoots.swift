// SPDX-License-Identifier: Apache-2.0
// Roots that another user may join, for allocators that merge caches that are alike (the kernel's find_mergeable
// of mm/slab_common.c, which walks all caches): found by the bytes of a place, in O(1) however many roots there are.
//
// By the rule, a place may be larger than wanted by less than a word, and has to be a multiple of the alignment that
// is wanted. Places are whole words, and the wanted ones such a multiple: so the two have to be the same. Slabs are
// aligned to their size.
//
// For each number of words in a place there is a list, the oldest root first: a word of a table has the address of
// that root's node, or 0. It changes under the registry lock.

internal import SlabPlatform
internal import Synchronization

struct MergeableRoots: ~Copyable {
  /// `nil` if the allocator does not merge.
  private var heads: Words? = nil

  static var bytes: Int { (SlabGeometry.largestObject / 8 + 1) * 8 }

  init() {}

  /// With a table in memory that is the allocator's for good.
  init(tableAt address: UInt) {
    zeroMemory(at: address, bytes: Self.bytes)
    heads = Words(at: address)
  }

  /// The first node for places of so many bytes.
  fileprivate subscript(_ placeBytes: Int) -> Pointer<ListNode>? {
    // SAFETY: the node is in the descriptor of a root that has not begun to end.
    get { heads.flatMap { unsafe Pointer(address: UInt($0[placeBytes / 8])) } }
    nonmutating set { heads![placeBytes / 8] = UInt64(newValue?.address ?? 0) }
  }
}

extension SlabCacheOptions {
  /// Whether a cache with these options and this constructor may share a root.
  func allowMerging(constructor: Constructor?) -> Bool {
    unsafe isDisjoint(with: [.typeSafe, .poison, .noMerge]) && constructor == nil
  }
}

extension Pointer where Pointee == RootCache {
  /// Whether it may have several users, as far as its options go.
  var isShareable: Bool {
    unsafe pointee.kind == .user
      && pointee.cache.allocator.base.pointee.configuration.mergesCaches
      && pointee.options.allowMerging(constructor: pointee.constructor)
  }

  /// Whether the root may get another user. Under the registry lock.
  var isOpenToUsers: Bool { mergeNode.isLinked }

  private var listOfItsKind: Pointer<ListNode>? {
    get { pointee.cache.allocator.cachesState.pointee.mergeableRoots[pointee.geometry.placeBytes] }
    nonmutating set {
      pointee.cache.allocator.cachesState.pointee.mergeableRoots[pointee.geometry.placeBytes] =
        newValue
    }
  }

  /// A root that has just been made may be joined from here on, if it is shareable. O(1).
  func openToUsers(under registry: borrowing RegistryLocked) {
    guard isShareable else { return }
    guard let oldest = listOfItsKind else {
      mergeNode.makeEmptyList()
      listOfItsKind = mergeNode
      return
    }
    oldest.insertBefore(mergeNode)
  }

  /// No user joins it from here on. O(1).
  func closeToUsers(under registry: borrowing RegistryLocked) {
    guard mergeNode.isLinked else { return }
    if listOfItsKind == mergeNode { listOfItsKind = mergeNode.successor(in: mergeNode) }
    mergeNode.unlink()
  }

  /// A root that did not end after all may be joined again. It goes first: those that were made meanwhile are
  /// younger. O(1).
  func reopenToUsers(under registry: borrowing RegistryLocked) {
    guard isShareable, !mergeNode.isLinked else { return }
    openToUsers(under: registry)
    listOfItsKind = mergeNode
  }
}

extension Pointer where Pointee: HasCaches & ~Copyable {
  /// The oldest root whose objects are laid out so, and that another user may join. O(1).
  func oldestRoot(
    serving geometry: SlabGeometry, under registry: borrowing RegistryLocked
  ) -> Pointer<RootCache>? {
    counters.pointee.listSteps += 1
    return cachesState.pointee.mergeableRoots[geometry.placeBytes].map {
      Pointer<RootCache>(mergeNode: $0)
    }
  }
}
