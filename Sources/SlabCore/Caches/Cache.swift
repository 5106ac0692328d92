// A cache: the common part of roots and of children. The kernel's `struct kmem_cache`.
//
// Three cache lines: what the fast path reads and nobody writes, what the slow path writes under
// the lock, and the memberships.
//
// Invariants, under `lock`:
//   the partial list holds exactly the slabs with a free object; those without one are, in a child,
//   on the list of full slabs, and in a root on no list
//   at most `min_partial` of them are empty, and none once the cache is deactivated
//   objectsInUse = sum of the slabs' inUse; slabCount counts slabs that are being made or given
//   back as well, so that a cache is never without slabs while a thread works on one of them

public import SlabPlatform
internal import Synchronization

@usableFromInline
package struct Cache: ~Copyable {
  // Line 0: read by the fast path.
  /// Where the sheaf is. First, so that a cache's address is that of its words.
  let words = SheafWords()
  /// The root cache; its own address in a root.
  @usableFromInline let root: Pointer<RootCache>
  /// The group that a child serves and charges; `nil` in a root. Reparenting changes it, under the
  /// registry lock and the page lock, once the cache is deactivated and nobody holds a handle. It is
  /// read under one of the two, by holders of a handle, or while the cache is active.
  var group: Pointer<Group>?
  let allocator: Pointer<AllocatorState>
  let slotBytes: UInt32
  let reciprocal: UInt32
  /// Where it is in its life; see Lifecycle/CacheState.swift. Changes under `lock`.
  let state: Atomic<UInt8>
  /// Whether slabs of this cache carry their own descriptors.
  let isSelfDescribing: Bool
  /// Whether the group is not the one that the cache was made for. Under the registry lock.
  var isInherited = false
  /// Whether the retired sheaf may be opened again. Under `lock`; here to fill a word.
  var isResting = false
  /// Keeps the lock's line away from the readers of this one.
  private let padding: (UInt32, UInt32, UInt32) = (0, 0, 0)

  // Line 1: the lock, and what changes under it.
  let lock = Lock()
  // Slabs and units fit in 32 bits, since a heap has at most 2^27 units; objects do not.
  /// Slabs, with those being made and given back, and the pins of those who look at the cache without a
  /// lock: see `pin`.
  var slabCount: UInt32 = 0
  /// Slabs on the partial list that are empty.
  var emptyCount: UInt32 = 0
  /// Memory of all slabs, in units.
  var units: UInt32 = 0
  /// Objects with users or in sheaves.
  var objectsInUse: UInt64 = 0
  /// Objects that all slabs can hold.
  var objectsTotal: UInt64 = 0
  /// Slow operations since the sheaf was opened or grew.
  var slowOperations: UInt32 = 0
  /// Class of the sheaf's block; meaningful while the sheaf is open or retired.
  var sheafClass: UInt32 = 0
  var partialFirst: Pointer<Slab>? = nil
  var partialLast: Pointer<Slab>? = nil
  /// A sheaf that has been closed and awaits a fence. While the cache is active whoever retired it drains
  /// it, afterwards the fence worker; until then no other one is opened. One that `isResting` is nobody's:
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
    root: Pointer<RootCache>, group: Pointer<Group>?, allocator: Pointer<AllocatorState>,
    geometry: SlabGeometry, isSelfDescribing: Bool
  ) {
    self.root = root
    self.group = group
    self.allocator = allocator
    slotBytes = UInt32(geometry.slotBytes)
    reciprocal = geometry.reciprocal
    state = Atomic(CacheState.active.rawValue)
    self.isSelfDescribing = isSelfDescribing
  }

  /// Bytes of a child's descriptor; a multiple of the page map's granule.
  static var descriptorBytes: Int { 192 }
  static var allNodeOffset: UInt { 128 }
  static var siblingNodeOffset: UInt { 144 }
  static var groupNodeOffset: UInt { 160 }
}

extension Pointer where Pointee == Cache {
  @inlinable @inline(__always)
  package var words: Pointer<SheafWords> { Pointer<SheafWords>(address: address)! }

  var allNode: Pointer<ListNode> { Pointer<ListNode>(address: address + Cache.allNodeOffset)! }
  var siblingNode: Pointer<ListNode> {
    Pointer<ListNode>(address: address + Cache.siblingNodeOffset)!
  }
  var groupNode: Pointer<ListNode> { Pointer<ListNode>(address: address + Cache.groupNodeOffset)! }

  /// The caches that these nodes stand in.
  init(allNode: Pointer<ListNode>) { self.init(address: allNode.address - Cache.allNodeOffset)! }
  init(siblingNode: Pointer<ListNode>) {
    self.init(address: siblingNode.address - Cache.siblingNodeOffset)!
  }
  init(groupNode: Pointer<ListNode>) {
    self.init(address: groupNode.address - Cache.groupNodeOffset)!
  }

  var state: CacheState {
    // Acquiring: pairs with the releasing store in `moveState`. Where it decides, it is read under
    // the lock; elsewhere it is a hint.
    CacheState(rawValue: pointee.state.load(ordering: .acquiring))!
  }

  /// Whether this is a root and not a child.
  var isRoot: Bool { pointee.root.address == address }

  /// Under the lock: a step of the life cycle, which must be one of the table's.
  func moveState(to new: CacheState) {
    invariant(state.mayBecome(new), "life cycle: a step that is not in the table")
    pointee.state.store(new.rawValue, ordering: .releasing)
  }
}
