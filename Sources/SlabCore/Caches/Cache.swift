// SPDX-License-Identifier: Apache-2.0
// A cache: the common part of roots and of children. The kernel's `struct kmem_cache`.
//
// Three cache lines: what the fast path reads and what is not written any more, what the slow path writes under the
// lock, and the memberships.
//
// Invariants, under `lock`:
//   the partial list holds exactly the slabs with a free object; those without one are, in a child,
//   on the list of full slabs, and in a root on no list
//   at most `min_partial` of them are empty, and a part of what is in use (SlabsAhead.swift); none once the cache is
//   deactivated
//   objectsInUse = sum of the slabs' inUse; slabCount counts slabs that are being made or given
//   back as well, so that a cache is never without slabs while a thread works on one of them

public import SlabPlatform
internal import Synchronization

/// A cache's lock.
enum CacheLock: LockClassOfFork { static var rank: LockRank { .cache } }
typealias CacheLocked = Held<CacheLock>

/// What a cache has besides the common part.
enum CacheKind: UInt8 {
  case plain
  /// Its slabs carry their own descriptors.
  case selfDescribing
  /// Its objects belong to several groups, and a gate stands behind it: see Cache+Shared.swift.
  case shared
  /// Stands for a shared cache in the page map.
  case gate
}

@usableFromInline
package struct Cache: ~Copyable {
  // Line 0: read by the fast path.
  /// Where the sheaf is. First, so that a cache's address is that of its words.
  let words = SheafWords()
  /// The root cache; its own address in a root.
  @usableFromInline let root: Pointer<RootCache>
  /// The group that a child serves and charges; `nil` in a root. Reparenting changes it, under the
  /// registry lock and the page lock, once the cache is deactivated and no thread holds a handle. It is
  /// read under one of the two, by holders of a handle, or while the cache is active.
  var owner: Pointer<CacheOwner>?
  let allocator: Pointer<CachesState>
  /// From one object to the next; 0 in a cache of blocks.
  let placeBytes: UInt32
  let reciprocal: UInt32
  /// Where it is in its life; see Caches/CacheState.swift. Changes under `lock`.
  let state: Atomic<UInt8>
  let kind: CacheKind
  /// Whether the group is not the one that the cache was made for. Under the registry lock.
  var isInherited = false
  /// Whether the retired sheaf may be opened again. Under `lock`; here to fill a word.
  var isResting = false
  /// Runs that may lie idle, of a cache of large objects: see LargeRuns.swift. Under `lock`; here to fill a
  /// word, since it changes rarely.
  var reservedRuns: UInt32 = 0
  /// Full sheaves, if there are any: see Barn.swift. Under `lock`; here to fill a word, since it changes rarely.
  var barn: Pointer<Barn>? = nil

  // Line 1: the lock, and what changes under it.
  let lock = RankedLock<CacheLock>()
  // Slabs and units fit in 32 bits, since a heap has at most 2^27 units; objects do not.
  /// Slabs, with those being made and given back, and the pins of threads that look at the cache without a
  /// lock: see `pin`.
  var slabCount: UInt32 = 0
  /// Slabs on the partial list that are empty.
  var emptyCount: UInt32 = 0
  /// Memory of all slabs, in units.
  var units: UInt32 = 0
  /// Objects with users, in sheaves or in the barn.
  var objectsInUse: UInt64 = 0
  /// Objects that all slabs can hold.
  var objectsTotal: UInt64 = 0
  /// Slabs on the partial list.
  var partialCount: UInt32 = 0
  /// Slow operations since the sheaf was opened or grew; 255 at most.
  var slowOperations: UInt8 = 0
  /// How often a reclaim has taken the sheaf since it last grew; 4 at most.
  var sheavesReclaimed: UInt8 = 0
  /// Class of the sheaf's block; without one, of the one that the cache opens next.
  var sheafClass: UInt8 = 0
  /// Whether objects were taken from slabs since the barn last grew.
  var hasTakenFromSlabs = false
  var partialFirst: Pointer<Slab>? = nil
  var partialLast: Pointer<Slab>? = nil
  /// A sheaf that has been closed and awaits a fence. While the cache is active the thread that retired it flushes
  /// it, afterwards the fence worker; until then no other one is opened. One that `isResting` belongs to no thread:
  /// see ColdSheaves.swift.
  var retiredSheaf = SheafWord.closed

  // Line 2: under the registry lock.
  /// In the list of all caches, in the root's children, and in the group's caches. Their offsets
  /// lead back from a node to its cache.
  var allNode = ListNode()
  var siblingNode = ListNode()
  var groupNode = ListNode()
  /// Under `lock`, of a child: its slabs without a free object, so that `discard` finds them. Here, since
  /// it changes less often than what is in line 1.
  var fullFirst: Pointer<Slab>? = nil
  /// The next cache on the fence worker's chain, then on the destroy queue.
  var nextInChain: Pointer<Cache>? = nil

  init(
    root: Pointer<RootCache>, owner: Pointer<CacheOwner>?, allocator: Pointer<CachesState>,
    geometry: SlabGeometry, kind: CacheKind
  ) {
    self.root = root
    self.owner = owner
    self.allocator = allocator
    placeBytes = geometry.isOfBlocks ? 0 : UInt32(geometry.placeBytes)
    reciprocal = geometry.reciprocal
    state = Atomic(CacheState.active.rawValue)
    self.kind = kind
  }

  /// Whether slabs of this cache carry their own descriptors.
  var isSelfDescribing: Bool { kind == .selfDescribing }

  /// Bytes of a child's descriptor; a multiple of the page map's granule.
  static var descriptorBytes: Int { 192 }
  static var allNodeOffset: UInt { 128 }
  static var siblingNodeOffset: UInt { 144 }
  static var groupNodeOffset: UInt { 160 }
}

