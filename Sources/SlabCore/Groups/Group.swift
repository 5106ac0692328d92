// A memory group: the kernel's memory cgroup (`struct mem_cgroup`), a node of a tree that counts and
// limits the memory of a tenant.
//
// A handle keeps the descriptor of the group and those of its child caches alive: that is what
// makes the fast path safe without a reader section. What keeps a group itself alive is its
// handles, its child caches, its child groups, the stack of changed groups and, until it is drained,
// the fence batch. Under the policy `reparent` its child caches keep it only until they are with its
// parent.

public import SlabPlatform
public import Synchronization

@usableFromInline
package struct Group: ~Copyable {
  // Line 0: read by the fast path.
  /// Address of the table of child caches: a mask, then mask + 1 slots. See Group+Table.swift.
  @usableFromInline let table: Atomic<UInt>
  /// `GroupState`; changes under the registry lock, to `reparenting` under the page lock as well.
  let state: Atomic<UInt8>
  /// 0 for the root group.
  let depth: UInt8
  /// Length of the name.
  let nameCount: UInt16
  /// Dense, reused after offline.
  let id: UInt32
  let parent: Pointer<Group>?
  @usableFromInline package let allocator: Pointer<AllocatorState>
  /// Handles that users hold.
  let handles: Atomic<Int>
  /// Bytes that may be charged; `unlimited` for no limit.
  package let max: Atomic<Int>
  /// Bytes above which charges reclaim; `unlimited` for none.
  package let high = Atomic<Int>(Group.unlimited)

  // The inline table: its mask ends line 0, its slots are line 1.
  var inlineMask: UInt64 = 0
  var inlineSlots = InlineArray<8, UInt64>(repeating: 0)

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
  /// Used slots of the table, tombstones included.
  var usedSlots: UInt32 = 0
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
  /// Lifecycle/Discard.swift.
  var isDiscarded = false
  var isDiscarding = false
  /// Those who want to know of changes.
  let watchers = Atomic<UInt32>(0)
  /// Whether it is on the stack of changed groups; not under the lock.
  let isChanged = Atomic<Bool>(false)
  /// Its place on that stack, and the one in the hand of the thread that took it off: they keep the
  /// descriptor.
  let changeHolds = Atomic<UInt8>(0)
  let endings: EndingPolicy
  var nextChanged: Pointer<Group>? = nil
  /// Whose the bytes are that it leaves in memory.
  let tenant: Tenant
  /// Whether free units of a group that has ended were joined to its own: under the page lock.
  var hasInheritedUnits = false
  /// Sentinel of its shrinkers.
  var shrinkers = ListNode()
  // Line 5.
  /// By event: the group's own, then those of the group and of all below it.
  let events = InlineArray<8, Atomic<Int>> { _ in Atomic(0) }
  // Line 6.
  /// Bytes up to which it is spared while others have something to give.
  package let low = Atomic<Int>(0)

  static var descriptorBytes: Int { 448 }
  static var siblingNodeOffset: UInt { 176 }
  static var reclaimableNodeOffset: UInt { 392 }
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
  /// Whether one of its own caches may have idle memory. Changes under the lock.
  let hasIdle = Atomic<Bool>(false)
  /// Bytes that were charged when a reclaim for `high` had no success; 0 for none since.
  let fruitlessAt = Atomic<Int>(0)
  /// Objects and slabs, of this group and below it, that wait for a grace period to be free.
  let awaitingGracePeriod = Atomic<Int>(0)

  init(
    id: UInt32, parent: Pointer<Group>?, allocator: Pointer<AllocatorState>, max: Int,
    name: UInt, nameCount: Int, endings: EndingPolicy, tenant: Tenant
  ) {
    table = Atomic(0)
    state = Atomic(GroupState.online.rawValue)
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
    self.init(address: siblingNode.address - Group.siblingNodeOffset)!
  }

  package var state: GroupState {
    // Acquiring: pairs with the releasing stores under the registry lock. Read without it, it is a
    // hint that saves work; who must be sure reads it under the lock.
    GroupState(rawValue: pointee.state.load(ordering: .acquiring))!
  }

  package var isOnline: Bool { state == .online }

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
