// SPDX-License-Identifier: Apache-2.0
// The groups of a snapshot as a tree, made from their paths. A snapshot of the largest groups may lack one that lies
// above another, and of a path there may be several groups, of which all but one have ended.

struct GroupTree {
  struct Node {
    let group: ObservedSnapshot.Group
    /// The same in the next snapshot: the path, and a number for ended groups whose path others have.
    let key: ByteString
    /// The path below the parent in the tree.
    let label: String
    let parent: Int?
    var children: [Int] = []
    /// Bytes in a second; nil for a group that the snapshot before did not have.
    var rate: Double?

    var isEnded: Bool { !group.isOnline }
    /// Ended groups here and below.
    var dying: Int { min(group.dyingDescendants, .max - 1) + (isEnded ? 1 : 0) }
  }

  private(set) var nodes: [Node] = []
  /// Those that are below no other one.
  private(set) var roots: [Int] = []
  private(set) var places: [ByteString: Int] = [:]

  /// O(n log n) for n groups.
  init(_ groups: [ObservedSnapshot.Group] = []) {
    nodes.reserveCapacity(groups.count)
    // Parents first; of groups of one path the one that is online, which may have children.
    let sorted = groups.sorted { left, right in
      let (leftCount, rightCount) = (left.path.utf8.count, right.path.utf8.count)
      return leftCount != rightCount ? leftCount < rightCount : left.isOnline && !right.isOnline
    }
    var ended: [ByteString: Int] = [:]
    for group in sorted {
      let path = ByteString(group.path)
      var key = path
      if !group.isOnline || places[key] != nil {
        let number = ended[path, default: 0] + 1
        ended[path] = number
        key = ByteString("\(group.path) #\(number)")
      }
      add(group, path, key: key)
    }
  }

  private mutating func add(
    _ group: ObservedSnapshot.Group, _ path: ByteString, key: ByteString
  ) {
    let (parent, label) = parent(ofPath: group.path)
    let place = nodes.count
    nodes.append(Node(group: group, key: key, label: label, parent: parent))
    places[key] = place
    // An ended group may have ended ones below.
    if places[path] == nil { places[path] = place }
    if let parent { nodes[parent].children.append(place) } else { roots.append(place) }
  }

  /// The next group above that is there, and the path below it.
  private func parent(ofPath path: String) -> (place: Int?, label: String) {
    guard path != "/" else { return (nil, path) }
    var above = path[...]
    // By bytes: a slash and a mark behind it, with which a name may begin, are one Character.
    while let slash = above.utf8.lastIndex(of: UInt8(ascii: "/")) {
      above = above[..<slash]
      if let place = places[above.isEmpty ? "/" : ByteString(above)] {
        return (place, String(path[path.utf8.index(after: slash)...]))
      }
    }
    return (nil, path)
  }

  /// Takes the rates from the tree before.
  mutating func compare(with before: GroupTree, seconds: Double) {
    guard seconds > 0 else { return }
    for index in nodes.indices {
      guard let place = before.places[nodes[index].key],
        before.nodes[place].key == nodes[index].key
      else { continue }
      let change = Double(nodes[index].group.usage) - Double(before.nodes[place].group.usage)
      nodes[index].rate = change / seconds
    }
  }
}
