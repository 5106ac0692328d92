// SPDX-License-Identifier: Apache-2.0
// `/proc/slabinfo`, version 2.1, for the process and, as cgroup v1's memory.kmem.slabinfo, for a group: the same
// columns to the byte. Read in pieces of any size; the place between two pieces is a cursor in the
// list, so that each entry that exists during the whole reading appears exactly once.
//
// A line is made from running sums: O(CPUs), whatever children exist.
//
// Where slabs of several sizes are in one line (a child begins with small ones), the number of
// slabs is the memory in slabs of the full size, rounded up: slabs times pages per slab is the
// memory, as the tools compute it.

package import SlabPlatform
internal import Synchronization

/// One reading of slabinfo. Not for several threads at once; end it with `close`.
package struct SlabinfoReader: ~Copyable {
  let allocator: Allocator
  let group: Pointer<Group>?
  /// Of the allocator: the place among its roots.
  private var roots: RootCursor?
  /// Of a group: its lines, as they were when the reading began.
  private var groupLines: GroupLines?
  /// In place of the cursor, if the rules have none: entries of the list of all caches that are through.
  var position = 0
  var line = SlabinfoLine()
  /// Bytes of `line` that have been read.
  private var lineOffset = 0
  private var headersLeft = 2

  /// Starts a reading: of all roots, each with the sums over its children, or of a group, on which the caller
  /// must hold a handle until `close`: of each name that a child cache of the group has, one line, with the sums
  /// over its own one and those that it inherited. O(1), or O(caches of the group).
  package init(of allocator: Allocator, group: Pointer<Group>? = nil) throws(AllocatorError) {
    self.allocator = allocator
    self.group = group
    guard !allocator.rules.pointee.readsSlabinfoByPosition else { return }
    if let group {
      groupLines = try GroupLines(of: group, in: allocator)
      return
    }
    roots = try RootCursor(in: allocator)
  }

  /// Fills the buffer with the next bytes; the number of them, 0 at the end. O(bytes).
  package mutating func read(into buffer: inout OutputSpan<UInt8>) -> Int {
    if allocator.rules.pointee.readsSlabinfoByPosition { return readByPosition(into: &buffer) }
    let start = buffer.count
    while !buffer.isFull {
      if lineOffset == line.count {
        guard nextLine() else { break }
      }
      copyLine(into: &buffer)
    }
    return buffer.count - start
  }

  /// Moves what is left of the line to the buffer, as far as there is room.
  mutating func copyLine(into buffer: inout OutputSpan<UInt8>) {
    while lineOffset < line.count, !buffer.isFull {
      buffer.append(line.bytes[lineOffset])
      lineOffset += 1
    }
  }

  mutating func beginLine() {
    line.count = 0
    lineOffset = 0
  }

  /// Makes the next line of the header; false if there is none.
  mutating func appendHeader() -> Bool {
    guard headersLeft > 0 else { return false }
    beginLine()
    line.append(
      headersLeft == 2
        ? "slabinfo - version: 2.1\n"
        : """
        # name            <active_objs> <num_objs> <objsize> <objperslab> <pagesperslab> \
        : tunables <limit> <batchcount> <sharedfactor> \
        : slabdata <active_slabs> <num_slabs> <sharedavail>

        """)
    headersLeft -= 1
    return true
  }

  private mutating func nextLine() -> Bool {
    if appendHeader() { return true }
    beginLine()
    guard let usage = groupLines?.next() ?? roots?.next(in: allocator) else { return false }
    line.append(usage)
    return true
  }

  /// Ends the reading.
  package mutating func close() {
    groupLines?.free(to: allocator)
    groupLines = nil
    roots?.free(to: allocator)
    roots = nil
  }
}
