public import SlabCore
public import SlabPlatform
internal import Synchronization

/// A root cache: objects of one size, for everybody and for each memory group apart.
///
/// A value is a handle, copied freely and used from any thread until `destroy`.
@safe
public struct SlabCache: Sendable {
  @usableFromInline let core: Pointer<RootCache>
  private let reference: CacheReference
  @usableFromInline let allocator: Allocator

  init(reference: CacheReference, allocator: Allocator) {
    core = reference.root
    self.reference = reference
    self.allocator = allocator
  }

  /// Allocates an object, uninitialised unless the cache has a constructor.
  ///
  /// A restartable sequence when the cache is warm; else a short lock, perhaps a new slab with a
  /// system call. Never waits for an ending.
  ///
  /// - Parameter group: who is charged, slab by slab, up to the root group; `nil` for nobody. The
  ///   group's child cache is made on first use.
  /// - Throws: `.limitReached`, `.groupOffline`, `.outOfMemory`.
  @inlinable @inline(__always)
  public func allocate(in group: MemoryGroup?) throws(SlabError) -> UnsafeMutableRawPointer {
    do throws(AllocatorError) {
      let object = try allocator.allocate(from: core, in: group?.core)
      // SAFETY: the address of an object, never 0.
      return unsafe UnsafeMutableRawPointer(bitPattern: object).unsafelyUnwrapped
    } catch { throw SlabError(error) }
  }

  /// The same with all bytes zero. O(object size) more.
  public func allocateZeroed(in group: MemoryGroup?) throws(SlabError) -> UnsafeMutableRawPointer {
    do throws(AllocatorError) {
      let object = try allocator.allocateZeroed(from: core, in: group?.core)
      // SAFETY: the address of an object, never 0.
      return unsafe UnsafeMutableRawPointer(bitPattern: object).unsafelyUnwrapped
    } catch { throw SlabError(error) }
  }

  /// Frees an object of this cache, whichever group it was charged to.
  ///
  /// - Precondition: the object is live, of this cache, and nobody uses it; else the process ends.
  @unsafe @inlinable @inline(__always)
  public func free(_ object: UnsafeMutableRawPointer) {
    allocator.free(UInt(bitPattern: object), to: core)
  }

  /// Drains the sheaf of the cache itself, not of its children, and gives its empty slabs back.
  /// O(slabs with a free object); takes the cache's lock and may wait for a fence.
  public func shrink() { core.cache.shrink() }

  /// How many empty slabs the cache and each of its children keep; 5 to 10 at first, by size. What
  /// is above a new value goes back at the next `shrink`, or when the group goes offline.
  public var minPartial: Int { core.pointee.minPartial.load(ordering: .relaxed) }

  /// Changes `minPartial`. O(1).
  ///
  /// - Throws: `.invalidLimit` for a negative count.
  public func setMinPartial(_ count: Int) throws(SlabError) {
    do { try allocator.setMinPartial(count, of: core) } catch { throw SlabError(error) }
  }

  /// The most objects that a sheaf of the cache or of a child may hold on one CPU; 0 for none.
  public var sheafCapacity: Int { core.pointee.sheafCapacity.load(ordering: .relaxed) }

  /// Changes `sheafCapacity`; sheaves that are larger are closed. O(children), with a fence for
  /// each that is closed, under the registry lock: for set-up and experiments.
  ///
  /// - Throws: `.invalidLimit` for a negative capacity or one above the largest sheaf's.
  public func setSheafCapacity(_ capacity: Int) throws(SlabError) {
    do { try allocator.setSheafCapacity(capacity, of: core) } catch { throw SlabError(error) }
  }

  /// Destroys the cache and all its children. Waits for short locks, and before it is refused for
  /// deferred frees under way; its name can be used again at once. O(children).
  ///
  /// A merged cache (see `SlabAllocator.Configuration.mergesCaches`) goes on for its other users;
  /// then this is O(1), and live objects are taken for theirs. The last user ends it.
  ///
  /// - Throws: `.cacheBusy` with the number of live objects, and nothing has changed.
  /// - Precondition: nobody uses the cache, now or afterwards.
  public func destroy() throws(SlabError) {
    do { try allocator.destroy(reference) } catch { throw SlabError(error) }
  }

  /// The name that it was made with.
  public var name: String { reference.name.string }
}

extension CacheName {
  fileprivate var string: String {
    String(decoding: (0..<byteCount).map { self[$0] }, as: UTF8.self)
  }
}
