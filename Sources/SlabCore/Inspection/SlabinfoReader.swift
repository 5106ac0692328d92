// `/proc/slabinfo`, version 2.1 (reference d.2), for the process and for a group (d.3): the same
// columns to the byte. Read in pieces of any size; the place between two pieces is a cursor in the
// list, so that each entry that exists during the whole reading appears exactly once.
//
// A line is made under the registry lock, from running sums: O(CPUs), whatever children exist.
//
// Where slabs of several sizes are in one line (a child begins with small ones), the number of
// slabs is the memory in slabs of the full size, rounded up: slabs times pages per slab is the
// memory, as the tools compute it.

package import SlabPlatform
internal import Synchronization

/// One reading of slabinfo. Not for several threads at once; end it with `close`.
package struct SlabinfoReader: ~Copyable {
  private let allocator: Allocator
  private let group: Pointer<Group>?
  /// The cursor, in the core's memory; `nil` once the list is through.
  private var cursor: Pointer<ListNode>?
  private var line = SlabinfoLine()
  /// Bytes of `line` that have been read.
  private var lineOffset = 0
  private var headersLeft = 2

  /// Starts a reading: of all roots, each with the sums over its children, or of the child caches
  /// of a group, on which the caller must hold a handle until `close`: its own ones, then those that
  /// it inherited, each with a line of its own under its root's name.
  package init(of allocator: Allocator, group: Pointer<Group>? = nil) throws(AllocatorError) {
    self.allocator = allocator
    self.group = group
    let node = Pointer<ListNode>(
      address: try allocator.state.allocateInternal(bytes: MemoryLayout<ListNode>.size))!
    // SAFETY: the object is ours and large enough.
    unsafe node.unsafePointer.initialize(to: ListNode())
    cursor = node
    allocator.state.pointee.registry.lock.lock()
    list.insertAfter(node, isCursor: true)
    allocator.state.pointee.registry.lock.unlock()
  }

  private var list: Pointer<ListNode> { group?.caches ?? allocator.state.rootsList }

  /// Fills the buffer with the next bytes; the number of them, 0 at the end. O(bytes).
  package mutating func read(into buffer: inout OutputSpan<UInt8>) -> Int {
    let start = buffer.count
    while !buffer.isFull {
      if lineOffset == line.count {
        guard nextLine() else { break }
      }
      buffer.append(line.bytes[lineOffset])
      lineOffset += 1
    }
    return buffer.count - start
  }

  private mutating func nextLine() -> Bool {
    line.count = 0
    lineOffset = 0
    if headersLeft > 0 {
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
    guard let cursor else { return false }
    allocator.state.pointee.registry.lock.lock()
    defer { allocator.state.pointee.registry.lock.unlock() }
    while let node = cursor.advance(in: list) {
      if group != nil {
        line.append(Pointer<Cache>(groupNode: node))
        return true
      }
      let root = Pointer<RootCache>(rootNode: node)
      if !root.pointee.isDestroying {
        line.append(root)
        return true
      }
    }
    return false
  }

  /// Ends the reading.
  package mutating func close() {
    guard let node = cursor else { return }
    cursor = nil
    allocator.state.pointee.registry.lock.lock()
    node.unlink()
    allocator.state.pointee.registry.lock.unlock()
    allocator.state.freeInternal(node.address)
  }
}

/// One line of text, formatted without the heap.
private struct SlabinfoLine {
  // The longest line: a name of 63 bytes, 12 numbers of at most 20 digits, and the words.
  var bytes = InlineArray<384, UInt8>(repeating: 0)
  var count = 0

  mutating func append(_ byte: UInt8) {
    bytes[count] = byte
    count += 1
  }

  mutating func append(_ text: StaticString) {
    // SAFETY: the index is below the string's count.
    for index in 0..<text.utf8CodeUnitCount { append(unsafe text.utf8Start[index]) }
  }

  /// A number right-aligned in a column; a wider one pushes the rest to the right.
  mutating func append(_ number: Int, width: Int) {
    var digits = InlineArray<20, UInt8>(repeating: 0)
    var length = 0
    var rest = max(0, number)
    repeat {
      digits[length] = UInt8(ascii: "0") + UInt8(rest % 10)
      rest /= 10
      length += 1
    } while rest > 0
    if length < width { for _ in length..<width { append(UInt8(ascii: " ")) } }
    while length > 0 {
      length -= 1
      append(digits[length])
    }
  }

  mutating func append(_ name: CacheName) {
    for index in 0..<Int(name.count) { append(name.bytes[index]) }
    if name.count < 17 { for _ in Int(name.count)..<17 { append(UInt8(ascii: " ")) } }
  }

  /// A root with the sums over its children.
  mutating func append(_ root: Pointer<RootCache>) {
    append(
      root, active: root.sum(RootCache.Sum.objectsInUse),
      total: root.sum(RootCache.Sum.objectsTotal), units: root.sum(RootCache.Sum.units))
  }

  /// A child by itself, under its root's name.
  mutating func append(_ child: Pointer<Cache>) {
    child.pointee.lock.lock()
    let active = Int(child.pointee.objectsInUse)
    let total = Int(child.pointee.objectsTotal)
    let units = Int(child.pointee.units)
    child.pointee.lock.unlock()
    append(child.pointee.root, active: active, total: total, units: units)
  }

  private mutating func append(
    _ root: Pointer<RootCache>, active: Int, total: Int, units: Int
  ) {
    let geometry = root.pointee.geometry
    let unitsPerSlab = 1 << geometry.fullOrder
    let slabs = (units + unitsPerSlab - 1) / unitsPerSlab
    append(root.pointee.name)
    // An array would come from the heap.
    append(" ")
    append(active, width: 6)
    append(" ")
    append(total, width: 6)
    append(" ")
    append(geometry.slotBytes, width: 6)
    append(" ")
    append(geometry.objectCount(order: geometry.fullOrder), width: 4)
    append(" ")
    append(1 << (geometry.fullOrder - UnitMap.pageOrder), width: 4)
    append(" : tunables    0    0    0 : slabdata ")
    append(slabs, width: 6)
    append(" ")
    append(slabs, width: 6)
    append(" ")
    append(0, width: 6)
    append("\n")
  }
}
