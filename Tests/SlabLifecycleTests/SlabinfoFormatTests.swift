// SPDX-License-Identifier: Apache-2.0
// The text of slabinfo 2.1: to the byte as the kernel's printf makes it,
// newest cache first, with numbers that add up.

import Glibc
import SlabPlatform
import SlabTestSupport
import Testing

@testable import SlabCore

/// A line of slabinfo, read strictly and printed by the kernel's format.
struct SlabinfoLine: Equatable {
  var name: String
  var numbers: [Int]

  var activeObjects: Int { numbers[0] }
  var objects: Int { numbers[1] }
  var slabs: Int { numbers[9] }
  var pagesPerSlab: Int { numbers[4] }

  /// `nil` if the text is not such a line.
  init?(_ text: Substring) {
    // Whitespace in the pattern is none of the text's; the text's blanks are escaped.
    let line =
      #/
      ([^\ ]+) \ +(\d+) \ +(\d+) \ +(\d+) \ +(\d+) \ +(\d+)
      \ :\ tunables \ +(\d+) \ +(\d+) \ +(\d+)
      \ :\ slabdata \ +(\d+) \ +(\d+) \ +(\d+)
      /#
    guard let match = text.wholeMatch(of: line) else { return nil }
    let found = match.output
    name = String(found.1)
    numbers = [
      found.2, found.3, found.4, found.5, found.6, found.7, found.8, found.9, found.10, found.11,
      found.12,
    ].map { Int($0)! }
  }

  /// What the kernel would print, which is mm/slab_common.c's format in C.
  var printed: String {
    var buffer = [CChar](repeating: 0, count: 1024)
    let count = unsafe name.withCString { name in
      unsafe withVaList([name] + numbers.map { $0 as any CVarArg }) { arguments in
        unsafe vsnprintf(
          &buffer, buffer.count,
          "%-17s %6ld %6ld %6ld %4ld %4ld : tunables %4ld %4ld %4ld : slabdata %6ld %6ld %6ld",
          arguments)
      }
    }
    return String(decoding: buffer[..<Int(count)].map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }

  static let headers = """
    slabinfo - version: 2.1
    # name            <active_objs> <num_objs> <objsize> <objperslab> <pagesperslab> : tunables \
    <limit> <batchcount> <sharedfactor> : slabdata <active_slabs> <num_slabs> <sharedavail>

    """

  /// The lines of a text; records an issue for each byte that should not be there.
  static func all(
    in text: String, sourceLocation: SourceLocation = #_sourceLocation
  ) -> [SlabinfoLine] {
    guard text.hasPrefix(headers), text.hasSuffix("\n") else {
      Issue.record("no headers, or no newline at the end: \(text)", sourceLocation: sourceLocation)
      return []
    }
    return text.dropFirst(headers.count).split(separator: "\n", omittingEmptySubsequences: false)
      .dropLast().compactMap { text in
        guard let line = SlabinfoLine(text), line.printed == text else {
          Issue.record("not a line of slabinfo: \(text)", sourceLocation: sourceLocation)
          return nil
        }
        return line
      }
  }
}

@Suite(.inTurn) struct SlabinfoFormatTests {
  @Test func columns() throws {
    try withAllocator { allocator in
      let names = [
        "a", "seventeen-letters", "eighteen--letters-", String(repeating: "x", count: 63),
      ]
      let roots = try names.enumerated().map { index, name in
        try allocator.makeCache(name, size: [8, 100, 4096, slabOfOne][index])
      }
      let counts = [3, 40, 9, 2]
      var objects: [UInt] = []
      for (root, count) in zip(roots, counts) {
        try allocator.setSheafCapacity(0, of: root)
        for _ in 0..<count { objects.append(try allocator.allocate(from: root, in: nil)) }
      }
      let lines = SlabinfoLine.all(in: try allocator.slabinfo())
      try #require(lines.count > 4)
      // Newest first; the core's own caches are older than all others.
      #expect(lines.prefix(4).map(\.name) == names.reversed())
      #expect(lines.prefix(4).map(\.activeObjects) == counts.reversed())
      for (line, root) in zip(lines, roots.reversed()) {
        let geometry = root.pointee.geometry
        let perSlab = geometry.objectCount(order: geometry.fullOrder)
        #expect(line.numbers[2] == geometry.placeBytes)
        #expect(line.numbers[3] == perSlab)
        #expect(line.pagesPerSlab == 1 << (geometry.fullOrder - 2))
        #expect(line.slabs * perSlab == line.objects)
        #expect(line.slabs == (line.activeObjects + perSlab - 1) / perSlab)
        #expect(line.numbers[5...7] == [0, 0, 0])
        #expect(line.numbers[8] == line.numbers[9] && line.numbers[10] == 0)
      }
      // The line of the tools' example, byte for byte.
      #expect(
        lines[3].printed
          == "a                      3    512      8  512    1 "
          + ": tunables    0    0    0 : slabdata      1      1      0")
      #expect(lines.contains { $0.name == "core:kmem_cache" })
      for object in objects { allocator.free(object) }
      for root in roots { try allocator.destroy(root) }
    }
  }