extension Pointer where Pointee == Cache {
  // SAFETY: the one is the first field of the other.
  @inlinable @inline(__always)
  package var words: Pointer<SheafWords> { unsafe Pointer<SheafWords>(address: address)! }

  // SAFETY: the node is this field of the descriptor, at the offset that is checked at the start.
  var allNode: Pointer<ListNode> {
    unsafe Pointer<ListNode>(address: address + Cache.allNodeOffset)!
  }
  var siblingNode: Pointer<ListNode> {
    // SAFETY: the node is this field of the descriptor, at the offset that is checked at the start.
    unsafe Pointer<ListNode>(address: address + Cache.siblingNodeOffset)!
  }
  // SAFETY: the node is this field of the descriptor, at the offset that is checked at the start.
  var groupNode: Pointer<ListNode> {
    unsafe Pointer<ListNode>(address: address + Cache.groupNodeOffset)!
  }

  /// The caches that these nodes stand in.
  // SAFETY: the node is this field of the descriptor, at the offset that is checked at the start.
  init(allNode: Pointer<ListNode>) {
    unsafe self.init(address: allNode.address - Cache.allNodeOffset)!
  }
  init(siblingNode: Pointer<ListNode>) {
    // SAFETY: the node is this field of the descriptor, at the offset that is checked at the start.
    unsafe self.init(address: siblingNode.address - Cache.siblingNodeOffset)!
  }
  init(groupNode: Pointer<ListNode>) {
    // SAFETY: the node is this field of the descriptor, at the offset that is checked at the start.
    unsafe self.init(address: groupNode.address - Cache.groupNodeOffset)!
  }

  var state: CacheState {
    // Acquiring: pairs with the releasing store in `moveState`. Where it decides, it is read under
    // the lock; elsewhere it is a hint.
    CacheState(rawValue: pointee.state.load(ordering: .acquiring))!
  }

  /// Whether this is a root and not a child.
  var isRoot: Bool { pointee.root.address == address }

  /// A step of the life cycle, which must be one of the table's, up to `dying`.
  func moveState(to new: CacheState, under lock: borrowing CacheLocked) {
    lock.check(pointee.lock)
    step(to: new)
  }

  /// The same from `dying` on.
  func moveState(to new: CacheState, under registry: borrowing RegistryLocked) { step(to: new) }

  private func step(to new: CacheState) {
    invariant(state.mayBecome(new), "life cycle: a step that is not in the table")
    pointee.state.store(new.rawValue, ordering: .releasing)
  }
}
