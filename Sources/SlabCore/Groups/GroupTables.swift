// SPDX-License-Identifier: Apache-2.0
// The tables of an allocator's groups: their ids, and their names.

internal import SlabPlatform

/// The registry lock guards them.
struct GroupTables: ~Copyable {
  var ids: IDTable
  var names: NameIndex<Group>

  /// Reserves their addresses.
  init() throws(Errno) {
    let ids = try IDTable(most: IDTable.mostGroups)
    do throws(Errno) { names = try NameIndex(bucketLimit: ids.limit) } catch {
      ids.unmap()
      throw error
    }
    self.ids = ids
  }

  /// Ends the reservations.
  func unmap() {
    ids.unmap()
    names.unmap()
  }

  /// Bytes that have been touched.
  var usedBytes: Int { ids.usedBytes + names.usedBytes }

  /// Gives the memory back of what has nothing in it.
  mutating func trim() {
    ids.trim()
    names.trim()
  }

  /// The fewest bytes of addresses that these tables need.
  static var fewestBytes: Int { 2 * IDTable.fewestBytes }
}
