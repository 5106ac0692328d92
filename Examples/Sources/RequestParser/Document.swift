// SPDX-License-Identifier: Apache-2.0
// A parsed request: nodes that point to each other, all in a memory group of the document's own. They
// are never ended one by one: the end of the document discards the group, however many there are.
//
// Invariant: nodes are reached through their document alone, and gone with it. That is what makes the
// one unsafe call right.

import Slab

/// A value of the request. Nothing in it needs an end of its own.
@unsafe
struct Node {
  enum Kind: Int { case null, bool, number, text, list, object }

  var kind: Kind
  /// The value of a number or a Boolean; the number of elements of a list or an object.
  var number: Double = 0
  /// Where a text, or the key of an element, stands in the source.
  var text: Range<Int> = 0..<0
  var key: Range<Int> = 0..<0
  /// The next element of the same list, and the first one of this list.
  var next: UnsafeMutablePointer<Node>?
  var first: UnsafeMutablePointer<Node>?
}

@safe
struct Document: ~Copyable {
  private let root: UnsafeMutablePointer<Node>
  private let group: MemoryGroup
  /// Nodes in the document.
  let nodeCount: Int

  /// The group that a request's nodes are charged to is a child of the tenant's.
  init(
    parsing text: String, number: Int, for tenant: MemoryGroup, nodes: SlabCache<Node>
  ) throws {
    let group = try tenant.makeChild(named: "request-\(number)")
    var parser = unsafe Parser(source: Array(text.utf8), nodes: nodes, group: group)
    let root: UnsafeMutablePointer<Node>
    do {
      unsafe root = try parser.parseDocument()
    } catch {
      // SAFETY: no document has come of the nodes: nobody has one.
      try? unsafe group.discard()
      throw error
    }
    unsafe self.root = root
    self.group = group
    nodeCount = unsafe parser.nodeCount
  }

  deinit {
    // SAFETY: nodes are reached through the document alone.
    try? unsafe group.discard()
  }

  /// Bytes charged for the document.
  var bytes: Int { group.usage }

  /// The sum of all numbers, for something to do.
  var sum: Double { unsafe Self.sum(root) }

  private static func sum(_ node: UnsafeMutablePointer<Node>) -> Double {
    switch unsafe node.pointee.kind {
    case .number: return unsafe node.pointee.number
    case .list, .object:
      var sum = 0.0
      var element = unsafe node.pointee.first
      while let child = unsafe element {
        sum += unsafe Self.sum(child)
        unsafe element = child.pointee.next
      }
      return sum
    case .null, .bool, .text: return 0
    }
  }
}
