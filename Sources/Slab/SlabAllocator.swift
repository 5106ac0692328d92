public import SlabCore
internal import SlabPlatform

/// An allocator: caches, memory groups, and the memory behind them.
///
/// Nothing is shared between two allocators. A value is a handle, one word, copied freely and used
/// from any thread; it keeps nothing alive.
@safe
public struct SlabAllocator: Sendable {
  @usableFromInline let core: Allocator

  /// How an allocator is made.
  public struct Configuration: Sendable {
    /// Addresses to reserve, in bytes: the most memory that the allocator can hold. At most
    /// 128 GiB; less is reserved where the system refuses.
    public var addressSpaceBytes = 64 << 30
    /// Threads that end groups and caches, 1 to 8; started when there is first something to do.
    public var workerLimit = 1
    /// What becomes of objects that outlive their group.
    public var endings = EndingPolicy.reparent
    /// By whose rules groups and caches end.
    public var design = Design.current
    /// Whether caches whose objects have the same size and alignment, rounded up, share their memory
    /// and their line in slabinfo, which then has the oldest one's name. Less memory is idle, but an
    /// object used after its end may be another cache's by then.
    public var mergesCaches = false

    public init() {}
  }

  /// Makes an allocator. A few system calls; starts no thread.
  ///
  /// The CPU layer uses restartable sequences where the system has them, locked slots elsewhere;
  /// `SLAB_PERCPU=rseq` or `fallback` in the environment forces one.
  public init(configuration: Configuration = Configuration()) throws(SlabError) {
    var settings = AllocatorConfiguration()
    settings.addressSpaceBytes = configuration.addressSpaceBytes
    settings.workerLimit = configuration.workerLimit
    settings.endings = configuration.endings.core
    settings.design = configuration.design.core
    settings.mergesCaches = configuration.mergesCaches
    do { core = try Allocator(configuration: settings) } catch { throw SlabError(error) }
  }

  /// Makes a root cache for objects of one size. O(root caches); may lock and make system calls;
  /// nobody is charged.
  ///
  /// - Parameters:
  ///   - name: 1 to 63 bytes without blanks, new among the caches of this allocator.
  ///   - objectSize: in bytes, 1 to 32 KiB.
  ///   - alignment: in bytes, a power of two up to 4,096.
  public func makeCache(
    named name: String, objectSize: Int, alignment: Int = 8
  ) throws(SlabError) -> SlabCache {
    let bytes = Array(name.utf8)
    do {
      return SlabCache(
        reference: try unsafe core.makeReference(
          named: bytes.span, objectSize: objectSize, alignment: alignment),
        allocator: core)
    } catch { throw SlabError(error) }
  }

  /// Makes a memory group below a parent, or below the root group. O(depth); may lock and make
  /// system calls; nobody is charged for the group itself.
  ///
  /// - Parameters:
  ///   - name: for reports; up to 4,095 bytes without control characters. It need not be unique.
  ///   - max: bytes that may be charged to the group and below it; `nil` for no limit.
  ///   - endings: what becomes of objects that outlive it; `nil` for the allocator's policy.
  public func makeGroup(
    named name: String, parent: MemoryGroup? = nil, max: Int? = nil,
    endings: EndingPolicy? = nil
  ) throws(SlabError) -> MemoryGroup {
    let bytes = Array(name.utf8)
    do {
      return MemoryGroup(
        core: try core.makeGroup(
          named: bytes.span, below: parent?.core, max: max ?? Group.unlimited,
          endings: endings?.core))
    } catch { throw SlabError(error) }
  }

  /// Frees an object of any cache and uncharges its group as far as memory becomes free. A
  /// restartable sequence, or a short lock; never waits for an ending.
  ///
  /// - Precondition: the object is live and nobody uses it. What is no object of this allocator,
  ///   or is free already, ends the process.
  @unsafe @inlinable @inline(__always)
  public func free(_ object: UnsafeMutableRawPointer) {
    core.free(UInt(bitPattern: object))
  }

  /// Waits until everything that has ended so far is done, but for what live objects hold up. For
  /// tests and tools.
  public func waitUntilDrained() { core.waitUntilDrained() }

  /// Gives all memory that is not in use back to the system. Makes system calls.
  public func trim() { core.trim() }

  /// The text of `/proc/slabinfo`, version 2.1, for this allocator. O(root caches).
  public func slabinfo() throws(SlabError) -> String { try text(of: nil) }

  /// The same for the child caches of a group, under their roots' names. O(caches of the group).
  public func slabinfo(of group: MemoryGroup) throws(SlabError) -> String {
    try text(of: group)
  }

  private func text(of group: MemoryGroup?) throws(SlabError) -> String {
    do {
      var reader = try SlabinfoReader(of: core, group: group?.core)
      defer { reader.close() }
      var text: [UInt8] = []
      while true {
        let piece = [UInt8](capacity: 4096) { buffer in _ = reader.read(into: &buffer) }
        if piece.isEmpty { break }
        text += piece
      }
      return String(decoding: text, as: UTF8.self)
    } catch { throw SlabError(error) }
  }

  /// Ends the allocator and gives all its addresses back; waits for its threads. Nobody may use
  /// anything of it any more, whatever was live.
  @unsafe
  public func unmapEverything() { core.unmapEverything() }
}
