// SPDX-License-Identifier: Apache-2.0
// Groups by their parent and their name: names are unique among the children of a group that are
// online, and found in O(1) however many there are (Tables/NameIndex.swift).

package import SlabPlatform

extension Group: Named {}

extension Group {
  /// Whether a name can be one component of a path and a column of a report: 1 to 255 bytes without
  /// blanks, control characters and slashes, and neither `.` nor `..`.
  package static func isValidName(_ utf8: borrowing Span<UInt8>) -> Bool {
    guard !utf8.isEmpty, utf8.count <= 255 else { return false }
    var dots = 0
    for index in utf8.indices {
      let byte = utf8[index]
      guard byte > 0x20, byte != 0x7f, byte != UInt8(ascii: "/") else { return false }
      if byte == UInt8(ascii: ".") { dots += 1 }
    }
    return dots != utf8.count || dots > 2
  }

  static func nameHash(_ utf8: borrowing Span<UInt8>, below parent: Pointer<Group>) -> UInt32 {
    var hash = NameHash(scope: UInt64(parent.address))
    for index in utf8.indices { hash.add(utf8[index]) }
    return hash.value
  }
}

extension Pointer where Pointee: HasGroups & ~Copyable {
  /// The online child of a group that has a name, with a handle for the caller; `nil` if there is none.
  /// O(1) expected; takes the registry lock.
  package func child(
    named utf8: borrowing Span<UInt8>, of parent: Pointer<Group>
  ) -> Pointer<Group>? {
    let registry = lockRegistry()
    guard let child = findChild(named: utf8, of: parent, under: registry) else { return nil }
    retain(child)
    return child
  }

  func findChild(
    named utf8: borrowing Span<UInt8>, of parent: Pointer<Group>,
    under registry: borrowing RegistryLocked
  ) -> Pointer<Group>? {
    let hash = Group.nameHash(utf8, below: parent)
    var next = groupsState.pointee.tables.names.first(hash: hash)
    while let group = next {
      if group.pointee.nameHash == hash, group.pointee.parent == parent, group.hasName(utf8) {
        return group
      }
      next = group.pointee.nextNamed
    }
    return nil
  }

  /// Visits the children of a group that are online, each with a handle that becomes the body's. One
  /// that is there all the while is visited exactly once. Takes the registry lock for 16 children at a
  /// time, and runs the body without it. With `endedToo` also those that have ended and still exist,
  /// though perhaps twice, but for those whose caches are on their way to the parent.
  package func forEachChild(
    of parent: Pointer<Group>, endedToo: Bool = false, _ body: (Pointer<Group>) -> Void
  ) {
    var found = InlineArray<16, Pointer<Group>?>(repeating: nil)
    var registry = lockRegistry()
    // The cursor stands on this thread's stack.
    takeInHand(under: registry)
    withCursor(in: parent.childGroups, under: &registry) { cursor, registry in
      var count = 16
      while count == 16 {
        count = 0
        while count < 16, let node = cursor.advance(in: parent.childGroups) {
          let child = Pointer<Group>(siblingNode: node)
          // Those that have ended stand behind.
          if !child.isOnline {
            guard endedToo else { break }
            if child.state.hasHandedOver { continue }
          }
          retain(child)
          found[count] = child
          count += 1
        }
        registry.letGo {
          for index in 0..<count { body(found[index]!) }
        }
      }
    }
    putDown()
  }
}

extension Pointer where Pointee == Group {
  fileprivate func hasName(_ utf8: borrowing Span<UInt8>) -> Bool {
    guard utf8.count == Int(pointee.nameCount) else { return false }
    return withName { name in
      for index in utf8.indices where name[index] != utf8[index] { return false }
      return true
    }
  }
}
