// SPDX-License-Identifier: Apache-2.0
// A memory group: the kernel's memory cgroup (`struct mem_cgroup`), a node of a tree that counts and
// limits the memory of a tenant.
//
// A handle keeps the descriptor of the group and those of its child caches alive: that is what
// makes the fast path safe without a reader section. What keeps a group itself alive is its
// handles, its child caches, its child groups, the stack of changed groups and, until it is settled,
// the fence batch. Under the policy `reparent` its child caches keep it only until they are with its
// parent.

public import SlabPlatform
public import Synchronization

@usableFromInline
package struct Group: ~Copyable {
  // Line 0: read by the fast path.
  /// `GroupState`, and what else its caches know; first, so that an owner's address is its group's. The state
  /// changes to `reparenting` under the page lock as well.
  let owner = CacheOwner()
  /// Length of the name.
  let nameCount: UInt16
  /// Dense, reused after offline.
  let id: UInt32
  /// Address of the table of child caches: a mask, then mask + 1 cells. See Group+Table.swift.
  @usableFromInline let table: Atomic<UInt>
  let parent: Pointer<Group>?
  @usableFromInline package let allocator: Pointer<GroupsState>
  /// Handles that users hold.
  let handles: Atomic<Int>
  /// Bytes that may be charged; `unlimited` for no limit.
  package let max: Atomic<Int>
  /// Bytes above which charges reclaim; `unlimited` for none.
  package let high = Atomic<Int>(Group.unlimited)

  // The inline table: its mask ends line 0, its cells are line 1.
  var inlineMask: UInt64 = 0
  var inlineCells = InlineArray<8, UInt64>(repeating: 0)

  // Line 2.
  /// Bytes charged to the group and below it.
  package let current = ChargeCounter()
  package let peak: Atomic<Int>
  /// Free units in pages of this group: runs of one unit and of two. Under the page lock.
  var freeUnits = InlineArray<2, UInt32>(repeating: UnitMap.none)
  /// Where the name is; 0 for none.
  let name: UInt

  // Under the registry lock:
  /// Sentinel of the group's caches, from their birth to their shutdown: first its own, then those
  /// that it inherited.
  var caches = ListNode()

  // Line 3.
  var siblingNode = ListNode()
  /// Sentinel of the child groups.
  var childGroups = ListNode()
  var cacheCount: UInt32 = 0
  /// Child groups that exist, and those of them that are online.
  var childGroupCount: UInt32 = 0
  var onlineChildGroupCount: UInt32 = 0
  /// Child groups whose caches are on their way to this one.
  var reparentingChildGroupCount: UInt32 = 0
  /// Used cells of the table, tombstones included.
  var usedCells: UInt32 = 0
  /// Groups at and below this one whose end is under way: see Group+Endings.swift.
  var endingCount: UInt32 = 0
  /// The next group on the offline batch.
  var nextInBatch: Pointer<Group>? = nil
  /// Caches that are shut down while a handle is held.
  var shutDownCaches: Pointer<Cache>? = nil
  /// The table before `offline` took it away; 0 while online.
  var tableAtOffline: UInt = 0
  /// Groups below this one, at any depth: those that are online, and the zombies.
  var onlineDescendantCount: UInt32 = 0
  var dyingDescendantCount: UInt32 = 0

  // Line 4.
  /// The next group in the chain of the index of names; see GroupNames.swift.
  var nextNamed: Pointer<Group>? = nil
  var nameHash: UInt32 = 0
  /// Whether it is in the index.
  var isIndexed = false
  /// Set when `close` has come to it: no child is made below it any more.
  var isClosing = false
  /// Its objects are to go as a whole; and whether it is on the queue for it, or with the worker. See
  /// Endings/Discard.swift.
  var isDiscarded = false
  var isDiscarding = false
  /// Handles of users that want to know of changes.
  let watchers = Atomic<UInt32>(0)
  /// Whether it is on the stack of changed groups; not under the lock.
  let isChanged = Atomic<Bool>(false)
  /// Its place on that stack, and the one in the hand of the thread that took it off: they keep the
  /// descriptor.
  let changeHolds = Atomic<UInt8>(0)
  let endings: EndingPolicy
  /// 0 for the root group.
  let depth: UInt8
  var nextChanged: Pointer<Group>? = nil
  /// The owner of the bytes that it leaves in memory.
  let tenant: Tenant
  /// Whether free units of a group that has ended were joined to its own: under the page lock.
  var hasInheritedUnits = false
  /// Sentinel of its shrinkers.
  var shrinkers = ListNode()
  // Line 5.
  /// By event: the group's own, then those of the group and of all below it.
  let events = InlineArray<10, Atomic<Int>> { _ in Atomic(0) }
  // Line 6.
  /// Bytes up to which it is spared while others have something to give.
  package let low = Atomic<Int>(0)

  static var descriptorBytes: Int { 512 }
  static var siblingNodeOffset: UInt { 176 }
  static var reclaimableNodeOffset: UInt { 408 }
  package static var unlimited: Int { .max }
  /// The deepest group; charging recurses as deep.
  package static var deepest: Int { 64 }
  /// In bytes: a path of cgroups fits.
  package static var longestName: Int { 4095 }

  // Under the registry lock:
  /// In its parent's list of those that have something to give; see Group+Reclaimable.swift.
  var reclaimableNode = ListNode()
  /// Sentinel of that list of its own.
  var reclaimableChildren = ListNode()
  /// Threads that give back what its own caches have idle; see Reclaim/Group+Idle.swift.
  let givingBack = Atomic<Int>(0)
  /// Bytes that were charged when a reclaim for `high` had no success; 0 for none since.
  let fruitlessAt = Atomic<Int>(0)
  /// Where `malloc` has the group's children of the size classes at hand; 0 until it is used in the group. Memory of
  /// the core's, which goes with the group's tables.
  let mallocChildren = Atomic<UInt>(0)
  /// Objects and slabs, of this group and below it, that wait for a grace period to be free.
  let awaitingGracePeriod = Atomic<Int>(0)
  /// Bytes beyond which no charge goes, whatever the policy of the group that allocates.
  package let stop = Atomic<Int>(Group.unlimited)
  /// Bytes that its caches may have in their barns: see Group+Barns.swift.
  let barnBytes = Atomic<Int>(0)
  /// Whether its charges go beyond limits: see Group+Overcharge.swift.
  let overcharges = Atomic<Bool>(false)
  /// Whether its objects are in slabs that groups share, as far as those can be. Set before the first is allocated.
  var isShared = false
  /// The most pages since it was reset last, rounded up: see `resetRecentPeak`. Here to fill a word.
  let recentPeakPages = Atomic<UInt32>(0)
  /// Who is charged for them, in the group or below it, if there are any. Under the registry lock and the page lock, but
  /// for holders of a handle on a shared group, of which it stays.
  var payer: Pointer<Payer>? = nil

  init(
    id: UInt32, parent: Pointer<Group>?, allocator: Pointer<GroupsState>, max: Int,
    name: UInt, nameCount: Int, endings: EndingPolicy, tenant: Tenant
  ) {
    table = Atomic(0)
    depth = parent.map { $0.pointee.depth + 1 } ?? 0
    self.nameCount = UInt16(nameCount)
    self.id = id
    self.parent = parent
    self.allocator = allocator
    handles = Atomic(1)
    self.max = Atomic(max)
    peak = Atomic(0)
    self.name = name
    self.endings = endings
    self.tenant = tenant
  }
}

