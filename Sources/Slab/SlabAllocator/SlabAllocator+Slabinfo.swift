// SPDX-License-Identifier: Apache-2.0
internal import SlabCore
internal import SlabPlatform

extension SlabAllocator {
  /// The text of `/proc/slabinfo`, version 2.1, for this allocator. O(caches × CPUs), however many groups
  /// use them. Takes a short lock for each line, waits for no other thread and charges no group; the text is in the
  /// language's heap. A cache that is there all the while is in it exactly once.
  ///
  /// - Throws: `.outOfMemory`.
  public func slabinfo() throws(SlabError) -> String { try text(of: nil) }

  /// The same for the child caches of a group, under their roots' names: one line for each name, with the sums over
  /// the group's own cache and those that it has inherited. O(caches of the group × CPUs).
  ///
  /// - Precondition: the group is of this allocator; else the process ends.
  ///
  /// - Throws: `.outOfMemory`.
  public func slabinfo(of group: MemoryGroup) throws(SlabError) -> String {
    try text(of: group)
  }

  private func text(of group: MemoryGroup?) throws(SlabError) -> String {
    if let group, group.allocator != core { fatal("slabinfo: a group of another allocator") }
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
}