  /// A number wider than its column pushes the rest to the right.
  @Test func wideNumbers() throws {
    try withAllocator { allocator in
      let root = try allocator.makeCache("wide", size: 8)
      let count = 1_000_001
      var objects = [UInt](repeating: 0, count: count)
      try unsafe objects.withUnsafeMutableBufferPointer { buffer throws(AllocatorError) in
        try unsafe root.cache.allocate(bulk: buffer)
      }
      let line = try #require(SlabinfoLine.all(in: try allocator.slabinfo()).first)
      #expect(line.name == "wide" && line.activeObjects >= count)
      #expect(line.printed.hasPrefix("wide              100"))
      unsafe objects.withUnsafeMutableBufferPointer { buffer in
        unsafe root.cache.free(bulk: buffer)
      }
      try allocator.destroy(root)
    }
  }

  @Test func rootsAreSumsAndGroupsTheirOwn() throws {
    try withAllocator { allocator in
      let roots = try [64, 300].map { try allocator.makeCache("cache-\($0)", size: $0) }
      let groups = try (0..<3).map { try allocator.makeGroup("group-\($0)") }
      var objects: [UInt] = []
      var counts: [[Int]] = []
      for (index, root) in roots.enumerated() {
        try allocator.setSheafCapacity(0, of: root)
        var mine: [Int] = []
        for (place, group) in ([nil] + groups.map { $0 }).enumerated() {
          let count = 3 + 5 * place + 40 * index
          for _ in 0..<count { objects.append(try allocator.allocate(from: root, in: group)) }
          mine.append(count)
        }
        counts.append(mine)
      }
      func check() throws {
        let lines = SlabinfoLine.all(in: try allocator.slabinfo())
        let own = try groups.map { SlabinfoLine.all(in: try allocator.slabinfo(of: $0)) }
        for (index, root) in roots.enumerated() {
          let line = try #require(lines.first { $0.name == "cache-\([64, 300][index])" })
          #expect(line.activeObjects == counts[index].reduce(0, +))
          var objects = Int(root.cache.pointee.objectsTotal)
          for (place, lines) in own.enumerated() {
            #expect(lines.count == 2)
            let child = try #require(lines.first { $0.name == line.name })
            #expect(child.activeObjects == counts[index][place + 1])
            // Sizes are the root's.
            #expect(child.numbers[2...4] == line.numbers[2...4])
            objects += child.objects
          }
          #expect(line.objects == objects)
        }
      }
      try check()
      // Offline children with live objects count on.
      try allocator.close(groups[1])
      allocator.waitUntilIdle()
      try check()
      for object in objects { allocator.free(object) }
      for group in groups { allocator.release(group) }
      for root in roots { try allocator.destroy(root) }
    }
  }

  @Test(arguments: [1, 7, 100, 4096, 100_000]) func pieces(bytes: Int) throws {
    try withAllocator { allocator in
      let roots = try (0..<20).map { try allocator.makeCache("cache-\($0)", size: 64) }
      let whole = try allocator.slabinfo(pieceBytes: 1 << 20)
      #expect(try allocator.slabinfo(pieceBytes: bytes) == whole)
      #expect(
        SlabinfoLine.all(in: whole).prefix(20).map(\.name)
          == (0..<20).reversed().map { "cache-\($0)" })
      for root in roots { try allocator.destroy(root) }
    }
  }
}
