// SPDX-License-Identifier: Apache-2.0
// slabinfo as Linux 4.10 made it (`slab_start` of mm/slab_common.c): the place between two pieces is a number, the
// position in the one list of all caches, though only roots are printed. Each piece walks from the
// head to that number. What came or went before it in between moves the others: a line is lost, or
// appears twice. A root's line visits its children for the sums.

internal import SlabPlatform
internal import Synchronization

extension SlabinfoReader {
  /// `read` under the rules of 4.10. Under the registry lock for the whole piece. O(all caches).
  mutating func readByPosition(into buffer: inout OutputSpan<UInt8>) -> Int {
    let start = buffer.count
    copyLine(into: &buffer)
    while !buffer.isFull, appendHeader() { copyLine(into: &buffer) }
    guard !buffer.isFull else { return buffer.count - start }
    let state = allocator
    let registry = state.lockRegistry()
    let all = state.allCachesList
    var node = all.successor(in: all)
    var steps = 0
    while steps < position, let passed = node {
      node = passed.successor(in: all)
      steps += 1
    }
    while !buffer.isFull, let current = node {
      node = current.successor(in: all)
      position += 1
      steps += 1
      steps += appendEntry(Pointer<Cache>(allNode: current), under: registry)
      copyLine(into: &buffer)
    }
    state.counters.pointee.listSteps += steps
    return buffer.count - start
  }

  /// Makes the line of a cache that is to be printed; the number of its children visited for it.
  private mutating func appendEntry(
    _ cache: Pointer<Cache>, under registry: borrowing RegistryLocked
  ) -> Int {
    beginLine()
    if let group {
      if cache.pointee.group == group { line.append(cache.usage(under: registry)) }
      return 0
    }
    guard cache.isRoot else { return 0 }
    var sums = cache.usage(under: registry)
    var steps = 0
    let children = cache.pointee.root.children
    var node = children.successor(in: children)
    while let current = node {
      node = current.successor(in: children)
      sums.add(Pointer<Cache>(siblingNode: current).usage(under: registry))
      steps += 1
    }
    line.append(sums)
    return steps
  }
}
