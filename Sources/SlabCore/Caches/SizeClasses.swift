// Variable-size storage: the kernel's kmalloc. A block of so many bytes is an object of the smallest
// size class that holds it; each class is a root cache like any other, with a child for each group that
// is charged, made when it is first used.
//
// The classes are chosen by what slabs hold: steps of 16 bytes up to 128, then four to a doubling as
// long as a slab holds more objects for it, and three for what a server in Swift allocates most: 304
// and 336 bytes (a task, a child task), and 1,024 for 1,016 (a task allocator's slab). From 64 KiB on
// an object is a run of pages of its own. docs/size-classes.md has the table.

package import SlabPlatform
internal import Synchronization

struct SizeClasses: ~Copyable {
  /// Addresses of the root caches; 0 for those that nobody has used. Written under the registry lock.
  let roots = InlineArray<42, Atomic<UInt>> { _ in Atomic(0) }
  // The class of a size: by steps of 16 bytes up to 1 KiB, of 256 up to 4 KiB, of 1 KiB up to 32 KiB.
  // Written once, while the allocator is made.
  private var fine = InlineArray<65, UInt8>(repeating: 0)
  private var middle = InlineArray<17, UInt8>(repeating: 0)
  private var coarse = InlineArray<33, UInt8>(repeating: 0)

  /// Bytes of each class.
  static var sizes: InlineArray<42, Int> {
    [
      16, 32, 48, 64, 80, 96, 112, 128, 160, 192, 224, 256, 304, 336, 384, 448, 512, 640, 768, 896,
      1024, 1280, 1536, 1792, 2048, 2560, 3072, 3584, 4096, 5120, 6144, 8192, 10240, 16384, 32768,
      64 << 10, 128 << 10, 256 << 10, 512 << 10, 1 << 20, 2 << 20, 4 << 20,
    ]
  }

  init() {}

  /// Once.
  mutating func fill() {
    for step in 0..<65 { fine[step] = Self.search(step * 16) }
    for step in 0..<17 { middle[step] = Self.search(step * 256) }
    for step in 0..<33 { coarse[step] = Self.search(step * 1024) }
  }

  private static func search(_ bytes: Int) -> UInt8 {
    let sizes = sizes
    var index = 0
    while sizes[index] < bytes { index += 1 }
    return UInt8(index)
  }

  /// The smallest class for at most `Allocator.largestAllocation` bytes. O(1).
  func index(forBytes bytes: Int) -> Int {
    if bytes <= 1024 { return Int(fine[(bytes + 15) >> 4]) }
    if bytes <= 4096 { return Int(middle[(bytes + 255) >> 8]) }
    if bytes <= 32 << 10 { return Int(coarse[(bytes + 1023) >> 10]) }
    // Powers of two from 64 KiB on.
    return Self.firstLarge + Int.bitWidth - 16 - (bytes - 1).leadingZeroBitCount
  }

  /// The class of 64 KiB.
  private static var firstLarge: Int { 35 }
}

extension Allocator {
  /// The largest block, in bytes.
  package static var largestAllocation: Int { 4 << 20 }

  /// A block of at least so many bytes, charged to a group. O(1) and as `allocate(from:in:)`; the first
  /// use of a size class makes its cache. Blocks are aligned to 16 bytes.
  ///
  /// - Throws: `.invalidObjectSize` above `largestAllocation` or below 0; what an allocation throws.
  package func allocate(
    bytes: Int, in group: Pointer<Group>
  ) throws(AllocatorError) -> UInt {
    guard bytes >= 0, bytes <= Self.largestAllocation else { throw .invalidObjectSize }
    return try Self.allocate(
      from: rootCache(ofSizeClass: state.pointee.sizeClasses.index(forBytes: bytes)), in: group)
  }

  /// The same for an alignment, a power of two up to a page. What is dispensable is refused at a limit
  /// without a reclaim and without an event.
  package func allocate(
    bytes: Int, alignment: Int, in group: Pointer<Group>, isDispensable: Bool = false
  ) throws(AllocatorError) -> UInt {
    guard isDispensable else {
      return try allocateAligned(bytes: bytes, alignment: alignment, in: group)
    }
    Threads.isDispensable = true
    defer { Threads.isDispensable = false }
    return try allocateAligned(bytes: bytes, alignment: alignment, in: group)
  }

