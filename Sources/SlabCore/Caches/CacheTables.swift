// SPDX-License-Identifier: Apache-2.0
// The tables of an allocator's root caches: their indices, and the names of their users.

internal import SlabPlatform

/// The registry lock guards them.
struct CacheTables: ~Copyable {
  var indices: IDTable
  /// The names of users' caches, of those that share a root too.
  var names: NameIndex<UserName>

  /// Reserves their addresses.
  init() throws(Errno) {
    let indices = try IDTable(most: IDTable.mostRoots)
    do throws(Errno) { names = try NameIndex(bucketLimit: indices.limit) } catch {
      indices.unmap()
      throw error
    }
    self.indices = indices
  }

  /// Ends the reservations.
  func unmap() {
    indices.unmap()
    names.unmap()
  }

  /// Bytes that have been touched.
  var usedBytes: Int { indices.usedBytes + names.usedBytes }

  /// Gives the memory of the names back if there are none. That of the indices stays: 8 bytes for each root that
  /// there was at one time.
  mutating func trim() {
    names.trim()
  }

  /// The fewest bytes of addresses that these tables need.
  static var fewestBytes: Int { 2 * IDTable.fewestBytes }
}
