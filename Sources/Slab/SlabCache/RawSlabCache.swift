// SPDX-License-Identifier: Apache-2.0
public import SlabCore
public import SlabPlatform

/// A slab cache whose objects are bytes, of a size that is known at run time only: for bindings and
/// tools. Everything else is served by `SlabCache`, which frees by itself.
///
/// A value is a handle, as that of `SlabCache`.
@frozen @safe
public struct RawSlabCache: Sendable {
  @usableFromInline let core: Pointer<RootCache>
  @usableFromInline let handle: CacheHandle
  /// Whether others may use the root as well: then its end says nothing about this user's, and the handle is
  /// asked. Of a root that is this user's alone the end is found where its sheaf is closed.
  @usableFromInline let isShareable: Bool

  /// Makes a cache for objects of one size. O(1) expected, however many caches there are; may lock and make system calls; no group is charged.
  ///
  /// - Parameters:
  ///   - name: 1 to 63 bytes without blanks and control characters, new among the caches of the
  ///     allocator.
  ///   - namespace: stands ahead of the name, as for `SlabCache`.
  ///   - objectSize: in bytes, 1 to 32 KiB.
  ///   - alignment: in bytes, a power of two up to 4,096.
  ///   - options: see `SlabCacheOptions`.
  ///   - allocator: whose memory it is.
  /// - Throws: `.invalidName`, `.nameInUse`, `.invalidObjectSize`, `.invalidAlignment`, `.invalidOptions`,
  ///   `.tooManyCaches`, `.outOfMemory`.
  public init(
    named name: String, namespace: String? = nil, objectSize: Int, alignment: Int = 8,
    options: SlabCacheOptions = [], of allocator: SlabAllocator = .shared
  ) throws(SlabError) {
    guard alignment > 0 else { throw .invalidAlignment }
    handle = try CacheHandle(
      named: name, namespace: namespace, objectSize: objectSize, alignment: alignment,
      options: options, of: allocator)
    core = handle.root
    isShareable = handle.isShareable
  }

  /// The name that it was made with, behind its name space if there is one: `namespace:name`. O(1).
  public var name: String { handle.name }

  /// Allocates an object, uninitialised. A restartable sequence when the group's cache is warm; else a
  /// short lock, perhaps a new slab with a system call, perhaps reclaim at a limit. Never waits for an
  /// ending.
  ///
  /// - Parameter group: the group that is charged, and above it up to the root group; the root group for none.
  /// - Returns: the object, which `free` or `SlabAllocator.free` takes back.
  /// - Throws: `.limitReached`, `.groupOffline`, `.outOfMemory`, `.cacheDestroyed`.
  @inlinable @inline(__always)
  public func allocate(in group: MemoryGroup) throws(SlabError) -> UnsafeMutableRawPointer {
    // As `SlabCache.allocateAddress`.
    defer {
      extendLifetime(handle)
      extendLifetime(group.handle)
    }
    do throws(AllocatorError) {
      try checkIsLive()
      let object = try Allocator.allocate(from: core, in: group.core)
      // SAFETY: the address of an object, never 0.
      return unsafe UnsafeMutableRawPointer(bitPattern: object).unsafelyUnwrapped
    } catch { throw SlabError(error, allocatingFrom: core, in: group) }
  }

  /// The same with all bytes zero. O(object size) more.
  ///
  /// - Throws: as `allocate`.
  public func allocateZeroed(
    in group: MemoryGroup
  ) throws(SlabError) -> UnsafeMutableRawPointer {
    // As `SlabCache.allocateAddress`.
    defer {
      extendLifetime(handle)
      extendLifetime(group.handle)
    }
    do throws(AllocatorError) {
      try checkIsLive()
      let object = try Allocator(of: core.cache).allocateZeroed(from: core, in: group.core)
      // SAFETY: the address of an object, never 0.
      return unsafe UnsafeMutableRawPointer(bitPattern: object).unsafelyUnwrapped
    } catch { throw SlabError(error, allocatingFrom: core, in: group) }
  }

  /// Frees an object of this cache, whichever group it was charged to. A restartable sequence, or a
  /// short lock; never waits for an ending.
  ///
  /// - Precondition: the object is live, of this cache, and no thread uses it; else the process ends.
  @unsafe @inlinable @inline(__always)
  public func free(_ object: UnsafeMutableRawPointer) {
    SharedHeap.free(UInt(bitPattern: object), to: core)
  }

  /// Ends the cache now, as `SlabCache.destroy`.
  ///
  /// - Throws: `.cacheBusy` with the number of live objects, and nothing has changed;
  ///   `.cacheDestroyed`.
  public func destroy() throws(SlabError) { try handle.destroy() }

  /// Flushes the sheaf of the cache itself and gives its empty slabs back, as `SlabCache.shrink`.
  public func shrink() {
    guard !handle.isOver else { return }
    core.shrink()
  }

  /// How many empty slabs the cache and each of its children keep; 5 to 10 at first, by size. One that is much in use has up
  /// to an eighth of its slabs empty besides, eight at most. What is above a new value goes back at the next
  /// `shrink`, or when the group goes offline. O(1).
  public var minPartial: Int { core.minPartial }

  /// Changes `minPartial`. O(1).
  ///
  /// - Throws: `.invalidLimit` for a negative count, `.cacheDestroyed`.
  public func setMinPartial(_ count: Int) throws(SlabError) {
    guard !handle.isOver else { throw .cacheDestroyed }
    do { try Allocator(of: core.cache).setMinPartial(count, of: core) } catch {
      throw SlabError(error)
    }
  }

  /// The most objects that a sheaf of the cache or of a child may hold on one CPU; 0 for none. O(1).
  public var sheafCapacity: Int { core.sheafCapacity }

  /// Changes `sheafCapacity`; sheaves that are larger are closed. O(children), with a fence for
  /// each 16 that are closed, which no other thread waits for.
  ///
  /// - Throws: `.invalidLimit` for a negative capacity or one above the largest sheaf's, `.cacheDestroyed`.
  public func setSheafCapacity(_ capacity: Int) throws(SlabError) {
    guard !handle.isOver else { throw .cacheDestroyed }
    do { try Allocator(of: core.cache).setSheafCapacity(capacity, of: core) } catch {
      throw SlabError(error)
    }
  }
}