  private func allocateAligned(
    bytes: Int, alignment: Int, in group: Pointer<Group>
  ) throws(AllocatorError) -> UInt {
    guard alignment > 16 else {
      guard alignment > 0, alignment & (alignment - 1) == 0 else { throw .invalidAlignment }
      return try allocate(bytes: bytes, in: group)
    }
    guard alignment & (alignment - 1) == 0, alignment <= SlabGeometry.largestAlignment else {
      throw .invalidAlignment
    }
    guard bytes >= 0, bytes <= Self.largestAllocation else { throw .invalidObjectSize }
    let sizes = SizeClasses.sizes
    var index = state.pointee.sizeClasses.index(forBytes: max(bytes, alignment))
    // The next power of two has it.
    while sizes[index] & (alignment - 1) != 0 { index += 1 }
    return try Self.allocate(from: rootCache(ofSizeClass: index), in: group)
  }

  /// Bytes that can be used of a live object of this allocator. O(1).
  package func usableBytes(of object: UInt) -> Int {
    guard let cache = cache(of: object) else { Self.reportForeignPointer() }
    return Int(cache.pointee.slotBytes)
  }

  func rootCache(ofSizeClass index: Int) throws(AllocatorError) -> Pointer<RootCache> {
    // Acquiring: pairs with the releasing store in `makeSizeClass`.
    let root = state.pointee.sizeClasses.roots[index].load(ordering: .acquiring)
    if let root = Pointer<RootCache>(address: root) { return root }
    return try makeSizeClass(index)
  }

  /// The root cache of a class at its first use.
  private func makeSizeClass(_ index: Int) throws(AllocatorError) -> Pointer<RootCache> {
    let bytes = SizeClasses.sizes[index]
    let geometry = SlabGeometry(
      objectSize: bytes, alignment: min(bytes & -bytes, SlabGeometry.largestAlignment),
      cacheAligned: false, processorCount: state.pointee.region.processorCount)
    let root = Pointer<RootCache>(address: try state.pointee.rootCaches.cache.allocate())!
    do throws(AllocatorError) {
      let made = try waitingForIndices { () throws(AllocatorError) in
        try enterSizeClass(index, root: root, geometry: geometry)
      }
      if made != root { state.pointee.rootCaches.cache.free(root.address) }
      return made
    } catch {
      state.pointee.rootCaches.cache.free(root.address)
      throw error
    }
  }

  /// The root of a class, which is this one unless another thread's has come first. Takes the registry lock.
  private func enterSizeClass(
    _ index: Int, root: Pointer<RootCache>, geometry: SlabGeometry
  ) throws(AllocatorError) -> Pointer<RootCache> {
    state.pointee.registry.lock.lock()
    defer { state.pointee.registry.lock.unlock() }
    let other = state.pointee.sizeClasses.roots[index].load(ordering: .relaxed)
    if let other = Pointer<RootCache>(address: other) { return other }
    let bytes = SizeClasses.sizes[index]
    try unsafe initializeRoot(
      root, name: CacheName(sizeClass: bytes), objectSize: bytes, geometry: geometry,
      constructor: nil, kind: .sizeClass, isSelfDescribing: false)
    // Releasing: pairs with the acquiring load in `rootCache(ofSizeClass:)`.
    state.pointee.sizeClasses.roots[index].store(root.address, ordering: .releasing)
    return root
  }
}

extension CacheName {
  /// As the kernel named them in 2.6, in the core's name space.
  init(sizeClass bytes: Int) {
    self.init(ofTheCore: "size-")
    append(bytes)
  }

  private mutating func append(_ number: Int) {
    if number >= 10 { append(number / 10) }
    bytes[Int(count)] = UInt8(ascii: "0") + UInt8(number % 10)
    count += 1
  }
}
