// SPDX-License-Identifier: Apache-2.0
// Reading slabinfo in pieces while what it lists comes and goes: every entry that lives through
// the whole reading appears exactly once.

import SlabPlatform
import SlabTestSupport
import Testing

@testable import SlabCore

@Suite(.inTurn) struct SlabinfoReadingTests {
  /// Many readers with pieces of any size, creators and destroyers of roots and of groups.
  @Test func rootsComeAndGo() throws {
    try withSeed { seed in
      try withAllocator { allocator in
        let permanent = try (0..<40).map { try allocator.makeCache("permanent-\($0)", size: 64) }
        let expected = Set((0..<40).map { "permanent-\($0)" })
        let isDone = Shared(false)
        let disturbers = (0..<2).map { thread in
          TestThread {
            var random = SeededGenerator(seed: seed &+ UInt64(thread))
            var mine: [Pointer<RootCache>] = []
            var count = 0
            while !isDone.with({ $0 }) {
              if mine.count < 20, Bool.random(using: &random) {
                count += 1
                if let root = try? allocator.makeCache("passing-\(thread)-\(count)", size: 64) {
                  mine.append(root)
                }
              } else if let index = mine.indices.randomElement(using: &random) {
                try? allocator.destroy(mine.remove(at: index))
              }
              if let group = try? allocator.makeGroup("group") {
                for root in permanent.prefix(3) + mine.prefix(2) {
                  if let object = try? allocator.allocate(from: root, in: group) {
                    allocator.free(object)
                  }
                }
                allocator.release(group)
              }
            }
            for root in mine { try? allocator.destroy(root) }
          }
        }
        onThreads(4) { reader in
          for round in 0..<12 {
            let bytes = [1, 7, 100, 4096][(reader + round) % 4]
            guard let text = try? allocator.slabinfo(pieceBytes: bytes) else {
              Issue.record("no text")
              return
            }
            let names = SlabinfoLine.all(in: text).map(\.name)
            let found = names.filter { $0.hasPrefix("permanent") }
            if found.count != expected.count || Set(found) != expected {
              Issue.record("\(found.count) of \(expected.count) entries")
            }
            // Nothing else twice either: a name is unique while its cache lives, and counted up.
            if Set(names).count != names.count { Issue.record("an entry appears twice") }
          }
        }
        isDone.with { $0 = true }
        for thread in disturbers { thread.join() }
        for root in permanent { try allocator.destroy(root) }
      }
    }
  }

  /// The same for a group, whose caches end because their roots do.
  @Test func cachesOfAGroupComeAndGo() throws {
    try withAllocator { allocator in
      let permanent = try (0..<20).map { try allocator.makeCache("permanent-\($0)", size: 64) }
      let group = try allocator.makeGroup("group")
      let pins = try permanent.map { try allocator.allocate(from: $0, in: group) }
      let isDone = Shared(false)
      let disturber = TestThread {
        var count = 0
        while !isDone.with({ $0 }) {
          count += 1
          guard let root = try? allocator.makeCache("passing-\(count)", size: 64) else { continue }
          if let object = try? allocator.allocate(from: root, in: group) { allocator.free(object) }
          try? allocator.destroy(root)
        }
      }
      for round in 0..<40 {
        let text = try allocator.slabinfo(of: group, pieceBytes: [1, 7, 100, 4096][round % 4])
        let names = SlabinfoLine.all(in: text).map(\.name).filter { $0.hasPrefix("permanent") }
        #expect(names == (0..<20).reversed().map { "permanent-\($0)" })
      }
      isDone.with { $0 = true }
      disturber.join()
      for pin in pins { allocator.free(pin) }
      allocator.release(group)
      for root in permanent { try allocator.destroy(root) }
    }
  }

  /// The group ends between two pieces; the reader has a handle.
  @Test(arguments: [0, 1, 150, 400, 700]) func groupEndsInTheMiddle(afterBytes: Int) throws {
    try withAllocator { allocator in
      let roots = try (0..<12).map { try allocator.makeCache("cache-\($0)", size: 64) }
      let group = try allocator.makeGroup("group")
      let objects = try roots.map { try allocator.allocate(from: $0, in: group) }
      var reader = try SlabinfoReader(of: allocator, group: group)
      var text = afterBytes == 0 ? [] : reader.readPiece(afterBytes)
      // Every second cache is held by its object and lives on.
      for index in stride(from: 0, to: 12, by: 2) { allocator.free(objects[index]) }
      try allocator.close(group)
      allocator.waitUntilIdle()
      while true {
        let piece = reader.readPiece(64)
        if piece.isEmpty { break }
        text += piece
      }
      reader.close()
      let names = SlabinfoLine.all(in: String(decoding: text, as: UTF8.self)).map(\.name)
      #expect(Set(names).count == names.count)
      for index in stride(from: 1, to: 12, by: 2) { #expect(names.contains("cache-\(index)")) }
      // The lines are of the moment when the reading began.
      #expect(names.count == 12)
      for index in stride(from: 1, to: 12, by: 2) { allocator.free(objects[index]) }
      allocator.release(group)
      for root in roots { try allocator.destroy(root) }
    }
  }

  /// A group's own cache and those that it inherited are one line, in one piece or in many.
  @Test(arguments: [7, 4096]) func ownAndInheritedAreOneLine(pieceBytes: Int) throws {
    try withAllocator { allocator in
      let roots = try (0..<5).map { try allocator.makeCache("cache-\($0)", size: 64) }
      for root in roots { try allocator.setSheafCapacity(0, of: root) }
      let parent = try allocator.makeGroup("parent")
      var objects = try roots.prefix(3).map { try allocator.allocate(from: $0, in: parent) }
      for number in 0..<20 {
        let child = try allocator.makeGroup("child-\(number)", below: parent, endings: .reparent)
        objects += try roots.map { try allocator.allocate(from: $0, in: child) }
        allocator.release(child)
      }
      allocator.waitUntilIdle()
      #expect(Int(parent.pointee.cacheCount) == 3 + 20 * 5)
      let lines = SlabinfoLine.all(in: try allocator.slabinfo(of: parent, pieceBytes: pieceBytes))
      #expect(lines.map(\.name).sorted() == (0..<5).map { "cache-\($0)" })
      for line in lines {
        #expect(line.activeObjects == (line.name < "cache-3" ? 21 : 20))
        // The root has nothing of its own: its line is the group's.
        #expect(SlabinfoLine.all(in: try allocator.slabinfo()).contains(line))
      }
      for object in objects { allocator.free(object) }
      allocator.release(parent)
      for root in roots { try allocator.destroy(root) }
    }
  }

  /// An end of the list is an end, and closing early is fine.
  @Test func readerAtTheEndAndClosedEarly() throws {
    try withAllocator { allocator in
      let group = try allocator.makeGroup("group")
      #expect(SlabinfoLine.all(in: try allocator.slabinfo(of: group)).isEmpty)
      var reader = try SlabinfoReader(of: allocator)
      #expect(reader.readPiece(1 << 20).count > 200)
      #expect(reader.readPiece(10).isEmpty)
      reader.close()
      reader.close()
      var early = try SlabinfoReader(of: allocator, group: group)
      #expect(early.readPiece(3) == Array("sla".utf8))
      early.close()
      allocator.release(group)
    }
  }
}

extension SlabinfoReader {
  fileprivate mutating func readPiece(_ bytes: Int) -> [UInt8] {
    [UInt8](capacity: bytes) { buffer in _ = read(into: &buffer) }
  }
}
