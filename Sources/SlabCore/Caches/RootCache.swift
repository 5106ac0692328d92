// SPDX-License-Identifier: Apache-2.0
// A root cache: what users create. It serves allocations that no group is charged for, and holds
// what its children share: the name, the layout, the limits and the running sums.

public import SlabPlatform
package import Synchronization

/// Runs once per object when a slab is made; the object's memory is not zeroed before.
@usableFromInline
package typealias Constructor = @convention(c) (UnsafeMutableRawPointer) -> Void

@usableFromInline @safe
package struct RootCache: ~Copyable {
  /// The common part; first, so that a root is a cache at the same address.
  var cache: Cache

  // Under the registry lock. These three stand right behind the common part: their offsets lead back
  // from a node to its root.
  var rootNode = ListNode()
  /// Sentinel of the children, active or not.
  var children = ListNode()
  /// Linked while another user may join: see MergeableRoots.swift.
  var mergeNode = ListNode()
  var childCount = 0
  var oldestAlias: Pointer<CacheAlias>? = nil
  /// The next root on the destroy batch.
  var nextInBatch: Pointer<RootCache>? = nil

  /// 8 * the index, which is dense and reused: groups find their child by it.
  @usableFromInline let tableOffset: UInt
  let geometry: SlabGeometry
  /// Users that have begun to end it as its last ones, and whose objects are being counted: no user joins meanwhile.
  /// Under the registry lock; here to fill a word.
  var usersEnding: UInt32 = 0
  /// As requested, in bytes: the most that a user did.
  let largestObject: Atomic<Int>
  let constructor: Constructor?
  /// What may read the root though it is on no list any more: children that are being built, and users that have
  /// asked for it (`hold`). Raised without a lock, lowered under the registry lock.
  let holds = Atomic<UInt32>(0)
  /// Set by destroy: no child is born any more, and the name is free. Under the registry lock, as the
  /// next; here to fill a word.
  var isDestroying = false
  /// Whether the first user has not left it; the others have aliases.
  var hasFirstUser = true
  /// What its user chose.
  let options: SlabCacheOptions
  /// Its maker.
  let kind: RootKind
  /// Empty slabs that each cache of this root keeps.
  package let minPartial: Atomic<Int>
  /// Most objects that a sheaf may hold; 0 for no sheaves.
  package let sheafCapacity: Atomic<Int>
  /// The cache of the objects that groups share; 0 until a shared group first uses the root. Stored under the registry
  /// lock.
  let sharedCache = Atomic<UInt>(0)
  /// Sums over the root and its children, kept as they change: see `Sum`. A block of the per-CPU
  /// region.
  let sums: UInt
  /// What the oldest user named it.
  var userName: UserName

  /// Caches of the core itself: never charged, never destroyed.
  var isInternal: Bool { kind == .core }
  /// Slabs go back to the pages only after a reader grace period (SLAB_TYPESAFE_BY_RCU).
  package var isTypeSafe: Bool { options.contains(.typeSafe) }
  var isPoisoned: Bool { options.contains(.poison) }

  var index: Int { Int(tableOffset) / 8 }

  /// 1...63 bytes of UTF-8. Under the registry lock, but for the oldest user.
  package var name: CacheName { userName.name }

  /// Relaxed: a user's own size is in it since before that user had a reference.
  var objectSize: Int { largestObject.load(ordering: .relaxed) }

  static var rootNodeOffset: UInt { UInt(MemoryLayout<Cache>.size) }
  static var childrenOffset: UInt { rootNodeOffset + UInt(MemoryLayout<ListNode>.size) }
  static var mergeNodeOffset: UInt { childrenOffset + UInt(MemoryLayout<ListNode>.size) }

  /// Indices of the running sums.
  enum Sum {
    static var objectsInUse: Int { 0 }
    static var objectsTotal: Int { 1 }
    static var units: Int { 2 }
    /// Objects that `freeAfterGracePeriod` has and that are not free yet.
    static var deferred: Int { 3 }
  }
}

/// The maker of a root.
enum RootKind: UInt8 {
  case user
  /// For variable-size storage: see SizeClasses.swift. Charged, never destroyed.
  case sizeClass
  /// The core, for itself: never charged, never destroyed.
  case core
}

