// SPDX-License-Identifier: Apache-2.0
// What a recording is lived on: the allocator, or in tests something that only counts.

/// The operations that an interpreted recording consists of.
///
/// Caches, groups and places are dense numbers from 0 on that the caller gives out. A place holds
/// one object at a time and is used again when its object was freed; the numbers of caches and
/// groups are never used again. A group stays online until `offlineGroup`, a parent at least as
/// long as its children, and nothing is allocated in an offline group.
protocol ReplayTarget {
  /// The next cache, of objects of `objectBytes`; names are unique.
  mutating func makeCache(_ cache: Int, named name: String, objectBytes: Int) throws(ToolError)
  /// The next group; names are unique among online groups.
  mutating func makeGroup(_ group: Int, named name: String, parent: Int?) throws(ToolError)
  mutating func offlineGroup(_ group: Int) throws(ToolError)
  /// Allocates the object of `place` in the group's child cache, or uncharged without a group.
  mutating func allocate(place: Int, cache: Int, group: Int?) throws(ToolError)
  mutating func free(place: Int) throws(ToolError)
}
