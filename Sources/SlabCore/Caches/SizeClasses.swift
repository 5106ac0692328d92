// SPDX-License-Identifier: Apache-2.0
// Variable-size storage: the kernel's kmalloc. A block of so many bytes is an object of the smallest
// size class that holds it; each class is a root cache like any other, with a child for each group that
// is charged, made when it is first used.
//
// The classes are chosen by what slabs hold: steps of 16 bytes up to 128, then four to a doubling as
// long as a slab holds more objects for it, and three for what a server in Swift allocates most: 304
// and 336 bytes (a task, a child task), and 1,024 for 1,016 (a task allocator's slab). Above 32 KiB nothing is
// rounded but to whole pages: a number of pages that is a power of two from 64 KiB to 4 MiB has a class, whose
// objects are runs of pages of their own, and every other one is a block (Cache+Blocks.swift).
// docs/size-classes.md has the table.

internal import SlabPlatform
internal import Synchronization

struct SizeClasses: ~Copyable {
  /// Addresses of the root caches; 0 for those that were never used. Written under the registry lock.
  let roots = InlineArray<44, Atomic<UInt>> { _ in Atomic(0) }
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

  /// Fills the tables. Called once.
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

  /// The class of a size; `blocks` where there is none. O(1).
  func index(forBytes bytes: Int) -> Int {
    if bytes <= 1024 { return Int(fine[(bytes + 15) >> 4]) }
    if bytes <= 4096 { return Int(middle[(bytes + 255) >> 8]) }
    if bytes <= Self.largestSmall { return Int(coarse[(bytes + 1023) >> 10]) }
    let pages = Self.pages(forBytes: bytes)
    guard pages & (pages - 1) == 0, pages >= Self.fewestLarge, pages <= Self.mostLarge else {
      return Self.blocks
    }
    return Self.firstLarge + (pages / Self.fewestLarge).trailingZeroBitCount
  }

  /// The largest size that has a class of its own or of a larger size.
  static var largestSmall: Int { 32 << 10 }
  /// Stands behind the classes for the cache of blocks.
  static var blocks: Int { 42 }
  /// And for that of charges.
  static var charges: Int { 43 }
  /// The class of 64 KiB.
  private static var firstLarge: Int { 35 }
  /// Pages of 64 KiB and of 4 MiB.
  private static var fewestLarge: Int { SlabGeometry.pageRun / PageAllocator.pageBytes }
  private static var mostLarge: Int { (4 << 20) / PageAllocator.pageBytes }

  static func pages(forBytes bytes: Int) -> Int {
    (bytes + PageAllocator.pageBytes - 1) / PageAllocator.pageBytes
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
