// SPDX-License-Identifier: Apache-2.0
internal import Slab

/// Which group has how many bytes in which cache, as folded stacks: a line for each, with the names of the groups
/// from the root down and that of the cache, behind semicolons, and the bytes. The format of flamegraph.pl, which
/// speedscope and inferno read too. The lines add up to what is charged to the root.
struct Profile {
  private typealias Group = SlabAllocator.Snapshot.Group

  private let lines: [String]

  var folded: String { lines.isEmpty ? "" : lines.joined(separator: "\n") + "\n" }

  /// - Parameter groups: the root and the largest groups with their caches. What belongs to others is their nearest
  ///   ancestor's here.
  init(_ groups: [SlabAllocator.Snapshot.Group]) {
    var below: [[UInt8]: Int] = [:]
    let paths = Set(groups.map(\.path.key))
    for group in groups where group.path != "/" {
      var parent = Self.parent(of: group.path)
      while parent != "/", !paths.contains(parent.key) { parent = Self.parent(of: parent) }
      below[parent.key, default: 0] += group.usage
    }
    // Two groups with one path, of which one has ended, are one stack.
    var bytes: [[UInt8]: Int] = [:]
    var order: [String] = []
    func add(_ stack: String, _ count: Int) {
      guard count > 0 else { return }
      if bytes.updateValue(bytes[stack.key, default: 0] + count, forKey: stack.key) == nil {
        order.append(stack)
      }
    }
    for group in groups {
      let stack = Self.stack(of: group.path)
      var rest = group.usage - (below.removeValue(forKey: group.path.key) ?? 0)
      // Caches of the root group are those of all groups that have not their own.
      for cache in group.caches where cache.slabBytes > 0 {
        add("\(stack);\(Self.frame(cache.name))", cache.slabBytes)
        rest -= cache.slabBytes
      }
      add("\(stack);[other]", rest)
    }
    lines = order.map { "\($0) \(bytes[$0.key]!)" }
  }

  private static func parent(of path: String) -> String {
    let above = path.pathAbove
    return above.isEmpty ? "/" : String(above)
  }

  private static func stack(of path: String) -> String {
    (["root"] + path.pathNames.map(frame)).joined(separator: ";")
  }

  /// A name may have a semicolon, a frame not.
  private static func frame(_ name: String) -> String {
    // By bytes, as paths are.
    String(
      decoding: name.utf8.map { $0 == UInt8(ascii: ";") ? UInt8(ascii: ",") : $0 }, as: UTF8.self)
  }
}
