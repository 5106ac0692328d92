// SPDX-License-Identifier: Apache-2.0
// What copies of a cache share: the reference that one of them, or the end of the last, gives back.

public import SlabCore
internal import SlabPlatform
internal import Synchronization

/// Keeps the descriptor of a root cache, also after its end: so a copy of a cache that was destroyed
/// is refused, and never touches memory that is another one's.
@usableFromInline
final class CacheHandle: Sendable {
  let allocator: AllocatorHandle
  /// With its name space.
  let name: String
  private let reference: CacheReference
  /// Set by the one thread that destroys it, until it is refused.
  private let isBeingDestroyed = Atomic(false)
  /// How its objects end, for those that need it. The runtime makes the description of a generic type when
  /// it is first asked for, and allocates: so that is here, and not where an object is freed.
  private let end: (any ObjectEnd.Type)?
  private let isDestroyed = Atomic(false)
  /// Whether others may use its root as well, which then goes on when this user has left it.
  let isShareable: Bool

  /// Makes a root cache, and holds it.
  convenience init(
    named name: String, namespace: String?, objectSize: Int, alignment: Int,
    options: SlabCacheOptions, end: (any ObjectEnd.Type)? = nil, of allocator: SlabAllocator
  ) throws(SlabError) {
    try unsafe self.init(
      named: name, namespace: namespace, objectSize: objectSize, alignment: alignment,
      options: options, constructor: nil, end: end, of: allocator)
  }

  /// The same for objects that a constructor prepares, once each, when their slab is made.
  init(
    named name: String, namespace: String?, objectSize: Int, alignment: Int,
    options: SlabCacheOptions, constructor: Constructor?, end: (any ObjectEnd.Type)? = nil,
    of allocator: SlabAllocator
  ) throws(SlabError) {
    let name = try name.cacheName(in: namespace)
    try name.checkForReports()
    let bytes = Array(name.utf8)
    do {
      reference = try unsafe allocator.core.makeReference(
        named: bytes.span, objectSize: objectSize, alignment: alignment, options: options,
        constructor: constructor)
    } catch { throw SlabError(error, makingCache: name) }
    allocator.core.hold(reference.root)
    isShareable = reference.isShareable
    self.allocator = allocator.handle
    self.name = name
    self.end = end
  }

  deinit {
    allocator.ifMapped { core in
      if !isOver { core.abandon(reference) }
      core.unhold(reference.root)
    }
  }

  var root: Pointer<RootCache> { reference.root }

  /// Whether it was destroyed. Relaxed: it says nothing about memory.
  @usableFromInline var isOver: Bool { isDestroyed.load(ordering: .relaxed) }

  func destroy() throws(SlabError) {
    // Relaxed: the second caller does nothing; what the first one did is under locks.
    guard !isBeingDestroyed.exchange(true, ordering: .relaxed) else { throw .cacheDestroyed }
    do { try allocator.core.destroy(reference) } catch {
      isBeingDestroyed.store(false, ordering: .relaxed)
      throw SlabError(error)
    }
    isDestroyed.store(true, ordering: .relaxed)
  }
}

/// The end of this user's share of a cache, for copies of a handle that is over.
extension SlabCache where Object: ~Copyable {
  @inlinable @inline(__always)
  func checkIsLive() throws(AllocatorError) {
    if isShareable, handle.isOver { throw .cacheDestroyed }
  }
}

extension RawSlabCache {
  @inlinable @inline(__always)
  func checkIsLive() throws(AllocatorError) {
    if isShareable, handle.isOver { throw .cacheDestroyed }
  }
}
