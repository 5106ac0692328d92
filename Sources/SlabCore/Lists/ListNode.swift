// SPDX-License-Identifier: Apache-2.0
// Intrusive circular lists. A node stands inside the descriptor that is linked; a list is a node
// that is its own sentinel. Every list of caches and groups changes under the registry lock.
//
// A *cursor* is a node in the list as well, marked as such: a thread that walks in pieces leaves it where
// it stopped, and resumption is O(1) whatever came and went in between. Walkers skip the cursors of
// others.

package import SlabPlatform

package struct ListNode: ~Copyable {
  fileprivate var next: Pointer<ListNode>? = nil
  /// The previous node's address; its lowest bit is set if *this* node is a cursor.
  fileprivate var previousAndMark: UInt = 0

  package init() {}
}

/// Operations on nodes by address. A node's address is stable while it is linked.
extension Pointer where Pointee == ListNode {
  package var isLinked: Bool { pointee.next != nil }
  package var isCursor: Bool { pointee.previousAndMark & 1 != 0 }

  fileprivate var previous: Pointer<ListNode> {
    // SAFETY: a linked node's neighbour, whose address has no lowest bit.
    unsafe Pointer(nonzeroAddress: pointee.previousAndMark & ~1)
  }

  fileprivate func setPrevious(_ address: UInt) {
    pointee.previousAndMark = address | pointee.previousAndMark & 1
  }

  /// Makes this node the sentinel of an empty list. O(1).
  package func makeEmptyList() {
    pointee.next = self
    pointee.previousAndMark = address
  }

  /// Links an unlinked node behind this one. O(1).
  package func insertAfter(_ node: Pointer<ListNode>, isCursor: Bool = false) {
    invariant(!node.isLinked, "list: node linked twice")
    let following = pointee.next!
    node.pointee.next = following
    node.pointee.previousAndMark = address | (isCursor ? 1 : 0)
    following.setPrevious(node.address)
    pointee.next = node
  }

  /// Links an unlinked node in front of this one; with a list's sentinel, at its end. O(1).
  package func insertBefore(_ node: Pointer<ListNode>) {
    previous.insertAfter(node)
  }

  /// Takes the node out of its list. O(1).
  package func unlink() {
    invariant(isLinked, "list: node not linked")
    let following = pointee.next!
    let before = previous
    before.pointee.next = following
    following.setPrevious(before.address)
    pointee.next = nil
    pointee.previousAndMark = 0
  }

  /// The next node that is no cursor, or `nil` at the end of `list`. O(1 + cursors between).
  package func successor(in list: Pointer<ListNode>) -> Pointer<ListNode>? {
    var node = pointee.next!
    while node != list && node.isCursor { node = node.pointee.next! }
    return node == list ? nil : node
  }

  /// As a cursor: moves behind the next node that is no cursor and returns that one; `nil`, without
  /// moving, at the end of `list`. O(1 + cursors between).
  package func advance(in list: Pointer<ListNode>) -> Pointer<ListNode>? {
    guard let node = successor(in: list) else { return nil }
    unlink()
    node.insertAfter(self, isCursor: true)
    return node
  }
}

/// Walks a list in pieces: puts a cursor at its head, passes it to the body and takes it out again. The body may let go
/// of the list's lock in between, and `advance` goes on where it was.
func withCursor<Class: LockClass>(
  in list: Pointer<ListNode>, under lock: inout Held<Class>,
  _ body: (Pointer<ListNode>, inout Held<Class>) -> Void
) {
  var node = ListNode()
  // SAFETY: the node is linked only within the closure, in which its address is stable.
  unsafe withUnsafeMutablePointer(to: &node) { address in
    let cursor = unsafe Pointer<ListNode>(address)
    list.insertAfter(cursor, isCursor: true)
    defer { cursor.unlink() }
    body(cursor, &lock)
  }
}