extension Pointer where Pointee == Group {
  /// The nodes by their addresses: noncopyable fields have one.
  var caches: Pointer<ListNode> { Pointer<ListNode>(of: &pointee.caches) }
  var siblingNode: Pointer<ListNode> { Pointer<ListNode>(of: &pointee.siblingNode) }
  var childGroups: Pointer<ListNode> { Pointer<ListNode>(of: &pointee.childGroups) }

  /// The group that this node stands in.
  init(siblingNode: Pointer<ListNode>) {
    // SAFETY: the node is this field of the descriptor, at the offset that is checked at the start.
    unsafe self.init(address: siblingNode.address - Group.siblingNodeOffset)!
  }

  package var state: GroupState {
    // Acquiring: pairs with the releasing stores under the registry lock. Read without it, it is a
    // hint that saves work; a thread that must be sure reads it under the lock.
    GroupState(rawValue: pointee.owner.state.load(ordering: .acquiring))!
  }

  package var isOnline: Bool { state == .online }

  /// The group above; `nil` for the root group.
  package var parent: Pointer<Group>? { pointee.parent }

  /// The bytes of the name, for as long as the group lives.
  package func withName<Result>(_ body: (borrowing Span<UInt8>) -> Result) -> Result {
    // SAFETY: the name is an object of the core's with `nameCount` initialised bytes, alive as long
    // as the group is.
    let bytes = unsafe UnsafeBufferPointer(
      start: UnsafePointer<UInt8>(bitPattern: pointee.name),
      count: pointee.name == 0 ? 0 : Int(pointee.nameCount))
    return unsafe body(bytes.span)
  }
}

extension Cache {
  /// The group that a child serves and charges, as `owner`; `nil` in a root.
  var group: Pointer<Group>? {
    // SAFETY: an owner is the beginning of its group.
    get { owner.map { unsafe Pointer<Group>(nonzeroAddress: $0.address) } }
    set { owner = newValue?.owner }
  }
}

extension Pointer where Pointee == Group {
  // SAFETY: the one is the first field of the other.
  var owner: Pointer<CacheOwner> { unsafe Pointer<CacheOwner>(nonzeroAddress: address) }
}

extension RefusingGroup {
  // SAFETY: the group that refused is kept by the one that was refused.
  package var group: Pointer<Group> { unsafe Pointer<Group>(nonzeroAddress: address) }
}

extension AllocatorError {
  package static func groupLimit(_ group: Pointer<Group>) -> AllocatorError {
    .groupLimit(RefusingGroup(address: group.address))
  }
}

extension Pointer where Pointee: HasGroups & ~Copyable {
  /// Takes one more handle on a group, on which the caller has one.
  package func retain(_ group: Pointer<Group>) {
    // Relaxed: the caller's own handle keeps the group; the order is made when handles are given back.
    group.pointee.handles.add(1, ordering: .relaxed)
  }
}
