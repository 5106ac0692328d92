// SPDX-License-Identifier: Apache-2.0
// The page map with the types of what its words name.

public import SlabPlatform

extension UnitMap {
  /// The cache that an address belongs to; `nil` if it is in no slab. Every free's look.
  @inlinable @inline(__always)
  package func cache(at address: UInt) -> Pointer<Cache>? {
    guard let owner = owner(at: address) else { return nil }
    // SAFETY: a slab's maker has written the word, and clears it before the descriptor goes.
    return unsafe Pointer<Cache>(nonzeroAddress: owner)
  }

  /// The cache of a word that belongs to a slab.
  // SAFETY: a slab's maker has written the word, and clears it before the descriptor goes.
  func cache(of word: UInt64) -> Pointer<Cache> { unsafe Pointer(nonzeroAddress: owner(of: word)) }

  // SAFETY: a slab's maker has written the word, and clears it before the descriptor goes.
  @inline(__always)
  func slab(of word: UInt64) -> Pointer<Slab> {
    unsafe Pointer(nonzeroAddress: slabAddress(of: word))
  }

  /// Marks units as a slab's.
  func setSlab(_ slab: Pointer<Slab>, of cache: Pointer<Cache>, unit: Int, count: Int) {
    setSlab(at: slab.address, ofCacheAt: cache.address, unit: unit, count: count)
  }
}