/// A cache's name. Those of the caches that the core makes, for itself and as size classes, begin with
/// `core:`, and no user's does: so slabinfo never has two lines of one name.
package struct CacheName: Sendable {
  var bytes = InlineArray<63, UInt8>(repeating: 0)
  var count: UInt8 = 0

  /// Most bytes of a name: the tools that read slabinfo have fixed buffers.
  package static var longest: Int { 63 }

  /// The name if it is one: 1 to 63 printable bytes without blanks, which would break the columns
  /// of slabinfo; otherwise `nil`.
  package init?(_ utf8: borrowing Span<UInt8>) {
    guard !utf8.isEmpty, utf8.count <= Self.longest else { return nil }
    for index in utf8.indices {
      let byte = utf8[index]
      guard byte > 0x20, byte != 0x7f else { return nil }
      bytes[index] = byte
    }
    count = UInt8(utf8.count)
  }

  /// A name of the core's own: `core:` and the text.
  init(ofTheCore name: StaticString) {
    append(Self.coreNamespace)
    append(name)
  }

  private static var coreNamespace: StaticString { "core:" }

  /// Whether it is in the core's name space.
  var isOfTheCore: Bool {
    let space = Self.coreNamespace
    guard count >= space.utf8CodeUnitCount else { return false }
    for index in 0..<space.utf8CodeUnitCount {
      // SAFETY: the index is below the string's count.
      guard unsafe space.utf8Start[index] == bytes[index] else { return false }
    }
    return true
  }

  private mutating func append(_ text: StaticString) {
    for index in 0..<text.utf8CodeUnitCount {
      // SAFETY: the index is below the string's count.
      bytes[Int(count)] = unsafe text.utf8Start[index]
      count += 1
    }
  }

  package static func == (left: CacheName, right: CacheName) -> Bool {
    guard left.count == right.count else { return false }
    for index in 0..<Int(left.count) where left.bytes[index] != right.bytes[index] {
      return false
    }
    return true
  }
}

extension Pointer where Pointee == RootCache {
  // SAFETY: the one is the first field of the other.
  @inlinable @inline(__always)
  package var cache: Pointer<Cache> { unsafe Pointer<Cache>(address: address)! }

  var rootNode: Pointer<ListNode> {
    // SAFETY: the node is this field of the descriptor, at the offset that is checked at the start.
    unsafe Pointer<ListNode>(address: address + RootCache.rootNodeOffset)!
  }
  var children: Pointer<ListNode> {
    // SAFETY: the node is this field of the descriptor, at the offset that is checked at the start.
    unsafe Pointer<ListNode>(address: address + RootCache.childrenOffset)!
  }

  var mergeNode: Pointer<ListNode> {
    // SAFETY: the node is this field of the descriptor, at the offset that is checked at the start.
    unsafe Pointer<ListNode>(address: address + RootCache.mergeNodeOffset)!
  }

  /// The root that this node stands in.
  init(rootNode: Pointer<ListNode>) {
    // SAFETY: the node is this field of the descriptor, at the offset that is checked at the start.
    unsafe self.init(address: rootNode.address - RootCache.rootNodeOffset)!
  }
  init(mergeNode: Pointer<ListNode>) {
    // SAFETY: the node is this field of the descriptor, at the offset that is checked at the start.
    unsafe self.init(address: mergeNode.address - RootCache.mergeNodeOffset)!
  }

  /// Adds to one of the running sums. A restartable sequence; no atomic operation.
  func add(_ delta: Int, to sum: Int) {
    pointee.cache.allocator.region.pointee.add(delta, toCounter: sum, of: pointee.sums)
  }

  /// A running sum. Exact while no thread changes it. O(CPUs).
  func sum(_ sum: Int) -> Int {
    pointee.cache.allocator.region.pointee.sum(ofCounter: sum, of: pointee.sums)
  }
}

extension CacheName {
  package var byteCount: Int { Int(count) }
  package subscript(_ index: Int) -> UInt8 { bytes[index] }
}

extension Pointer where Pointee == RootCache {
  package var objectSize: Int { pointee.objectSize }
  package var minPartial: Int { pointee.minPartial.load(ordering: .relaxed) }
  package var sheafCapacity: Int { pointee.sheafCapacity.load(ordering: .relaxed) }
}
