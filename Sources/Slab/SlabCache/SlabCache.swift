// SPDX-License-Identifier: Apache-2.0
public import SlabCore
public import SlabPlatform

/// A slab cache: objects of one type, kept apart for each memory group.
///
///     let sessions = try SlabCache<Session>(named: "session")
///     var session = try sessions.allocate(Session(user: 42), in: tenant)
///     session.value.requests += 1
///
/// A value is a handle, copied freely and used from any thread. The cache lives until `destroy`, or
/// until no copy of it is left and its last object is freed: a slot needs no copy of its cache. In a release
/// build a local variable ends after its last use: keep a cache in a property.
///
/// The end of the last copy costs O(1) and short locks, and may wake a worker. It waits for nothing.
///
/// Not for objects of different sizes, for which there are `SlabArray` and `SlabBuffer`, nor for a
/// handful of objects: a cache costs a page at least, and each group that uses it 1 KiB.
@frozen @safe
public struct SlabCache<Object: ~Copyable>: Sendable {
  @usableFromInline let core: Pointer<RootCache>
  @usableFromInline let handle: CacheHandle
  /// Whether others may use the root as well: then its end says nothing about this user's, and the handle is
  /// asked. Of a root that is this user's alone the end is found where its sheaf is closed.
  @usableFromInline let isShareable: Bool

  /// Makes a cache. O(1) expected, however many caches there are; may lock and make system calls; no group is charged.
  ///
  /// - Parameters:
  ///   - name: 1 to 63 bytes without blanks, control and invisible characters; new, byte by byte, among
  ///     the caches of the allocator. Names that begin with `core:` are its own.
  ///   - namespace: whose name it is, for a library that shares the allocator with others: the cache is
  ///     then called `namespace:name`, which has 63 bytes at most. Without a colon, and not `core`.
  ///   - options: see `SlabCacheOptions`.
  ///   - alignment: in bytes, a power of two up to 4,096; that of the type at least.
  ///   - allocator: whose memory it is.
  /// - Throws: `.invalidName`, `.nameInUse`, `.invalidObjectSize` for a type of more than 32 KiB,
  ///   `.invalidAlignment`, `.invalidOptions`, `.tooManyCaches`, `.outOfMemory`.
  public init(
    named name: String, namespace: String? = nil, options: SlabCacheOptions = [],
    alignment: Int = 1, of allocator: SlabAllocator = .shared
  ) throws(SlabError) {
    guard alignment > 0, alignment & (alignment - 1) == 0 else { throw .invalidAlignment }
    handle = try CacheHandle(
      named: name, namespace: namespace, objectSize: max(1, MemoryLayout<Object>.size),
      alignment: max(alignment, MemoryLayout<Object>.alignment), options: options,
      end: EndOfObject<Object>.self, of: allocator)
    core = handle.root
    isShareable = handle.isShareable
  }

  /// The name that it was made with, behind its name space if there is one: `namespace:name`. O(1).
  public var name: String { handle.name }

  /// Ends the cache now: no copy of it allocates any more, and its name can be used again at once.
  /// O(groups that use it), under short locks; waits for deferred frees under way before it is refused.
  ///
  /// A merged cache (see `SlabAllocator.Configuration.mergesCaches`) goes on for its other users; then
  /// live objects are taken for theirs. The last user ends it.
  ///
  /// - Throws: `.cacheBusy` with the number of live objects, and nothing has changed;
  ///   `.cacheDestroyed`.
  public func destroy() throws(SlabError) { try handle.destroy() }

  /// Flushes the sheaf of the cache itself, not of its groups, and gives its empty slabs back.
  /// Of the rest the fullest are used first, among the next 1,024. O(empty slabs); takes the cache's lock
  /// shortly, and may wait for a fence.
  public func shrink() {
    guard !handle.isOver else { return }
    core.shrink()
  }
}
