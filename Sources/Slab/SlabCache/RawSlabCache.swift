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

  /// Makes a cache for objects of one size. As `SlabCache.init`.
  ///
  /// - Parameters:
  ///   - name: 1 to 63 bytes without blanks and control characters, new among the caches of the
  ///     allocator.
  ///   - objectSize: in bytes, 1 to 32 KiB.
  ///   - alignment: in bytes, a power of two up to 4,096.
  ///   - options: see `SlabCacheOptions`.
  ///   - allocator: whose memory it is.
  public init(
    named name: String, objectSize: Int, alignment: Int = 8, options: SlabCacheOptions = [],
    of allocator: SlabAllocator = .shared
  ) throws(SlabError) {
    guard alignment > 0 else { throw .invalidAlignment }
    handle = try CacheHandle(
      named: name, objectSize: objectSize, alignment: alignment, options: options, of: allocator)
    core = handle.root
  }

  /// The name that it was made with.
  public var name: String { handle.name }

  /// Allocates an object, uninitialised. As `SlabCache.allocate`.
  ///
  /// - Parameter group: who is charged; the root group for nobody.
  @inlinable @inline(__always)
  public func allocate(in group: MemoryGroup) throws(SlabError) -> UnsafeMutableRawPointer {
    do throws(AllocatorError) {
      let object = try Allocator.allocate(from: core, in: group.core)
      // SAFETY: the address of an object, never 0.
      return unsafe UnsafeMutableRawPointer(bitPattern: object).unsafelyUnwrapped
    } catch { throw SlabError(error, allocatingFrom: core, in: group.core) }
  }

  /// The same with all bytes zero. O(object size) more.
  public func allocateZeroed(
    in group: MemoryGroup
  ) throws(SlabError) -> UnsafeMutableRawPointer {
    do throws(AllocatorError) {
      let object = try Allocator(of: core.cache).allocateZeroed(from: core, in: group.core)
      // SAFETY: the address of an object, never 0.
      return unsafe UnsafeMutableRawPointer(bitPattern: object).unsafelyUnwrapped
    } catch { throw SlabError(error, allocatingFrom: core, in: group.core) }
  }

  /// Frees an object of this cache, whichever group it was charged to. A restartable sequence, or a
  /// short lock; never waits for an ending.
  ///
  /// - Precondition: the object is live, of this cache, and nobody uses it; else the process ends.
  @unsafe @inlinable @inline(__always)
  public func free(_ object: UnsafeMutableRawPointer) {
    SharedHeap.free(UInt(bitPattern: object), to: core)
  }

  /// As `SlabCache.destroy`.
  public func destroy() throws(SlabError) { try handle.destroy() }

  /// As `SlabCache.shrink`.
  public func shrink() { core.cache.shrink() }

  /// How many empty slabs the cache and each of its children keep; 5 to 10 at first, by size. What
  /// is above a new value goes back at the next `shrink`, or when the group goes offline.
  public var minPartial: Int { core.minPartial }

  /// Changes `minPartial`. O(1).
  ///
  /// - Throws: `.invalidLimit` for a negative count.
  public func setMinPartial(_ count: Int) throws(SlabError) {
    do { try Allocator(of: core.cache).setMinPartial(count, of: core) } catch {
      throw SlabError(error)
    }
  }

  /// The most objects that a sheaf of the cache or of a child may hold on one CPU; 0 for none.
  public var sheafCapacity: Int { core.sheafCapacity }

  /// Changes `sheafCapacity`; sheaves that are larger are closed. O(children), with a fence for
  /// each that is closed, under the registry lock: for set-up and experiments.
  ///
  /// - Throws: `.invalidLimit` for a negative capacity or one above the largest sheaf's.
  public func setSheafCapacity(_ capacity: Int) throws(SlabError) {
    do { try Allocator(of: core.cache).setSheafCapacity(capacity, of: core) } catch {
      throw SlabError(error)
    }
  }
}
