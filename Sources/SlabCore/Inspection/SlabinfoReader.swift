// `/proc/slabinfo`, version 2.1, for the process and, as cgroup v1's memory.kmem.slabinfo, for a group: the same
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
  let allocator: Allocator
  let group: Pointer<Group>?
  /// The cursor, in the core's memory; `nil` once the list is through.
  private var cursor: Pointer<ListNode>?
  /// Linux 4.10 only, in place of the cursor: entries of the list of all caches that are through.
  var position = 0
  var line = SlabinfoLine()
  /// Bytes of `line` that have been read.
  private var lineOffset = 0
  private var headersLeft = 2

  /// Starts a reading: of all roots, each with the sums over its children, or of the child caches
  /// of a group, on which the caller must hold a handle until `close`: its own ones, then those that
  /// it inherited, each with a line of its own under its root's name.
  package init(of allocator: Allocator, group: Pointer<Group>? = nil) throws(AllocatorError) {
    self.allocator = allocator
    self.group = group
    guard !allocator.state.isLinux410 else { return }
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
    if allocator.state.isLinux410 { return readByPosition(into: &buffer) }
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
    guard let cursor else { return false }
    allocator.state.pointee.registry.lock.lock()
    defer { allocator.state.pointee.registry.lock.unlock() }
    while let node = cursor.advance(in: list) {
      allocator.state.pointee.registry.listSteps += 1
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

/// The counts of a line.
struct SlabinfoSums {
  var active = 0
  var total = 0
  var units = 0

  /// Adds what one cache has by itself. Takes its lock.
  mutating func add(_ cache: Pointer<Cache>) {
    cache.pointee.lock.lock()
    active += Int(cache.pointee.objectsInUse)
    total += Int(cache.pointee.objectsTotal)
    units += Int(cache.pointee.units)
    cache.pointee.lock.unlock()
  }
}

/// One line of text, formatted without the heap.
struct SlabinfoLine {
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
      root,
      SlabinfoSums(
        active: root.sum(RootCache.Sum.objectsInUse),
        total: root.sum(RootCache.Sum.objectsTotal), units: root.sum(RootCache.Sum.units)))
  }

  /// A child by itself, under its root's name.
  mutating func append(_ child: Pointer<Cache>) {
    var sums = SlabinfoSums()
    sums.add(child)
    append(child.pointee.root, sums)
  }

  mutating func append(_ root: Pointer<RootCache>, _ sums: SlabinfoSums) {
    let geometry = root.pointee.geometry
    let unitsPerSlab = 1 << geometry.fullOrder
    let slabs = (sums.units + unitsPerSlab - 1) / unitsPerSlab
    append(root.pointee.name)
    // An array would come from the heap.
    append(" ")
    append(sums.active, width: 6)
    append(" ")
    append(sums.total, width: 6)
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
