public import SlabCore
public import SlabPlatform

/// A root cache: objects of one size, for everybody and for each memory group apart.
///
/// A value is a handle, copied freely and used from any thread until `destroy`.
@safe
public struct SlabCache: Sendable {
  @usableFromInline let core: Pointer<RootCache>
  @usableFromInline let allocator: Allocator

  init(core: Pointer<RootCache>, allocator: Allocator) {
    self.core = core
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

  /// Frees an object of this cache, whichever group it was charged to.
  ///
  /// - Precondition: the object is live, of this cache, and nobody uses it; else the process ends.
  @unsafe @inlinable @inline(__always)
  public func free(_ object: UnsafeMutableRawPointer) {
    allocator.free(UInt(bitPattern: object), to: core)
  }

  /// Destroys the cache and all its children. Waits for nothing but a short lock; its name can be
  /// used again at once. O(children).
  ///
  /// - Throws: `.cacheBusy` with the number of live objects, and nothing has changed.
  /// - Precondition: nobody uses the cache, now or afterwards.
  public func destroy() throws(SlabError) {
    do { try allocator.destroy(core) } catch { throw SlabError(error) }
  }

  /// The name that it was made with.
  public var name: String { core.pointee.name.string }
}

extension CacheName {
  fileprivate var string: String {
    String(decoding: (0..<byteCount).map { self[$0] }, as: UTF8.self)
  }
}
