// SPDX-License-Identifier: Apache-2.0
// Directories, a piece at a time: what the kernel keeps between two pieces is a place, a number that says behind what
// they go on. The fixed names have small ones; a group's is its number and its id, so the next piece goes on behind
// that group also when thousands have come and gone meanwhile, and behind its place when it has gone itself.

#if FUSE
  internal import Slab

  /// Adds an entry; false if there is no room for it.
  typealias AddEntry = (FileName, DirectoryEntry, UInt64) -> Bool

  extension MountServer {
    func list(_ directory: Node, behind place: UInt64, _ add: AddEntry) throws(FileError) {
      switch directory {
      case .top:
        var names: [(String, DirectoryEntry)] = []
        for (name, node) in Self.top { names.append((name, try describe(node))) }
        try addFixed(.top, .top, behind: place, names: names, add)
      case .caches: try listCaches(behind: place, add)
      case .cache(let key): try list(cache: key, behind: place, add)
      case .children(let key): try list(childrenOf: key, behind: place, add)
      case .child(let key): try list(child: key, behind: place, add)
      case .group(let key):
        guard let group = group(key) else { throw .noEntry }
        try list(group, key, behind: place, add)
      default: throw .invalid
      }
    }

    private func list(
      _ group: MemoryGroup, _ key: GroupKey, behind place: UInt64, _ add: AddEntry
    ) throws(FileError) {
      let kinds = key == .root ? GroupFile.allOfRoot : GroupFile.all
      let parent = group.parent.map { Node.group(GroupKey($0)) } ?? .top
      let names = kinds.map { ($0.name, entry(of: $0, in: key)) }
      guard try addFixed(.group(key), parent, behind: place, names: names, add) else { return }
      group.forEachChild(olderThan: Self.group(atPlace: place)) { id, number, childCount, name in
        // Without a number it has no place, and without a name that is one the kernel refuses the whole directory.
        guard number != 0, Self.isFileName(name) else { return true }
        let child = GroupKey(id: id, number: number)
        let bytes = [UInt8](capacity: name.count + 1) { bytes in
          for index in name.indices { bytes.append(name[index]) }
          bytes.append(0)
        }
        // A file of that name hides it.
        if bytes[0] == UInt8(ascii: "m") || bytes[0] == UInt8(ascii: "c"),
          GroupFile(named: String(decoding: bytes.dropLast(), as: UTF8.self)) != nil
        {
          return true
        }
        return add(
          .bytes(bytes), entry(of: child, childCount: childCount),
          Self.place(ofGroup: id, number: number))
      }
    }

    /// A group that its maker gave no name has none here either.
    private static func isFileName(_ name: borrowing Span<UInt8>) -> Bool {
      guard 1...255 ~= name.count else { return false }
      var dots = 0
      for index in name.indices {
        guard name[index] != 0, name[index] != UInt8(ascii: "/") else { return false }
        if name[index] == UInt8(ascii: ".") { dots += 1 }
      }
      return dots != name.count || dots > 2
    }

    /// The two dots and the fixed names, whose places are 1, 2 and so on. False if there was no room.
    @discardableResult
    func addFixed(
      _ directory: Node, _ parent: Node, behind place: UInt64,
      names: [(String, DirectoryEntry)], _ add: AddEntry
    ) throws(FileError) -> Bool {
      guard place < UInt64(names.count + 2) else { return true }
      for index in Int(place)..<names.count + 2 {
        let (name, entry) =
          switch index {
          case 0: (".", try describe(directory))
          case 1: ("..", try describe(parent))
          default: names[index - 2]
          }
        guard add(.fixed(name), entry, UInt64(index + 1)) else { return false }
      }
      return true
    }

    /// Above those of fixed names: numbers begin with 1.
    private static func place(ofGroup id: Int, number: UInt32) -> UInt64 {
      UInt64(number) << 24 | UInt64(id)
    }

    private static func group(atPlace place: UInt64) -> (id: Int, number: UInt32)? {
      guard place >> 24 != 0 else { return nil }
      return (Int(place & 0xff_ffff), UInt32(truncatingIfNeeded: place >> 24))
    }
  }

  extension GroupFile {
    static let all = allCases
    static let allOfRoot = allCases.filter(\.isOfRoot)
  }
#endif
